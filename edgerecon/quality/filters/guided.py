"""The guided filter."""

from __future__ import annotations

import cv2
import numpy as np

from edgerecon.core.frame import Image
from edgerecon.quality.filters.filter import Filter


def guided(image: Image, epsilon: float, radius: int = 4) -> Image:
    """Guided filter with the image as its own guide: He, Sun & Tang, IEEE Trans. Pattern Anal. 35(6), 2013, eqs. 5, 6.

    In every window the output is a·x + b with a = variance / (variance + epsilon); six box filters in all.

    Args:
        epsilon: variance in squared display values below which a window is smoothed. radius: of the window in pixels.
    """

    def mean(x: Image) -> Image:
        return np.asarray(cv2.boxFilter(x, -1, (2 * int(radius) + 1,) * 2, borderType=cv2.BORDER_REFLECT), np.float32)

    average = mean(image)
    variance = np.maximum(mean(image * image) - average**2, 0)
    gain = variance / (variance + np.float32(epsilon))
    return np.clip(mean(gain) * image + mean((1 - gain) * average), 0, 1)


FILTERS = (
    Filter(
        "guided filter",
        guided,
        tuple({"epsilon": e, "radius": r} for r in (2, 4) for e in (0.001, 0.003, 0.01, 0.03)),
    ),
)
