"""Non-local means for speckle, with the Pearson distance."""

from __future__ import annotations

import cv2
import numpy as np

from edgerecon.core.frame import Image
from edgerecon.quality.filters.filter import Filter


def pearson_non_local_means(image: Image, h: float, patch: int = 5, search: int = 6, floor: float = 0.02) -> Image:
    """Non-local means whose noise grows with the signal: Coupé et al., IEEE Trans. Image Process. 18(10), 2009.

    With speckle u + √u·η the patches at p and q are compared by the Pearson distance Σ (u(p) − u(q))² / u(q), averaged
    over the patch; the weight is exp(−distance / h²). Pixel by pixel rather than by blocks, one shifted image after
    another: (2·search + 1)² box filters.

    Args:
        h: filter strength, in square roots of display values. patch: side in pixels, odd. search: reach in pixels.
        floor: added to the divisor, so that black pixels have a distance.
    """
    height, width = image.shape
    padded = cv2.copyMakeBorder(image, search, search, search, search, cv2.BORDER_REFLECT)
    total, weights = np.zeros_like(image), np.zeros_like(image)
    for down in range(2 * search + 1):
        for along in range(2 * search + 1):
            other = padded[down : down + height, along : along + width]
            distance = cv2.boxFilter((image - other) ** 2 / (other + np.float32(floor)), -1, (patch, patch))
            weight = cv2.exp(distance * np.float32(-1 / h**2))
            total += weight * other
            weights += weight
    return np.asarray(total / weights, np.float32)


FILTERS = (
    Filter(
        "Pearson non-local means",
        pearson_non_local_means,
        tuple({"h": h} for h in (0.06, 0.09, 0.12, 0.16, 0.22, 0.3)),
    ),
)
