"""Filters that change a frame's size: resize, crop and scan conversion."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from edgerecon.core.frame import Image
from edgerecon.stream.filters.filter import Parameter, Run, StreamFilter

_SIDE = (1, 8192)


def resize(width: int, height: int) -> Run:
    """To a size in pixels: areas are averaged where it shrinks, else interpolated linearly."""

    def run(image: Image) -> Image:
        shrinks = width * height < image.size
        how = cv2.INTER_AREA if shrinks else cv2.INTER_LINEAR
        return np.asarray(cv2.resize(image, (width, height), interpolation=how), np.float32)

    return run


def crop(x: int, y: int, width: int, height: int) -> Run:
    """A box in pixels.

    Raises:
        ValueError, on a frame: the box is not within it.
    """

    def run(image: Image) -> Image:
        if x + width > image.shape[1] or y + height > image.shape[0]:
            raise ValueError(f"the box {x},{y},{width},{height} is not within {image.shape[1]}×{image.shape[0]}")
        return np.ascontiguousarray(image[y : y + height, x : x + width])

    return run


def scan_conversion(angle: float, start: float, height: int) -> Run:
    """Beams of a sector probe, one a column, as the sector that they scanned; black outside.

    Args:
        angle: of the whole sector, degrees. start: of the first sample's depth over the last one's, from the apex.
        height: of the picture, pixels; its width follows.
    """
    half = np.deg2rad(angle / 2)
    top = start * np.cos(half)
    step = (1 - top) / max(height - 1, 1)
    width = max(2, 2 * round(np.sin(min(half, np.pi / 2)) / step / 2))
    rows = top + step * np.arange(height)[:, None]
    columns = step * (np.arange(width) - (width - 1) / 2)[None]
    radius, beam = np.hypot(rows, columns), np.arctan2(columns, rows)
    maps: dict[tuple[int, ...], tuple[NDArray[np.float32], NDArray[np.float32]]] = {}

    def run(image: Image) -> Image:
        if image.shape not in maps:
            samples, beams = image.shape
            maps.clear()
            maps[image.shape] = (
                np.asarray((beam / half + 1) / 2 * (beams - 1), np.float32),
                np.asarray((radius - start) / (1 - start) * (samples - 1), np.float32),
            )
        across, down = maps[image.shape]
        return np.asarray(cv2.remap(image, across, down, cv2.INTER_LINEAR), np.float32)

    return run


FILTERS = (
    StreamFilter(
        "resize",
        "to a size in pixels",
        (Parameter("width", 512, *_SIDE, whole=True), Parameter("height", 512, *_SIDE, whole=True)),
        resize,
        resizes=True,
        scales_spacing=True,
    ),
    StreamFilter(
        "crop",
        "a box of the frame",
        (
            Parameter("x", 0, 0, 8192, whole=True),
            Parameter("y", 0, 0, 8192, whole=True),
            Parameter("width", 256, *_SIDE, whole=True),
            Parameter("height", 256, *_SIDE, whole=True),
        ),
        crop,
        resizes=True,
    ),
    StreamFilter(
        "scan-conversion",
        "beams, one a column, as the sector that they scanned",
        (
            Parameter("angle", 75, 1, 180),
            Parameter("start", 0, 0, 0.95),
            Parameter("height", 512, 2, 8192, whole=True),
        ),
        scan_conversion,
        resizes=True,
        keeps_spacing=False,
    ),
)
