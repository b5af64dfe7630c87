"""A row of a comparison: nested in memory, flat in JSON, in which the committed results are written too."""

from __future__ import annotations

import json
import math
from pathlib import Path

import pytest

from edgerecon.core.json import plain
from edgerecon.measure.row import Cost, Quality, Row, Setup, Speed

RESULTS = Path(__file__).parents[2] / "bench" / "results"
ROW = Row(
    Setup("m", "openvino", "int8", 2, (64, 48), "despeckle"),
    Speed({"p50": 2.0, "p99": 3.0}, {"engine": {"p50": 1.0}}, (1.0, 2.0), 1.5, (1.4, 1.6), (1.0, 0.9, 1.1)),
    Quality(28.0, 0.8, "held out", 0.7),
    Cost(12.5, joules=0.25),
    note="a note",
)


def test_a_row_comes_back_from_its_json() -> None:
    written = json.loads(json.dumps(plain(ROW.to_json())))
    assert written["fps"] == 500 and written["speed"] == 1.5 and written["quality"] == "held out"
    assert written["memory_mb"] is None and written["shape"] == [64, 48]
    again = Row.from_json(written)
    assert repr(again) == repr(ROW)  # NaN is not equal to itself
    assert math.isnan(again.cost.memory_mb) and again.ok and again.name == "int8 on openvino"


@pytest.mark.parametrize("name", ["models.json", "shipped.json"])
def test_committed_results_are_rows(name: str) -> None:
    for found in json.loads((RESULTS / name).read_text())["rows"]:
        again = Row.from_json(found).to_json()
        assert plain(again) == {key: found.get(key, again[key]) for key in again}
