"""Minimum variance (Capon) with spatial smoothing, diagonal loading and a reduced space.

Of the n signals that a pixel's elements heard, every run of L = ``subaperture`` · n neighbours is a snapshot x_l. With
R their mean of x xᴴ, and a the vector of ones,

    w = R⁻¹a / (aᴴR⁻¹a),    y = n · mean_l wᴴx_l

R is first reduced to the ``reduction`` lowest frequencies of the subaperture (a discrete Fourier beamspace), which
costs some resolution and turns an inversion of L × L into one of a few.

Synnevåg, Austeng & Holm, IEEE TUFFC 54(8), 2007 and 56(9), 2009; Nilsen & Hafizovic, IEEE TUFFC 56(10), 2009.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from edgerecon.beamform.methods.method import Complex, Method
from edgerecon.beamform.settings import Settings


def minimum_variance(signals: Complex, heard: NDArray[np.bool_], settings: Settings) -> Complex:
    """See the module. signals: (P, N) unweighted; heard: (P, N), a run of elements in each pixel; → (P,)."""
    count = heard.sum(1)
    first = heard.argmax(1)
    found = np.zeros(len(signals), np.complex64)
    for number in np.unique(count):
        pixels = np.flatnonzero(count == number)
        if number < 4:  # too few to estimate anything
            found[pixels] = signals[pixels].sum(1)
            continue
        run = np.take_along_axis(signals[pixels], first[pixels, None] + np.arange(number), 1)
        found[pixels] = _capon(run.astype(np.complex128), int(number), settings)
    return found


def _capon(run: NDArray[np.complex128], count: int, settings: Settings) -> NDArray[np.complex128]:
    length = max(2, int(settings.subaperture * count))
    snapshots = np.lib.stride_tricks.sliding_window_view(run, length, axis=1)  # (P, runs, L)
    base = _beamspace(length, settings.reduction)
    snapshots = snapshots @ base.conj()
    steering = base.conj().sum(0)
    size = steering.size
    covariance = np.einsum("pli,plj->pij", snapshots, snapshots.conj()) / snapshots.shape[1]
    power = np.trace(covariance, axis1=1, axis2=2).real / size
    covariance += (settings.loading * power + 1e-30)[:, None, None] * np.eye(size)
    inverse = np.linalg.solve(covariance, np.broadcast_to(steering, (len(run), size))[..., None])[..., 0]
    weights = inverse / (steering.conj() * inverse).sum(1)[:, None]
    return count * (weights.conj() * snapshots.mean(1)).sum(1)


def _beamspace(length: int, reduction: int) -> NDArray[np.complex128]:
    """(L, K) orthonormal: the lowest frequencies, or all of the space."""
    if not 0 < reduction < length:
        return np.eye(length, dtype=np.complex128)
    lowest = np.arange(reduction) - reduction // 2
    return np.exp(2j * np.pi * np.outer(np.arange(length), lowest) / length) / np.sqrt(length)


METHOD = Method("mv", "minimum variance", combine=minimum_variance)
