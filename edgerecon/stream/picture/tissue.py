"""Where a frame shows tissue: everything but constant surroundings and graphics that stand still.

Surroundings are flat areas of one grey level that reach the frame's border. Graphics (text, rulers, logos) are what
never changes while the picture moves, and what lies isolated within the surroundings. Doubt means tissue: an area is
left out only when it is flat or still over all frames that were looked at.
"""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from edgerecon.core.frame import Image

Mask = NDArray[np.uint8]
"""255 where a frame shows tissue, 0 elsewhere; (H, W)."""

LOOKED_AT = 8
"""Frames over which what moves is told from what does not."""
_LARGE = 0.005
"""Share of the frame: a smaller flat area is no surroundings, a smaller island in them is a graphic."""
_STILL = 0.5
"""Share of tissue that may stand still; above it the recording is a still, and motion tells no graphics."""
_CONTRAST = 24 / 255
"""Least contrast of a graphic that lies over tissue."""


class TissueFinder:
    """Looks at the first frames of a size, and says where tissue is.

    Example:
        >>> frame = np.zeros((64, 64), np.float32)
        >>> frame[16:48, 16:48] = np.random.default_rng(0).random((32, 32))
        >>> mask = TissueFinder().look(frame)
        >>> int(mask[0, 0]), int(mask[30, 30])
        (0, 255)
    """

    def __init__(self) -> None:
        self._seen = 0
        self._low: Image = np.empty((0, 0), np.float32)
        self._high: Image = self._low
        self._mask: Mask | None = None

    @property
    def settled(self) -> bool:
        """Whether all frames were looked at."""
        return self._seen >= LOOKED_AT

    def look(self, frame: Image) -> Mask:
        """Take one more frame, float32 (H, W) in [0, 1], into account; the mask so far."""
        if frame.shape != self._low.shape:
            self._low, self._high, self._seen = frame.copy(), frame.copy(), 0
        else:
            np.minimum(self._low, frame, out=self._low)
            np.maximum(self._high, frame, out=self._high)
        self._seen += 1
        if self._mask is None or self._seen in (1, LOOKED_AT):
            self._mask = self._find(frame)
        return self._mask

    def _find(self, frame: Image) -> Mask:
        still = (self._high == self._low).astype(np.uint8)
        outside = _surroundings(frame, still)
        if not outside.any():
            return np.full(frame.shape, 255, np.uint8)
        outside |= _islands(outside)
        if self._seen >= LOOKED_AT:
            outside |= _graphics(frame, still, outside)
        return np.where(outside, 0, 255).astype(np.uint8)


def _surroundings(frame: Image, still: Mask) -> NDArray[np.bool_]:
    """Still areas of one grey level that reach the border and are large."""
    flat = still.copy()
    for axis in (0, 1):
        same = (np.diff(frame, axis=axis) == 0).astype(np.uint8)
        pad = ((1, 0), (0, 0)) if axis == 0 else ((0, 0), (1, 0))
        after = ((0, 1), (0, 0)) if axis == 0 else ((0, 0), (0, 1))
        flat &= np.pad(same, pad, constant_values=1) & np.pad(same, after, constant_values=1)
    count, labels, stats, _ = cv2.connectedComponentsWithStats(flat, connectivity=4)
    large = np.zeros(count, bool)
    large[np.concatenate([labels[0], labels[-1], labels[:, 0], labels[:, -1]])] = True
    large &= stats[:, cv2.CC_STAT_AREA] >= _LARGE * frame.size
    large[0] = False
    if not large.any():
        return np.zeros(frame.shape, bool)
    found = large[labels]
    # Pixels of the same grey level beside what was found belong to it: their neighbours on the other side are tissue.
    beside = cv2.dilate(np.where(found, frame, np.float32(-1)), np.ones((3, 3), np.uint8))
    return np.asarray(found | ((beside == frame) & (still > 0)))


def _islands(outside: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Small areas that lie within the surroundings: text, rulers, logos."""
    inside = (~outside).astype(np.uint8)
    _, labels, stats, _ = cv2.connectedComponentsWithStats(inside, connectivity=8)
    small = stats[:, cv2.CC_STAT_AREA] < max(_LARGE * outside.size, 2)
    small[0] = False  # the surroundings themselves
    small[1 + int(np.argmax(stats[1:, cv2.CC_STAT_AREA])) if len(stats) > 1 else 0] = False  # the largest is tissue
    return np.asarray(small[labels])


def _graphics(frame: Image, still: Mask, outside: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """What stands still over tissue that moves, and is brighter or darker than what is around it."""
    tissue = ~outside
    if not tissue.any() or still[tissue].mean() > _STILL:
        return np.zeros(frame.shape, bool)
    edges = cv2.morphologyEx(frame, cv2.MORPH_GRADIENT, np.ones((3, 3), np.uint8)) >= _CONTRAST
    count, labels, stats, _ = cv2.connectedComponentsWithStats(
        (still.astype(bool) & tissue).astype(np.uint8), None, None, None, 8
    )
    drawn = np.zeros(count, bool)
    drawn[labels[edges]] = True
    drawn &= stats[:, cv2.CC_STAT_AREA] >= 3
    drawn[0] = False
    return np.asarray(drawn[labels])
