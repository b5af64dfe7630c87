"""The work of a row, against what its recipe says by hand, and the floor that this host's rates set."""

from __future__ import annotations

import math
from types import SimpleNamespace

import pytest

from edgerecon.bench import graph_cost as floor
from edgerecon.bench.graph_cost import graph_cost, host_roof
from edgerecon.bench.grid import Cell
from edgerecon.modelfile.catalogue import open_file

SHAPE = (64, 48)


def cell(name: str = "compact-despeckle", backend: str = "onnxruntime", precision: str = "fp32") -> Cell:
    return Cell(open_file(name), backend, precision, 2)


@pytest.fixture(autouse=True)
def a_host(monkeypatch: pytest.MonkeyPatch) -> None:
    host = SimpleNamespace(name="host", peak={"fp32": 50.0}, bandwidth_gbs=10.0)
    monkeypatch.setattr(floor, "load_device", lambda name: host)


def test_work_is_counted_from_the_graph() -> None:
    """2848 multiply-accumulates a pixel, as the model card says; one image in, one out."""
    row = graph_cost(cell(), SHAPE)
    assert row.gops == pytest.approx(2 * 2848 * 64 * 48 / 1e9)
    assert 2 * 64 * 48 * 4 / 1e6 < row.mbytes < 2 * 64 * 48 * 4 / 1e6 + 0.12  # and the weights
    assert row.floor_ms == pytest.approx(max(row.gops / 50, row.mbytes / 1e3 / 10) * 1e3)


def test_rates_that_nobody_measured_set_no_floor() -> None:
    int8 = graph_cost(cell("compact-despeckle-int8", precision="int8"), SHAPE)
    gpu = graph_cost(cell(backend="tensorrt"), SHAPE)
    for row in (int8, gpu):
        assert row.gops > 0 and math.isnan(row.floor_ms)
    uncounted = graph_cost(cell(), (0, 48))
    assert uncounted.size_kb > 0 and math.isnan(uncounted.gops) and math.isnan(uncounted.floor_ms)


def test_halves_are_computed_in_single_precision_by_a_cpu() -> None:
    assert graph_cost(cell("compact-despeckle-fp16", precision="fp16"), SHAPE).floor_ms > 0
    assert host_roof() == {"gops": {"fp32": 50.0}, "bandwidth_gbs": 10.0}
