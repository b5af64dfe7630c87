"""Filters that change a frame's size: resize, crop and scan conversion; the spacing and the pose follow the pixels."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from functools import lru_cache

import cv2
import numpy as np

from edgerecon.beamform.grids import PolarGrid
from edgerecon.core.frame import MAX_PIXELS, Image
from edgerecon.stream.filters.filter import Move, Parameter, Place, Run, StreamFilter
from edgerecon.stream.picture.box import outside_fault

_SIDE = (1, 8192)


def resize(width: int, height: int) -> Run:
    """To a size in pixels: areas are averaged where it shrinks, else interpolated linearly."""

    def run(image: Image) -> Image:
        shrinks = width * height < image.size
        how = cv2.INTER_AREA if shrinks else cv2.INTER_LINEAR
        return np.asarray(cv2.resize(image, (width, height), interpolation=how), np.float32)

    return run


def resized(width: int, height: int) -> Move:
    """The frame keeps its extent in the body."""

    def move(place: Place, before: Sequence[int], after: Sequence[int]) -> Place:
        spacing = place.spacing_mm
        if spacing is not None:
            spacing = (spacing[0] * before[0] / after[0], spacing[1] * before[1] / after[1])
        return Place(spacing, place.pose and place.pose.resized(before, after))

    return move


def crop(x: int, y: int, width: int, height: int) -> Run:
    """A box in pixels.

    Raises:
        ValueError, on a frame: the box is not within it.
    """

    def run(image: Image) -> Image:
        if fault := outside_fault((x, y, width, height), image.shape):
            raise ValueError(fault)
        return np.ascontiguousarray(image[y : y + height, x : x + width])

    return run


def cropped(x: int, y: int, width: int, height: int) -> Move:
    """Pixels keep their size and their place in the body."""

    def move(place: Place, before: Sequence[int], after: Sequence[int]) -> Place:
        return replace(place, pose=place.pose and place.pose.cropped((y, x), (height, width), before))

    return move


def scan_conversion(angle: float, start: float, width: int) -> Run:
    """Beams of a sector probe, one a column, as the sector that they scanned; black outside.

    Args:
        angle: of the whole sector, degrees. start: of the first sample's depth over the last one's, from the apex.
        width: of the picture, pixels; its height follows.
    """
    return lambda image: _sector(image.shape[0], image.shape[1], angle, start, width).picture(image)


def scan_converted(angle: float, start: float, width: int) -> Move:
    """Rows of beams are ranges, which say how large the sector is. A plane of beams is no plane of pixels: where the
    picture lies is unknown; what a tracker reported stays."""

    def move(place: Place, before: Sequence[int], after: Sequence[int]) -> Place:
        spacing = None
        if place.spacing_mm is not None and before[0] > 1:
            deepest_mm = place.spacing_mm[0] * (before[0] - 1) / (1 - start)
            step_mm = _sector(before[0], before[1], angle, start, width).spacing_mm[0] * 1e-3 * deepest_mm
            spacing = (step_mm, step_mm)
        return Place(spacing, place.pose and replace(place.pose, plane=None))

    return move


@lru_cache(maxsize=4)
def _sector(samples: int, beams: int, angle: float, start: float, width: int) -> PolarGrid:
    """Of beams of so many samples, the last of them 1 away from the apex.

    Raises:
        ValueError: the picture is too large.
    """
    half = np.deg2rad(angle / 2)
    across, down = 2 * np.sin(half), 1 - start * np.cos(half)
    if (pixels := width**2 * down / across) > MAX_PIXELS:
        raise ValueError(
            f"a sector of {angle:g}° that is {width} pixels wide has {pixels:.2g} of them: give a smaller width"
        )
    return PolarGrid(np.linspace(start, 1, samples), np.linspace(-half, half, beams), columns=width)


FILTERS = (
    StreamFilter(
        "resize",
        "to a size in pixels",
        (Parameter("width", 512, *_SIDE, whole=True), Parameter("height", 512, *_SIDE, whole=True)),
        resize,
        move=resized,
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
        move=cropped,
    ),
    StreamFilter(
        "scan-conversion",
        "beams, one a column, as the sector that they scanned",
        (
            Parameter("angle", 75, 1, 180),
            Parameter("start", 0, 0, 0.95),
            Parameter("width", 512, 2, 8192, whole=True),
        ),
        scan_conversion,
        move=scan_converted,
    ),
)
