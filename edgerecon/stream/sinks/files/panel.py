"""Fits frames of any size into a panel of one size, so that a recording keeps it."""

from __future__ import annotations

import logging

import cv2
import numpy as np
from numpy.typing import NDArray

from edgerecon.core.frame import Colour, Frame, Image, to_rgb, to_uint8, to_unit

_log = logging.getLogger(__name__)


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


def _has_colour(colour: Colour | None) -> bool:
    return colour is not None and colour.large


class Canvas:
    """What frames of a recording are written into: of the first one's size, and in colour when that one has colour.

    Attributes:
        size: (H, W). shape: (H, W), or (H, W, 3) in colour.
    """

    def __init__(self, first: Frame) -> None:
        self.size: tuple[int, int] = (first.pixels.shape[0], first.pixels.shape[1])
        self.shape: tuple[int, ...] = (*self.size, 3) if _has_colour(first.drawn) else self.size
        self._panel = np.empty(self.size, np.float32)
        self._told = False

    def draw(self, pixels: Image, colour: Colour | None, out: NDArray[np.uint8]) -> None:
        """Write a picture into ``out``, of ``shape``, rounded to 8 bits; one of another size is letterboxed."""
        if len(self.shape) == 3:
            self._draw_colours(to_rgb(pixels, colour), out)
            return
        if _has_colour(colour) and not self._told:
            self._told = True
            _log.warning("colour begins behind the first frame: it is recorded in grey levels")
        fit_uint8(pixels, self._panel, out)

    def _draw_colours(self, rgb: NDArray[np.uint8], out: NDArray[np.uint8]) -> None:
        if rgb.shape == out.shape:
            np.copyto(out, rgb)
            return
        layer = np.empty(self.size, np.uint8)
        for channel in range(3):
            fit_uint8(to_unit(np.ascontiguousarray(rgb[:, :, channel])), self._panel, layer)
            out[:, :, channel] = layer
