"""Confidence intervals by resampling: means over files or scenes, and ratios of medians over timed rounds."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

Interval = dict[str, float]
"""``mean`` and the bounds ``low`` and ``high`` of its 95 % interval; the bounds are nan for a single value."""
RESAMPLES = 1000
"""How often the frames of a ratio are drawn again."""
Array = NDArray[np.float64]


def interval(values: Sequence[float], resamples: int = 2000) -> Interval:
    """Mean of independent values with its percentile bootstrap 95 % interval (Efron 1979); always the same draws.

    Args:
        values: one per independent unit (a scene, a file), not one per frame of the same unit.
    """
    array = np.asarray(values, np.float64)
    if array.size == 0:
        return {"mean": float("nan"), "low": float("nan"), "high": float("nan")}
    if array.size == 1:
        return {"mean": float(array[0]), "low": float("nan"), "high": float("nan")}
    draws = np.random.default_rng(0).integers(array.size, size=(resamples, array.size))
    low, high = np.percentile(array[draws].mean(axis=1), (2.5, 97.5))
    return {"mean": float(array.mean()), "low": float(low), "high": float(high)}


def ratio_samples(numerator: Array, denominator: Array, seed: int = 0) -> Array:
    """Bootstrap distribution of the median over rounds of numerator / denominator within a round (Efron, 1979).

    Args:
        numerator, denominator: (rounds,), one time a round of each. seed: fixed, so that reports repeat.
    """
    ratios = numerator / denominator
    picks = np.random.default_rng(seed).integers(0, len(ratios), (RESAMPLES, len(ratios)))
    return np.asarray(np.median(ratios[picks], axis=1))


def percentile_interval(samples: Array) -> tuple[float, float]:
    """The middle 95 % of a bootstrap distribution."""
    low, high = np.percentile(samples, (2.5, 97.5))
    return float(low), float(high)
