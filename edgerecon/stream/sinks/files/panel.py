"""Fits frames of any size into a panel of one size, so that a recording keeps it."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from edgerecon.core.frame import Image, to_uint8


def fit(image: Image, panel: Image) -> None:
    """Write an image into a panel: as it is when the sizes agree, else scaled to fit and centred on black.

    Args:
        image: float32 (h, w) in [0, 1].
        panel: float32 (H, W), written in place.
    """
    if image.shape == panel.shape:
        np.copyto(panel, image)
        return
    height, width = panel.shape
    shrink = min(height / image.shape[0], width / image.shape[1])
    h, w = (max(1, round(side * shrink)) for side in image.shape)
    top, left = (height - h) // 2, (width - w) // 2
    panel.fill(0.0)
    method = cv2.INTER_AREA if shrink < 1 else cv2.INTER_LINEAR
    panel[top : top + h, left : left + w] = cv2.resize(image, (w, h), interpolation=method)


def fit_uint8(image: Image, panel: Image, out: NDArray[np.uint8]) -> None:
    """Write an image into ``out`` (H, W), rounded to 8 bits; ``panel`` (H, W) is room to work in."""
    if image.shape != panel.shape:
        fit(image, panel)
        image = panel
    to_uint8(image, out)
