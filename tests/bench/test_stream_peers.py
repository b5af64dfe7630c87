"""bench/stream_peers.py and its loops, with those that are always here: no framework, no model, no timing."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from bench import stream_peers
from bench.stream_loop import Busy
from bench.stream_peers import WARM, figures, ratios
from bench.stream_rivals import LOOPS, Job, Newest
from bench.stream_turns import rotated, turn
from edgerecon.core.frame import to_unit

FRAMES = np.random.default_rng(0).integers(0, 256, (3, 24, 32), np.uint8)


class Negative:
    """An engine of the bench's interface; keeps what it was given."""

    def __init__(self) -> None:
        self.given: list[np.ndarray] = []

    def run(self, frame: np.ndarray, out: np.ndarray) -> np.ndarray:
        self.given.append(frame.copy())
        return np.subtract(1, frame, out=out)


@pytest.mark.parametrize("name", ["edgerecon", "opencv"])
@pytest.mark.parametrize("engine", [False, True])
def test_unpaced_no_frame_is_lost(name: str, engine: bool) -> None:
    seen = LOOPS[name](Job(FRAMES, 20, 0.0, Busy(0.1) if engine else None))
    assert len(seen) == 20 and seen == sorted(seen)
    assert all(captured < presented for captured, presented in seen)


@pytest.mark.parametrize("name", ["edgerecon", "opencv"])
def test_paced_frames_come_in_order(name: str) -> None:
    seen = LOOPS[name](Job(FRAMES, 5, 0.002))
    assert 1 <= len(seen) <= 5 and seen == sorted(seen)


def test_every_loop_converts_as_edgerecon_does() -> None:
    engine = Negative()
    job = Job(FRAMES, 1, 0.0, engine)
    out = job.process(FRAMES[0], job.empty())
    assert np.array_equal(engine.given[0], to_unit(FRAMES[0])) and np.array_equal(out, 1 - to_unit(FRAMES[0]))


def test_what_waits_gives_way_to_what_is_newer() -> None:
    box = Newest()
    for item in (1, 2, 3):
        box.put_newest(item)
    assert box.get_nowait() == 3 and box.empty()


def test_nobody_is_always_first() -> None:
    assert [order[0] for order in rotated("abc", 4)] == ["a", "b", "c", "a"]
    assert all(sorted(order) == ["a", "b", "c"] for order in rotated("abc", 4))


def test_figures_count_what_is_late_and_lost() -> None:
    def made(ms: list[float]) -> list[tuple[int, int]]:
        return [(at * 10**7, at * 10**7 + int(one * 1e6)) for at, one in enumerate([500.0] * WARM + ms)]

    row = figures([made([10, 20, 30, 40]), made([10, 10, 10])], WARM + 5)
    assert (row["captured"], row["dropped"], row["timed"], row["late"]) == (2 * WARM + 10, 3, 7, 1)
    assert row["ms"] == pytest.approx({"p50": 10, "p99": 40, "p999": 40})
    assert row["turns"]["p50"] == pytest.approx([30, 10]) and row["turns"]["fps"][1] == pytest.approx(100)
    assert ratios(row, row)["p99"] == [1, 1, 1]


def test_a_loop_that_does_not_run_is_a_row_with_the_reason(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    def found(script: str, python: str, name: str, arguments: Any) -> Any:
        if name == "gstreamer":
            return "No module named 'gi'"
        seen = [(at, at + 1000) for at in range(3 if name == "opencv" else 100)]
        return {"seen": seen, "engine": {"threads": 1}}

    monkeypatch.setattr(stream_peers, "turn", found)
    pythons = dict.fromkeys(stream_peers.LOOPS, "python") | {"holoscan": None}
    rows = stream_peers.compare(pythons, 2, 100, 0.0, tmp_path)
    assert {name: row["status"] for name, row in rows.items()} == {
        "edgerecon": "ok",
        "holoscan": "no --holoscan-python was given",
        "gstreamer": "No module named 'gi'",
        "opencv": "it showed 3 frames",
        "inference-pipeline": "ok",
    }
    assert rows["inference-pipeline"]["over_edgerecon"]["p50"] == [1, 1, 1]


def test_a_python_that_is_not_there_is_named() -> None:
    assert "no-such-python" in turn("script.py", "/no-such-python", "holoscan", [])
