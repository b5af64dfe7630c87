"""Ratios of medians with bootstrap intervals, over rounds in which every row had its turn."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

RESAMPLES = 1000
Array = NDArray[np.float64]


def ratio_samples(numerator: Array, denominator: Array, seed: int = 0) -> Array:
    """Bootstrap distribution of the median over rounds of numerator / denominator within a round (Efron, 1979).

    Args:
        numerator, denominator: (rounds,), one time a round of each. seed: fixed, so that reports repeat.
    """
    ratios = numerator / denominator
    picks = np.random.default_rng(seed).integers(0, len(ratios), (RESAMPLES, len(ratios)))
    return np.asarray(np.median(ratios[picks], axis=1))


def interval(samples: Array) -> tuple[float, float]:
    """The middle 95 %."""
    low, high = np.percentile(samples, (2.5, 97.5))
    return float(low), float(high)
