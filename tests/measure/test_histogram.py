"""The histogram against exact percentiles."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from edgerecon.measure.histogram import Histogram

durations = st.lists(st.integers(0, 10**12), min_size=1, max_size=300)


def filled(times: list[int]) -> Histogram:
    histogram = Histogram()
    for ns in times:
        histogram.record(ns)
    return histogram


@given(durations, st.sampled_from([0.1, 50, 90, 99, 99.9, 100]))
def test_percentiles_are_within_one_percent_of_numpy(times: list[int], q: float) -> None:
    exact_ms = float(np.percentile(times, q, method="inverted_cdf")) / 1e6
    found = filled(times).percentile(q)
    assert found is not None
    assert abs(found - exact_ms) <= max(0.01 * exact_ms, 1e-3)  # under 1 µs counts as 0


@given(durations)
def test_maximum_is_exact_and_bars_hold_everything(times: list[int]) -> None:
    histogram = filled(times)
    assert histogram.max_ms == max(times) / 1e6
    bars = histogram.bars()
    assert sum(bars["counts"]) == len(times) == histogram.count
    assert len(bars["edges_ms"]) == len(bars["counts"]) + 1
    assert bars["edges_ms"] == sorted(bars["edges_ms"])
    assert bars["edges_ms"][0] <= min(times) / 1e6 * 1.000001 + 1e-12


def test_empty_histogram_has_no_percentiles() -> None:
    histogram = Histogram()
    assert histogram.percentile(50) is None and histogram.max_ms is None
    assert histogram.bars() == {"edges_ms": [], "counts": []}


def test_beyond_the_range_is_the_maximum() -> None:
    assert filled([5 * 10**12]).percentile(50) == 5e6
