"""Classical contrast enhancement on float32 (H, W) images in [0, 1]: stretching and histogram equalisation."""

from __future__ import annotations

from collections.abc import Callable

import cv2
import numpy as np

from edgerecon.core.frame import Image, to_uint8
from edgerecon.quality.filters.filter import Parameters


def stretching(image: Image, percent: float) -> Image:
    """(x − a) / (b − a), clipped, with a and b the ``percent`` and 100 − ``percent`` percentiles; in [0, 50).

    An image without contrast passes unchanged.
    """
    low, high = np.percentile(image, (percent, 100 - percent))
    if high <= low:
        return image.copy()
    return np.clip((image - low) / (high - low), 0, 1).astype(np.float32)


def equalisation(image: Image) -> Image:
    """Histogram equalisation at 8-bit levels: x → (F(x) − F(min)) / (1 − F(min)), F the share of pixels up to x."""
    return np.asarray(cv2.equalizeHist(to_uint8(image)) / np.float32(255), np.float32)


def clahe(image: Image, clip: float, tiles: int) -> Image:
    """Contrast-limited adaptive histogram equalisation (Zuiderveld, Graphics Gems IV, 1994), OpenCV's, at 8 bits.

    Args:
        clip: how much steeper than the identity a tile's mapping may get. tiles: across the image, each way.
    """
    mapping = cv2.createCLAHE(clip, (int(tiles), int(tiles)))
    return np.asarray(mapping.apply(to_uint8(image)) / np.float32(255), np.float32)


CONTRASTS: dict[str, Callable[..., Image]] = {
    "contrast stretching": stretching,
    "histogram equalisation": equalisation,
    "CLAHE": clahe,
}

GRIDS: dict[str, list[Parameters]] = {
    "contrast stretching": [{"percent": p} for p in (0.0, 0.5, 1.0, 2.0, 5.0)],
    "histogram equalisation": [{}],
    "CLAHE": [{"clip": c, "tiles": t} for t in (2, 4, 8) for c in (1.5, 2.0, 3.0, 5.0)],
}
"""Strengths to try, as in ``Filter.grid``."""
