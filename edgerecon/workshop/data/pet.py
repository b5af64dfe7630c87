"""Sparse positron emission tomography of a slice: few events, few angles, a background of scatter and randoms.

    y ~ Poisson(k·(A x) + b),   k such that a slice gives ``Scan.events`` true coincidences, b a share of them, even

A is parallel-beam projection, taken on a finer grid than any method reconstructs on (``fine_ct``). Attenuation counts
as corrected. The classical reconstructions are filtered back-projection of (y − b)/k and maximum likelihood by
expectation maximisation (Shepp & Vardi, IEEE Trans. Med. Imaging 1(2), 1982):

    x ← x / (Aᵀ1) · Aᵀ(y / (A x + b/k)) / k
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edgerecon.workshop.data import ct, fine_ct

Array = NDArray[Any]


@dataclass(frozen=True)
class Scan:
    """views: over 180°. events: true coincidences of a slice. background: scatter and randoms, as a share of them."""

    views: int
    events: float
    background: float


@dataclass(frozen=True)
class Sinogram:
    """counts (size, views). gain: k. background: b, counts in every cell."""

    counts: NDArray[np.float64]
    gain: float
    background: float


def measure(fine: Array, scan: Scan, rng: np.random.Generator) -> Sinogram:
    """The events of activity (2·size, 2·size) in [0, 1]; nothing may lie outside the circle that fits in."""
    expected = fine_ct.project(fine, ct.Scan(scan.views, 1.0).angles)
    gain = scan.events / max(float(expected.sum()), 1e-12)
    background = scan.background * scan.events / expected.size
    return Sinogram(rng.poisson(gain * expected + background).astype(np.float64), gain, background)


def filtered_back_projection(found: Sinogram, filter_name: ct.Filter = "hann") -> NDArray[np.float32]:
    """float32 (size, size) in [0, 1]."""
    return ct.filtered_back_projection((found.counts - found.background) / found.gain, filter_name)


def maximum_likelihood(found: Sinogram, iterations: int) -> NDArray[np.float32]:
    """float32 (size, size) in [0, 1]. Early stopping is the only regulariser: noise grows with every iteration."""
    size, views = found.counts.shape
    sensitivity = np.maximum(ct.back_project(np.ones_like(found.counts)), 1e-6)
    x = np.full((size, size), 0.5)
    for _ in range(iterations):
        expected = ct.project(x, views) + found.background / found.gain
        x = x / sensitivity * ct.back_project(found.counts / found.gain / np.maximum(expected, 1e-9))
    return np.clip(x, 0, 1).astype(np.float32)
