"""How often a bench opens its models' files."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from edgerecon.bench import graph_cost, run, worker_client
from edgerecon.bench.grid import list_cells
from edgerecon.bench.worker import Worker
from edgerecon.core.frame import Image
from edgerecon.engines.base import EngineSpec
from edgerecon.modelfile.catalogue import model_path, open_file
from tests.support.opened_files import opened_files

MODEL = "compact-despeckle-small"


class Still:
    """An engine that hands frames on, and has read no file."""

    spec = EngineSpec(open_file(MODEL).spec, "none", "fp32", 1)

    def run(self, frame: Image, out: Image | None = None) -> Image:
        return frame.copy()

    def reset(self) -> None: ...

    def close(self) -> None: ...


class InProcess(worker_client.WorkerClient):
    """A client whose worker is here, with an engine that reads nothing: what is opened is the parent's."""

    def __init__(self, name: str, timeout_s: float) -> None:
        self.name = name
        self._worker = Worker()
        self._worker.engine = lambda *asked: Still()  # type: ignore[method-assign,assignment,return-value]

    def open(self, **what: object) -> dict[str, object]:
        return self._worker.open(**what) | {"startup_ms": 1.0}  # type: ignore[arg-type]

    def ask(self, do: str, timeout_s: float | None = None, **arguments: object) -> dict[str, object]:
        answer: dict[str, object] = getattr(self._worker, do)(**arguments)
        return answer

    def close(self) -> None: ...


def test_a_bench_reads_each_model_file_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(worker_client, "WorkerClient", InProcess)
    host = SimpleNamespace(name="host", peak={"fp32": 50.0}, bandwidth_gbs=10.0)
    monkeypatch.setattr(graph_cost, "load_device", lambda name: host)
    monkeypatch.setattr(run, "REAL", 1)
    with opened_files() as opens:
        cells = list_cells([MODEL], ["onnxruntime"], ["fp32", "int8"], threads=[1, 2])
        result = run.bench(cells, run.Plan(shape=(16, 16), seconds=0.01))
    assert len(result.rows) == 4 and all(row.speed.latency_ms and row.cost.gops for row in result.rows)
    assert opens[f"{MODEL}.onnx"] == opens[f"{MODEL}-int8.onnx"] == 1


def test_a_worker_reads_its_model_file_once(tmp_path: Path) -> None:
    frames = tmp_path / "frames.npy"
    np.save(frames, np.zeros((1, 16, 16), np.uint8))
    with opened_files() as opens:
        Worker().open(str(model_path(MODEL)), "onnxruntime", "fp32", 1, str(frames))
    assert opens[f"{MODEL}.onnx"] == 1
