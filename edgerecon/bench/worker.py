"""One engine in a process of its own, so that one that crashes, hangs or hoards memory harms no other row.

Run by ``edgerecon.bench.worker_client`` as ``python -m edgerecon.bench.worker``.
Line by line it reads one JSON command and
answers with one JSON object; {"error": …} when the command failed. Arrays travel as .npy files.
"""

from __future__ import annotations

import json
import os
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, TextIO

import numpy as np
from numpy.typing import NDArray

from edgerecon.core.errors import EdgereconError
from edgerecon.core.frame import Image, to_uint8, to_unit
from edgerecon.engines import open_engine
from edgerecon.engines.base import Engine, StageTimer
from edgerecon.modelfile.file import read_model

Answer = dict[str, Any]
ANSWERS = "EDGERECON_BENCH_ANSWERS"
"""Environment variable: the descriptor that answers go to."""


class Worker:
    """Answers commands; ``open`` comes first."""

    def __init__(self) -> None:
        self._engine: Engine
        self._frames: NDArray[np.uint8]
        self._next = 0

    def open(self, model: str, backend: str, precision: str, threads: int | None, frames: str) -> Answer:
        """Open the engine and run the first frame. frames: .npy of uint8 (n, H, W), which ``time`` takes in turn."""
        start = time.perf_counter()
        engine = self.engine(model, backend, precision, threads)
        self.hold(engine, np.load(frames, allow_pickle=False))
        opened_ms = (time.perf_counter() - start) * 1e3
        return {
            "opened_ms": opened_ms,
            "threads": self._engine.spec.threads,
            "simulated": self._engine.spec.simulated,
        }

    def engine(self, model: str, backend: str, precision: str, threads: int | None) -> Engine:
        """What ``open`` opens; a peer's worker opens something else."""
        return open_engine(read_model(Path(model)), backend, precision, threads=threads)

    def hold(self, engine: Engine, frames: NDArray[np.uint8]) -> None:
        """Take an engine that is open, and run the first frame."""
        self._engine, self._frames = engine, frames
        self._unit = to_unit(frames[0])
        self._out = np.array(engine.run(self._unit))
        self._shown = np.empty(self._out.shape, np.uint8)

    def time(self, calls: int) -> Answer:
        """ns of (preparation, engine, postprocess) for so many frames, one after another."""
        stages = np.empty((calls, 4), np.int64)
        now = time.perf_counter_ns
        for row in stages:
            frame = self._frames[self._next % len(self._frames)]
            self._next += 1
            row[0] = now()
            to_unit(frame, self._unit)
            row[1] = now()
            self._engine.run(self._unit, self._out)
            row[2] = now()
            to_uint8(self._out, self._shown)
            row[3] = now()
        return {"ns": np.diff(stages, axis=1).tolist(), "memory_mb": _memory_mb()}

    def stages(self, calls: int) -> Answer:
        """ms of the stages within the engine, for so many runs of the last frame; none where nothing is copied."""
        timed = self._engine
        return {"ms": [timed.stage_times() for _ in range(calls)] if isinstance(timed, StageTimer) else []}

    def outputs(self, frames: str, out: str) -> Answer:
        """Reconstruct each frame (n, H, W) or sequence (n, T, H, W) of a .npy by itself; the results go to another."""
        given = np.load(frames, allow_pickle=False)
        found: list[Image] = []
        for sequence in given:
            self._engine.reset()
            found += [np.array(self._engine.run(_unit(frame))) for frame in sequence.reshape(-1, *given.shape[-2:])]
        np.save(out, np.stack(found).reshape(*given.shape[:-2], *found[0].shape))
        return {}

    def load(self, period_ms: float, seconds: float) -> Answer:
        """Stream at a frame period, which is the deadline as well; see ``edgerecon.bench.paced``."""
        from edgerecon.bench.paced import paced

        return paced(self._engine, self._frames, period_ms, seconds)

    def loadgen(self, scenario: str, folder: str, seconds: float, expected_ms: float) -> Answer:
        """One scenario of MLPerf's LoadGen; see ``edgerecon.bench.loadgen``."""
        from edgerecon.bench.loadgen import run_scenario

        return run_scenario(self._engine, self._frames, scenario, Path(folder), seconds, expected_ms)


def _unit(frame: NDArray[Any]) -> Image:
    """Floats go as they are: what a network of the workshop is given may leave [0, 1] a little."""
    return np.ascontiguousarray(frame, np.float32) if frame.dtype.kind == "f" else to_unit(frame)


def _memory_mb() -> float | None:
    """Resident memory of this process, the runtime's included; None where /proc does not tell."""
    try:
        pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1])
    except (OSError, ValueError, IndexError):
        return None
    if not hasattr(os, "sysconf"):
        return None
    return pages * os.sysconf("SC_PAGE_SIZE") / 1e6


def serve(worker: Worker, commands: TextIO, answers: TextIO) -> None:
    """Until the commands end."""
    for line in commands:
        command = json.loads(line)
        do: Callable[..., Answer] = getattr(worker, command.pop("do"))
        try:
            answer = do(**command)
        except EdgereconError as error:
            answer = {"error": str(error)}
        except Exception as error:  # noqa: BLE001 - runtimes raise many kinds; the row says why
            answer = {"error": f"{type(error).__name__}: {str(error).strip().splitlines()[0] if str(error) else ''}"}
        answers.write(json.dumps(answer) + "\n")
        answers.flush()


def main(worker: Worker) -> None:
    """Answer through the pipe that the parent left open."""
    with os.fdopen(int(os.environ[ANSWERS]), "w", encoding="utf-8") as answers:
        serve(worker, sys.stdin, answers)


if __name__ == "__main__":
    main(Worker())
