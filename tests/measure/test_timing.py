from __future__ import annotations

import time

import numpy as np
import pytest

from edgerecon.measure.timing import Timing, interleave, ratio


def test_everyone_runs_once_a_round_and_takes_turns_to_be_first() -> None:
    calls: list[str] = []
    runs = {name: lambda name=name: calls.append(name) for name in "abc"}
    found = interleave(runs, seconds=0, at_least=7, warm_up=2)  # type: ignore[arg-type]
    assert {len(timing.ms) for timing in found.values()} == {7}
    rounds = [calls[i : i + 3] for i in range(6, len(calls), 3)]
    assert [sorted(one) for one in rounds] == [["a", "b", "c"]] * 7
    assert [one[0] for one in rounds] == list("abcabca")


def test_times_are_wall_clock_milliseconds() -> None:
    found = interleave({"sleeps": lambda: time.sleep(0.003), "idle": lambda: None}, seconds=0.05, at_least=3)
    assert found["sleeps"].ms.min() >= 3.0  # sleep never wakes early
    assert ratio(found["sleeps"], found["idle"]) > 1


def test_rounds_follow_the_time_there_is() -> None:
    told: list[tuple[int, int]] = []
    interleave({"a": lambda: time.sleep(0.01)}, seconds=0.1, at_least=2, on_round=lambda *x: told.append(x))
    assert told[-1][0] == told[-1][1] and 2 <= told[-1][1] <= 10
    assert len(interleave({"a": lambda: None}, seconds=9, at_most=5)["a"].ms) == 5


def test_percentiles_never_flatter() -> None:
    timing = Timing(np.arange(1, 101, dtype=float))
    summary = timing.summary()
    assert summary["p50"] >= 50 and summary["p99"] >= 99 and summary["p999"] == 100 and summary["mean"] == 50.5
    assert ratio(Timing(np.array([2.0, 6.0, 4.0])), Timing(np.array([1.0, 2.0, 2.0]))) == pytest.approx(2)
