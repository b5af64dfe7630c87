"""The work of a row, against what its recipe says by hand, and the floor that this host's rates set."""

from __future__ import annotations

import math
from pathlib import Path
from types import SimpleNamespace

import pytest

from edgerecon.bench import roofline_row as floor
from edgerecon.bench.roofline_row import host_roof, with_floor
from edgerecon.engines.grid import Cell
from edgerecon.measure.row import Row
from edgerecon.modelfile.catalogue import model_path

ROW = Row("m", "onnxruntime", "fp32", 2, (64, 48))


def cell(name: str = "compact-despeckle", backend: str = "onnxruntime", precision: str = "fp32") -> Cell:
    return Cell(model_path(name), backend, precision, 2)


@pytest.fixture(autouse=True)
def a_host(monkeypatch: pytest.MonkeyPatch) -> None:
    host = SimpleNamespace(name="host", peak={"fp32": 50.0}, bandwidth_gbs=10.0)
    monkeypatch.setattr(floor, "load_device", lambda name: host)


def test_work_is_counted_from_the_graph() -> None:
    """2848 multiply-accumulates a pixel, as the model card says; one image in, one out."""
    row = with_floor(ROW, cell())
    assert row.gops == pytest.approx(2 * 2848 * 64 * 48 / 1e9)
    assert 2 * 64 * 48 * 4 / 1e6 < row.mbytes < 2 * 64 * 48 * 4 / 1e6 + 0.12  # and the weights
    assert row.floor_ms == pytest.approx(max(row.gops / 50, row.mbytes / 1e3 / 10) * 1e3)


def test_rates_that_nobody_measured_set_no_floor() -> None:
    int8 = with_floor(ROW, cell("compact-despeckle-int8", precision="int8"))
    gpu = with_floor(ROW, cell(backend="tensorrt"))
    for row in (int8, gpu):
        assert row.gops > 0 and math.isnan(row.floor_ms)
    absent = with_floor(ROW, Cell(Path("absent.onnx"), "onnxruntime", "fp32", 2))
    assert math.isnan(absent.gops) and math.isnan(absent.floor_ms)


def test_halves_are_computed_in_single_precision_by_a_cpu() -> None:
    assert with_floor(ROW, cell("compact-despeckle-fp16", precision="fp16")).floor_ms > 0
    assert host_roof() == {"gops": {"fp32": 50.0}, "bandwidth_gbs": 10.0}
