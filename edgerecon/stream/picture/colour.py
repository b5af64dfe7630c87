"""Colour in a frame: flow, elastography, traces and text that a scanner draws in colour. It passes as it came.

A model sees grey levels, and was trained on speckle alone: what is drawn in colour over it is no speckle. A frame whose
tissue is tinted as a whole, as by a scanner's sepia map, holds no such drawing.
"""

from __future__ import annotations

from functools import cache

import cv2
import numpy as np
from numpy.typing import NDArray

from edgerecon.core.frame import Colour, RawImage, rgb_bytes

_SPREAD = 24
"""Grey levels between the channels of a pixel that is coloured; lossy compression spreads them by less."""
_SPECK = 6
"""Pixels: a smaller area of colour is noise."""
_GAP, _RIM = 9, 2
"""Pixels between two parts of one coloured area, and of its rim, which is blended with what is around it."""
_BOX, _FILLED = 0.002, 0.5
"""Least share of the frame that a box has, and the least share of it that is coloured: then all of it passes."""
_MARK = 0.0075
"""Largest share of the frame that a mark or a button has."""
_TINTED, _ONE_HUE = 0.6, 0.95
"""Shares of a tinted picture: of what is not black, what is coloured; of that, where the same channel is strongest."""
_BLACK, _EVERY = 16, 3
"""The brightest black, and how many pixels there are for one that is looked at."""
_AT_ONCE = 24_576
"""Bytes that are compared at once: they stay in the cache."""
Mask = NDArray[np.uint8]


def find_colour(raw: RawImage) -> Colour | None:
    """What is drawn in colour in a captured frame, (H, W, 3) RGB or (H, W, 4) RGBA; None in any other, and for none.

    Examples:
        >>> frame = np.full((40, 60, 3), 90, np.uint8)
        >>> find_colour(frame) is None
        True
        >>> frame[10:30, 20:40, 0] = 200
        >>> found = find_colour(frame)
        >>> bool(found.where[20, 30]), bool(found.where[0, 0])
        (True, False)
    """
    if raw.ndim != 3 or raw.shape[2] < 3:
        return None
    if raw.dtype == np.uint8 and _is_grey(raw):
        return None
    rgb = rgb_bytes(raw)
    channels = cv2.split(rgb)
    brightest = cv2.max(cv2.max(channels[0], channels[1]), channels[2])
    darkest = cv2.min(cv2.min(channels[0], channels[1]), channels[2])
    coloured = cv2.threshold(cv2.subtract(brightest, darkest), _SPREAD, 255, cv2.THRESH_BINARY)[1]
    if _is_tinted(rgb, np.asarray(coloured), np.asarray(brightest)):
        return None
    return _areas(rgb, np.asarray(coloured, np.uint8))


def _is_grey(raw: NDArray[np.uint8]) -> bool:
    """Whether no two channels of a pixel differ much: by differences of neighbouring bytes, some rows at a time."""
    height, width, channels = raw.shape
    within = _within_pixels(width, channels)
    rows = max(1, _AT_ONCE // (width * channels))
    for top in range(0, height, rows):
        part = np.ascontiguousarray(raw[top : top + rows]).reshape(-1, width * channels)
        apart = cv2.absdiff(part[:, 1:], part[:, :-1])
        if cv2.norm(cv2.bitwise_and(apart, within[: len(apart)], dst=apart), cv2.NORM_INF) > _SPREAD // 2:
            return False
    return True


@cache
def _within_pixels(width: int, channels: int) -> NDArray[np.uint8]:
    """255 where two neighbouring bytes are colours of one pixel."""
    pixel = np.array([255, 255, 0, 0][:channels], np.uint8)
    row = np.resize(pixel, width * channels - 1)
    return np.repeat(row[None], max(1, _AT_ONCE // (width * channels)), 0)


def _areas(rgb: NDArray[np.uint8], coloured: Mask) -> Colour | None:
    """Coloured areas with their gaps and rims; None where there are none."""
    x, y, width, height = cv2.boundingRect(coloured)
    grown = _GAP + _RIM
    rows = slice(max(0, y - grown), y + height + grown)
    columns = slice(max(0, x - grown), x + width + grown)
    part = coloured[rows, columns]
    closed = cv2.morphologyEx(part, cv2.MORPH_CLOSE, np.ones((_GAP, _GAP), np.uint8))
    count, labels, stats, _ = cv2.connectedComponentsWithStats(closed, connectivity=8)
    held = np.bincount(labels[part > 0], minlength=count)
    held[0] = 0
    boxes = stats[:, cv2.CC_STAT_WIDTH] * stats[:, cv2.CC_STAT_HEIGHT]
    areas = held >= _SPECK
    whole = areas & (boxes >= _BOX * coloured.size) & (held >= _FILLED * boxes)
    if not areas.any():
        return None
    found = np.where(areas, np.uint8(255), np.uint8(0))[labels]
    for left, top, wide, high, _ in stats[whole]:
        found[top : top + high, left : left + wide] = 255
    largest = int(np.where(whole, boxes, held)[areas].max())
    where = np.zeros_like(coloured)
    where[rows, columns] = cv2.dilate(found, np.ones((2 * _RIM + 1,) * 2, np.uint8))
    return Colour(rgb, where, largest > _MARK * where.size)


def _is_tinted(rgb: NDArray[np.uint8], coloured: Mask, brightest: Mask) -> bool:
    """Whether it is all of the picture that is coloured, and in one hue: told by some of the pixels."""
    some = np.s_[::_EVERY, ::_EVERY]
    lit = brightest[some] > _BLACK
    hues = lit & (coloured[some] > 0)
    if hues.sum() < _TINTED * lit.sum():
        return False
    strongest = np.bincount(rgb[some][hues].argmax(1), minlength=3)
    return bool(strongest.max() >= _ONE_HUE * strongest.sum())
