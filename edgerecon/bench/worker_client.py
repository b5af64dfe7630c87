"""The parent's end of a worker: starts it, asks it, and gives it up when it crashes or hangs."""

from __future__ import annotations

import json
import os
import selectors
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edgerecon.bench.grid import Cell
from edgerecon.bench.worker import ANSWERS
from edgerecon.core.errors import EngineError

WORKER = (sys.executable, "-m", "edgerecon.bench.worker")
START_S = 180.0
"""Opening an engine may build kernels or compile a graph."""


def _refuse_windows() -> None:
    """Processes there inherit no pipe by its number."""
    if sys.platform == "win32":
        raise EngineError("a measurement in a process of its own needs Linux or macOS")


class WorkerClient:
    """One worker process. Every method may raise EngineError, which says what became of it; it is closed then."""

    def __init__(
        self, name: str, timeout_s: float, command: Sequence[str] = WORKER, env: Mapping[str, str] | None = None
    ) -> None:
        self.name, self._timeout_s = name, timeout_s
        self._started = time.perf_counter()
        _refuse_windows()
        self._errors = tempfile.TemporaryFile()
        answers, theirs = (
            os.pipe()
        )  # runtimes write to standard output as they please: answers have a pipe of their own
        self._answers = os.fdopen(answers, "rb")
        self._process = subprocess.Popen(
            command,
            stdin=subprocess.PIPE,
            stdout=self._errors,
            stderr=self._errors,
            start_new_session=True,
            pass_fds=(theirs,),
            env={**(os.environ if env is None else env), ANSWERS: str(theirs)},
        )
        os.close(theirs)

    def open(self, **what: Any) -> dict[str, Any]:
        """See ``Worker.open``; adds startup_ms, from the start of the process to the first frame's end."""
        answer = self.ask("open", timeout_s=max(START_S, self._timeout_s), **what)
        return answer | {"startup_ms": (time.perf_counter() - self._started) * 1e3}

    def ask(self, do: str, timeout_s: float | None = None, **arguments: Any) -> dict[str, Any]:
        """Send a command and wait for the answer.

        Raises:
            EngineError: the command failed, the process died (names the signal), or no answer came in time, or none
            that can be read.
        """
        assert self._process.stdin is not None
        try:
            self._process.stdin.write(json.dumps({"do": do, **arguments}).encode() + b"\n")
            self._process.stdin.flush()
        except OSError:
            raise EngineError(self._death()) from None
        line = self._line(timeout_s or self._timeout_s)
        if not line.endswith(b"\n"):  # it died, perhaps in the middle of an answer
            raise EngineError(self._death())
        try:
            answer: dict[str, Any] = json.loads(line)
        except ValueError:
            self.close()
            raise EngineError(f"answered {line[:60]!r}, which is no answer, and was stopped") from None
        if "error" in answer:
            raise EngineError(answer["error"])
        return answer

    def outputs(self, frames: NDArray[Any], folder: Path) -> NDArray[np.float32]:
        """See ``Worker.outputs``; the arrays travel through the folder."""
        np.save(folder / "given.npy", frames)
        self.ask("outputs", frames=str(folder / "given.npy"), out=str(folder / "made.npy"))
        return np.asarray(np.load(folder / "made.npy", allow_pickle=False))

    def close(self) -> None:
        """End the process; safe to call twice."""
        if self._process.poll() is None:
            self._process.kill()
        self._process.wait()
        for pipe in (self._process.stdin, self._answers, self._errors):
            if pipe is not None:
                try:
                    pipe.close()
                except OSError:  # what was not written yet has no reader any more
                    pass

    def _line(self, timeout_s: float) -> bytes:
        """One answer; empty when the process ended. The worker writes nothing but whole lines, one a command."""
        with selectors.DefaultSelector() as selector:
            selector.register(self._answers, selectors.EVENT_READ)
            if not selector.select(timeout_s):
                self.close()
                raise EngineError(f"gave no answer for {timeout_s:g} s and was stopped")
        return self._answers.readline()

    def _death(self) -> str:
        try:
            status = self._process.wait(5)
        except subprocess.TimeoutExpired:
            status = 0
        self._errors.seek(0)
        last = self._errors.read().decode("utf-8", "replace").strip().splitlines()[-1:] or [""]
        how = signal.Signals(-status).name if status < 0 else f"exit status {status}"
        return f"the process crashed ({how}){': ' + last[0][:200] if last[0] else ''}"


def open_cell(cell: Cell, frames: Path, timeout_s: float) -> tuple[WorkerClient, dict[str, Any]]:
    """A worker that has run a first frame of a cell, and its answer to ``open``.

    Args:
        frames: .npy of uint8 (n, H, W), which it is timed on.

    Raises:
        EngineError: see ``WorkerClient``; no process is left.
    """
    remote = WorkerClient(cell.label, timeout_s)
    try:
        return remote, remote.open(
            model=str(cell.file.path),
            backend=cell.backend,
            precision=cell.precision,
            threads=cell.threads,
            frames=str(frames),
        )
    except EngineError:
        remote.close()
        raise
