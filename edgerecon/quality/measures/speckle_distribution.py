"""Whether speckle is that of many scatterers: the Kolmogorov–Smirnov test of an envelope against Rayleigh."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray


def rayleigh_test(envelope: NDArray[np.floating], stride: tuple[int, int] = (1, 1)) -> tuple[float, float]:
    """Distance of the envelope's distribution from the Rayleigh distribution of its own power, and its p-value.

    D = sup |F_n(a) − (1 − exp(−a² / ⟨a²⟩))|. Pixels of one speckle cell tell the same: ``stride`` leaves one of each,
    since p is that of independent samples. As the power is estimated from them, it errs on the side of Rayleigh.

    Args:
        envelope: (H, W) linear amplitudes of a homogeneous region. stride: pixels of a speckle cell, (rows, columns).

    Returns:
        (D, p); (nan, nan) of fewer than 8 samples or none that is positive.
    """
    values = np.sort(np.asarray(envelope, np.float64)[:: stride[0], :: stride[1]].ravel())
    power = float(np.mean(values**2)) if values.size else 0.0
    if values.size < 8 or not power > 0:
        return float("nan"), float("nan")
    expected = 1 - np.exp(-(values**2) / power)
    ranks = np.arange(values.size + 1) / values.size
    distance = float(max((ranks[1:] - expected).max(), (expected - ranks[:-1]).max()))
    root = np.sqrt(values.size)
    scaled = (root + 0.12 + 0.11 / root) * distance  # Stephens, J. R. Stat. Soc. B 32(1), 1970
    terms = np.arange(1, 101)
    p_value = 2 * float(np.sum((-1.0) ** (terms - 1) * np.exp(-2 * (terms * scaled) ** 2)))
    return distance, float(np.clip(p_value, 0, 1)) if scaled > 0.2 else 1.0
