"""Confidence intervals by resampling files or scenes."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

Interval = dict[str, float]
"""``mean`` and the bounds ``low`` and ``high`` of its 95 % interval; the bounds are nan for a single value."""


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
