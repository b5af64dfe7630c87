"""The classical front and a model's place above it."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgerecon.measure.bootstrap import interval
from edgerecon.quality.evaluate.tradeoff import advantage_percent, front, front_at

POINTS = [(0.9, 2.0), (0.8, 3.0), (0.85, 1.5), (0.95, 1.0)]
places = st.lists(st.tuples(st.floats(0, 0.99), st.floats(0.5, 9)), max_size=12)


def test_front_keeps_what_nothing_beats() -> None:
    assert front(POINTS) == [(0.8, 3.0), (0.9, 2.0), (1.0, 1.0)]
    assert front([]) == [(1.0, 1.0)]
    assert front([(float("nan"), 2.0), (0.9, float("inf"))]) == [(1.0, 1.0)]


def test_front_is_linear_between_and_flat_beyond_its_points() -> None:
    upper = front(POINTS)
    assert front_at(upper, 0.85) == pytest.approx(2.5)
    assert front_at(upper, 0.5) == 3.0
    assert front_at(upper, 1.0) == 1.0


def test_advantage() -> None:
    assert advantage_percent((0.85, 3.0), POINTS) == pytest.approx(20)
    assert advantage_percent((0.9, 1.5), POINTS) == pytest.approx(-25)


@given(points=places)
def test_no_point_lies_above_the_front(points: list[tuple[float, float]]) -> None:
    upper = front(points)
    for edge, ratio in points:
        assert ratio <= front_at(upper, edge) + 1e-9
        assert advantage_percent((edge, ratio), points) <= 1e-6


def test_interval_covers_the_mean_and_narrows(rng) -> None:
    few, many = interval(rng.normal(5, 1, 20).tolist()), interval(rng.normal(5, 1, 2000).tolist())
    for one in (few, many):
        assert one["low"] < one["mean"] < one["high"]
    assert many["high"] - many["low"] == pytest.approx(4 / np.sqrt(2000), rel=0.1)
    assert interval([1.0, 2.0]) == interval([1.0, 2.0])


def test_interval_of_one_or_no_value() -> None:
    assert interval([3.0])["mean"] == 3.0 and np.isnan(interval([3.0])["low"])
    assert np.isnan(interval([])["mean"])
