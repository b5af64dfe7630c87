"""What is measured apart from the timing, and how it is shown; and what a bench makes of bad input."""

from __future__ import annotations

import json
import math
import sys
from collections.abc import Callable
from io import StringIO
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from rich.console import Console

from edgerecon.bench import stage_costs as apart
from edgerecon.bench.compare import read_result
from edgerecon.bench.page import bench_page as page_of
from edgerecon.bench.rounds import RowTimes
from edgerecon.bench.rows import timed
from edgerecon.bench.run import real_frames
from edgerecon.bench.stage_costs import measure_stages
from edgerecon.bench.stages import NO_COPIES, WITH_COPIES
from edgerecon.bench.worker import ANSWERS, Worker
from edgerecon.bench.worker_client import WorkerClient
from edgerecon.cli.tables.bench import print_bench
from edgerecon.core.errors import DataError, EngineError, SourceError
from edgerecon.core.frame import Image
from edgerecon.engines.base import StageTimer
from edgerecon.engines.cuda.engine import CudaEngine
from edgerecon.engines.tensorrt.engine import TensorRtEngine
from edgerecon.measure.row import Row, Setup, Speed
from edgerecon.stream.sources import still_frames

STAGES = {"to_device": 0.25, "compute": 1.5, "to_host": 0.125}


class OnCpu:
    """Hands frames on."""

    def run(self, frame: Image, out: Image | None = None) -> Image:
        return frame.copy()


class OnGpu(OnCpu):
    """And tells stages, each run a little slower."""

    def __init__(self) -> None:
        self.asked = 0

    def stage_times(self) -> dict[str, float]:
        self.asked += 1
        return {name: ms * self.asked for name, ms in STAGES.items()}


class Answering:
    """A remote that answers as told."""

    def __init__(self, **answers: Callable[..., dict[str, Any]]) -> None:
        self.answers = answers

    def ask(self, do: str, **arguments: int) -> dict[str, Any]:
        return self.answers[do](**arguments)


class Joules:
    """A meter that counts 3 J for each piece of work."""

    def __init__(self, *sources: str, spent: float | None = 3.0) -> None:
        self.sources, self._spent = list(sources), spent

    def spent(self, work: Callable[[], None]) -> float | None:
        work()
        return self._spent


def gone(**_: int) -> dict[str, Any]:
    raise EngineError("the process crashed (SIGSEGV)")


def turns(time: Any = None, stages: Any = None, calls: int = 5) -> RowTimes:
    made = RowTimes(Answering(time=time or (lambda calls: {}), stages=stages or (lambda calls: {"ms": []})))  # type: ignore[arg-type]
    made.calls = calls
    return made


def test_the_gpu_engines_tell_their_stages_and_others_do_not() -> None:
    assert issubclass(CudaEngine, StageTimer) and issubclass(TensorRtEngine, StageTimer)
    worker, frames = Worker(), np.zeros((1, 4, 4), np.uint8)
    worker.hold(OnCpu(), frames)  # type: ignore[arg-type]
    assert worker.stages(3) == {"ms": []}
    worker.hold(OnGpu(), frames)  # type: ignore[arg-type]
    assert worker.stages(2) == {"ms": [STAGES, {name: 2 * ms for name, ms in STAGES.items()}]}


def test_energy_and_stages_are_those_of_a_frame(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(apart, "STEADY_S", 0.0)
    worker = Worker()
    worker.hold(OnGpu(), np.zeros((1, 4, 4), np.uint8))  # type: ignore[arg-type]
    one = turns(stages=worker.stages)
    measure_stages(one, Joules("RAPL package-0"))  # type: ignore[arg-type]
    assert one.joules == 3.0 / 5 and one.error is None and not one.note
    assert list(one.apart) == list(STAGES) and np.median(one.apart["compute"]) == 1.5 * (apart.RUNS + 1) / 2


def test_a_steady_run_lasts_until_the_counters_have_moved() -> None:
    seen: list[int] = []
    one = turns(time=lambda calls: seen.append(calls) or {})
    apart_s, apart.STEADY_S = apart.STEADY_S, 0.02
    try:
        measure_stages(one, Joules("NVML GPU 0"))  # type: ignore[arg-type]
    finally:
        apart.STEADY_S = apart_s
    assert len(seen) > 1 and one.joules == pytest.approx(3.0 / sum(seen))


def test_without_sensors_nothing_is_run_for_them() -> None:
    one = turns(time=gone)
    measure_stages(one, Joules())  # type: ignore[arg-type]
    assert math.isnan(one.joules) and one.error is None and one.apart == {}


def test_what_fails_apart_is_told_apart(monkeypatch: pytest.MonkeyPatch) -> None:
    """Stages that a GPU refuses are a note; an engine that dies while it runs steadily has failed."""
    monkeypatch.setattr(apart, "STEADY_S", 0.0)
    refused, died, stopped = turns(stages=gone), turns(time=gone, stages=gone), turns()
    measure_stages(refused, Joules())  # type: ignore[arg-type]
    assert refused.note == "no stages apart: the process crashed (SIGSEGV)" and refused.error is None
    measure_stages(died, Joules("RAPL package-0"))  # type: ignore[arg-type]
    assert died.error == "the process crashed (SIGSEGV)"
    measure_stages(stopped, Joules("RAPL package-0", spent=None))  # type: ignore[arg-type]
    assert math.isnan(stopped.joules) and stopped.error is None
    dead = turns(time=gone, stages=gone)
    dead.error = "earlier"
    measure_stages(dead, Joules("RAPL package-0"))  # type: ignore[arg-type]
    assert dead.error == "earlier"


def test_rows_hold_their_stages() -> None:
    one = turns()
    one.blocks = [np.array([[0.1, 2.0, 0.2], [0.1, 4.0, 0.2], [0.1, 3.0, 0.2]])]
    one.apart, one.note, one.joules = {"to_device": np.array([0.5, 0.25, 0.75])}, "a note", 0.5
    row, speeds = timed(Row(Setup("m", "cuda", "fp32", 1, (8, 8)), note="simulated"), one, one)
    stages = row.speed.stages_ms
    assert list(stages) == ["prepare", "engine", "postprocess", "to_device"]
    assert stages["to_device"] == {"p50": 0.5, "p99": 0.75} and stages["engine"]["p50"] == 3.0
    assert (row.cost.joules, row.note) == (0.5, "simulated; a note") and speeds == pytest.approx(1.0)


def row(backend: str, extra: tuple[str, ...] = (), **changes: Any) -> dict[str, Any]:
    latency = {"p50": 5.0, "p90": 6.0, "p99": 7.0, "p999": 8.0, "mean": 5.2}
    stages = {name: {"p50": 0.123, "p99": 0.456} for name in ("prepare", "engine", "postprocess", *extra)}
    speed = Speed(latency, stages, tuple(np.linspace(4, 8, 101)), to_best=(1.0, 1.0, 1.0))
    made = Row(Setup("compact", backend, "fp32", 1, (8, 8)), speed)
    return made.to_json() | changes


def result(*rows: dict[str, Any]) -> dict[str, Any]:
    told = {"before": {}, "during": {"mhz": {"GPU 0": 1980}}, "after": {}}
    return {
        "schema": 1,
        "rows": list(rows),
        "loads": [],
        "scenarios": [],
        "noise": 1.02,
        "noisy": False,
        "roof": {"gops": {"fp32": 100.0}, "bandwidth_gbs": 10.0},
        "included": "all",
        "energy_sources": [],
        "energy_missing": ["GPU 0 does not count its energy"],
        "conditions": told,
        "shape": [8, 8],
        "seconds": 1.0,
        "recording": "sample",
        "host": {"cpu": "a CPU", "cores_logical": 2, "date": "2026-01-02T03:04:05", "commit": None},
    }


def shown(found: dict[str, Any]) -> tuple[str, str]:
    """The page, and the terminal's text."""
    console = Console(file=StringIO(), width=200)
    print_bench(console, found)
    assert isinstance(console.file, StringIO)
    return page_of(found), console.file.getvalue()


def test_copies_are_shown_where_there_are_any() -> None:
    copied = row("cuda", ("to_device", "compute", "to_host"), joules=0.0421)
    for text in shown(result(copied, row("onnxruntime", note="remarkable"))):
        assert all(head in text for head in ("H2D", "compute", "D2H", "J/frame", "remarkable", "0.0421"))
        assert "clock while timing" in text and "GPU 0 1980 MHz" in text and "does not count its energy" in text
        assert text.count("not told by this host") == 4  # energy, temperature, throttling, power mode
        assert "they need not add up" in WITH_COPIES and "0.12" in text
    assert all("H2D" not in text and NO_COPIES[:30] in text for text in shown(result(row("onnxruntime"))))


def test_a_result_without_a_row_that_ran_still_shows() -> None:
    for text in shown(result(row("cuda", status="there is no GPU", latency_ms={}, stages_ms={}, fps=None))):
        assert "there is no GPU" in text


@pytest.mark.parametrize("answer", ["not json", "{"])
def test_a_worker_that_answers_garbage_is_stopped(answer: str, tmp_path: Path) -> None:
    path = tmp_path / "worker.py"
    path.write_text(f"import os, time\nos.write(int(os.environ['{ANSWERS}']), b'{answer}\\n')\ntime.sleep(60)")
    remote = WorkerClient("fake", 20.0, (sys.executable, "-I", "-S", str(path)))
    with pytest.raises(EngineError, match="which is no answer, and was stopped"):
        remote.ask("time", calls=1)
    assert remote._process.poll() is not None


def test_a_worker_that_dies_in_the_middle_of_an_answer(tmp_path: Path) -> None:
    path = tmp_path / "worker.py"
    path.write_text(f"import os\nos.write(int(os.environ['{ANSWERS}']), b'[1, ')\nos._exit(4)")
    remote = WorkerClient("fake", 20.0, (sys.executable, "-I", "-S", str(path)))
    with pytest.raises(EngineError, match="crashed"):
        remote.ask("time", calls=1)
    remote.close()


def test_a_recording_without_frames_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    class Empty:
        def frames(self) -> list[Any]:
            return []

        def close(self) -> None: ...

    monkeypatch.setattr(still_frames, "open_source", lambda recording: Empty())
    with pytest.raises(SourceError, match="^nothing.mp4 holds no frame"):
        real_frames("nothing.mp4")


def test_rows_of_another_make_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "r.json"
    for rows in ([{}], ["a row"], [row("cuda"), {"model": "m"}]):
        path.write_text(json.dumps({"schema": 1, "rows": rows}))
        with pytest.raises(DataError, match="has rows without backend, model"):
            read_result(path)
