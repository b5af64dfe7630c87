"""What a patch of a display looks like, in numbers: its grain, its grey levels, and how strongly they vary."""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np
from numpy.typing import NDArray

from edgerecon.core.frame import Image

PATCH = 128
"""Pixels on a side."""
_COARSE, _NEAR = 8.0, 3.0
"""σ in pixels: of what is no grain any more, and of the neighbourhood that a deviation is of."""
_LEVELS = (0.1, 0.5, 0.9)
_TERCILES = (0.17, 0.5, 0.83)
_SEEN = np.array([0.2, 0.2, 0.06, 0.06, 0.06, 0.25, 0.25, 0.25])
"""What makes a difference: a fifth in the grain, 15 grey levels, a quarter in the deviation."""
_BLACK, _WHITE = 12 / 255, 240 / 255
_CALM, _LEAST_DEVIATION = 0.2, 1.5 / 255
"""Quantile of the local deviation, and the least that speckle has there; what is no ultrasound is flat in places."""


def describe(patch: Image) -> NDArray[np.float64]:
    """Eight numbers: logarithms of the grain's height and width in pixels; the 10 %, 50 % and 90 % levels; logarithms
    of the local deviation where it is dark, in between and bright.

    The grain is where the autocorrelation of what is finer than ``_COARSE`` has fallen to half, as in Wagner et al.
    (IEEE Trans. Sonics Ultrason. 30, 1983); deviation over level tells looks, dynamic range and grey map together.
    """
    mean = cv2.GaussianBlur(patch, (0, 0), _COARSE)
    fine = patch - mean
    high, wide = _half_width(fine, 0), _half_width(fine, 1)
    deviation = _deviation(patch)
    level = np.asarray(cv2.GaussianBlur(patch, (0, 0), _NEAR), np.float32).ravel()
    bounds = np.quantile(level, _TERCILES)
    spread = [float(np.median(deviation.ravel()[_about(level, bound)])) for bound in bounds]
    numbers = [np.log(high), np.log(wide), *np.quantile(patch, _LEVELS), *np.log(np.maximum(spread, 1e-3))]
    return np.array(numbers, np.float64)


def distances(looks: NDArray[np.float64], others: NDArray[np.float64]) -> NDArray[np.float64]:
    """Between each of (N, 8) and each of (M, 8), in differences that a reader begins to see: (N, M)."""
    return np.asarray(np.sqrt((((looks[:, None] - others[None]) / _SEEN) ** 2).mean(-1)))


def is_speckled(patches: Sequence[Image]) -> bool:
    """Whether even the calmest parts of most patches vary, as speckle does; what is black or white is not asked."""
    calm = []
    for patch in patches:
        level = cv2.GaussianBlur(patch, (0, 0), _NEAR)
        grey = _deviation(patch - cv2.GaussianBlur(patch, (0, 0), _COARSE))[(level > _BLACK) & (level < _WHITE)]
        calm.append(float(np.quantile(grey, _CALM)) if grey.size else 0.0)
    return float(np.median(calm)) >= _LEAST_DEVIATION


def _half_width(fine: Image, axis: int) -> float:
    """Lag in pixels at which the autocorrelation along an axis has fallen to half."""
    spectrum = np.fft.rfft(fine - fine.mean(), n=2 * fine.shape[axis], axis=axis)
    correlation = np.fft.irfft(np.abs(spectrum) ** 2, axis=axis).mean(1 - axis)
    correlation = correlation[: fine.shape[axis]] / max(float(correlation[0]), 1e-12)
    below = int(np.argmax(correlation < 0.5))
    if below == 0:
        return float(len(correlation))
    before, after = correlation[below - 1], correlation[below]
    return float(below - 1 + (before - 0.5) / max(before - after, 1e-12))


def _deviation(patch: Image) -> Image:
    mean = cv2.GaussianBlur(patch, (0, 0), _NEAR)
    return np.sqrt(np.maximum(cv2.GaussianBlur(patch * patch, (0, 0), _NEAR) - mean * mean, 0))


def _about(level: NDArray[np.float32], bound: float) -> NDArray[np.intp]:
    """The tenth of the pixels whose level is nearest to a bound."""
    return np.argpartition(np.abs(level - bound), level.size // 10)[: level.size // 10]
