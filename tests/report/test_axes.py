"""Scales, round numbers and rows of a plot."""

from __future__ import annotations

import math
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgerecon.report.axes import Axes, Scale, svg


@pytest.mark.parametrize(
    ("warp", "low", "middle", "high"), [(float, 2, 6, 10), (math.log, 1, 10, 100), (math.log1p, 0, 9, 99)]
)
def test_a_scale_maps_its_ends_and_the_middle_of_its_warp(warp, low, middle, high) -> None:
    scale = Scale(low, high, 60.0, 940.0, warp)
    assert [scale(value) for value in (low, middle, high)] == pytest.approx([60, 500, 940])


@given(st.floats(1e-3, 1e3), st.floats(1.01, 1e4), st.sampled_from([float, math.log]))
def test_ticks_are_round_ascending_and_within_the_scale(low, ratio, warp) -> None:
    ticks = Scale(low, low * ratio, 0.0, 1.0, warp).ticks(12)
    assert ticks == sorted(ticks) and 1 <= len(ticks) <= 13
    assert all(low * (1 - 1e-6) <= tick <= low * ratio * (1 + 1e-6) for tick in ticks)
    if ticks != [low, low * ratio]:
        assert all(len(f"{tick:.10g}".replace(".", "").strip("0").lstrip("-")) <= 8 for tick in ticks)


def test_even_ticks_start_at_a_round_number() -> None:
    assert Scale(3.0, 47.0, 0.0, 1.0).ticks(12) == pytest.approx(range(5, 50, 5))


def test_numbers_of_rows_do_not_overlap() -> None:
    axes = Axes(Scale(0.0, 1.0, 60.0, 900.0), Scale(0.0, 1.0, 300.0, 20.0))
    drawn = axes.rows([(0.0, ""), (0.01, "0.01"), (0.02, "0.02"), (0.5, "0.50")])
    assert re.findall(r">([^<]+)</text>", drawn) == ["0.01", "0.50"]
    assert drawn.count('class="grid"') == 4


def test_a_label_is_escaped() -> None:
    assert 'aria-label="a &lt; &quot;b&quot;"' in svg(10, 10, 'a < "b"', [])
