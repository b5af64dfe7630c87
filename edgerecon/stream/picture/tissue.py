"""Where a frame shows tissue: everything but constant surroundings and graphics that stand still.

Surroundings are areas of one grey level, within what lossy compression does to it, that reach the frame's border.
Graphics (text, rulers, logos) are what never changes while the picture moves, and what lies isolated within the
surroundings. Doubt means tissue: an area is left out only when it is still over all frames that were looked at, and
graphics over tissue are looked for only where nearly all of the tissue moves.
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
"""Share of the frame: a smaller area is no surroundings."""
_ISLAND, _NEARLY_ALL, TEXT_MOVES = 0.05, 0.8, 8 / 255
"""Largest share of the frame that a graphic within the surroundings has, the share of its pixels that stand still, and
how much lossy compression moves a pixel beside text."""
_STILL = 0.1
"""Share of tissue that may stand still; above it the recording is a still, and motion tells no graphics."""
_TOLERANCE = 2.5 / 255
"""Grey levels by which lossy compression moves what is constant."""
_COMMON = 0.05
"""Share of the border's pixels that a level of the surroundings has at least."""
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
        """Take one more frame, float32 (H, W) in [0, 1], into account; the mask so far.

        A frame of one grey level, as an engine is warmed up with, tells nothing and is not counted.
        """
        if frame.min() == frame.max():
            return np.full(frame.shape, 255, np.uint8)
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
        moved = self._high - self._low
        still = (moved <= _TOLERANCE).astype(np.uint8)
        outside = _surroundings(frame, still)
        if not outside.any():
            return np.full(frame.shape, 255, np.uint8)
        settled = self._seen >= LOOKED_AT
        nearly_still = (moved <= TEXT_MOVES).astype(np.uint8)
        outside |= _islands(outside, nearly_still, _ISLAND if settled else _LARGE)
        if settled:
            outside |= _graphics(frame, (moved == 0).astype(np.uint8), outside)
        return np.where(outside, 0, 255).astype(np.uint8)


def _surroundings(frame: Image, still: Mask) -> NDArray[np.bool_]:
    """Still areas of a grey level that is common at the border, that reach it and are large."""
    border = np.concatenate([frame[0], frame[-1], frame[:, 0], frame[:, -1]])
    found = np.zeros(frame.shape, bool)
    for level in _common_levels(border):
        like = ((np.abs(frame - level) <= _TOLERANCE) & (still > 0)).astype(np.uint8)
        count, labels, stats, _ = cv2.connectedComponentsWithStats(like, connectivity=4)
        large = np.zeros(count, bool)
        large[np.concatenate([labels[0], labels[-1], labels[:, 0], labels[:, -1]])] = True
        large &= stats[:, cv2.CC_STAT_AREA] >= _LARGE * frame.size
        large[0] = False
        found |= large[labels]
    return found


def _common_levels(border: Image) -> list[float]:
    """Grey levels that many pixels of the border have, the most common first; three at most."""
    counts = np.bincount(np.rint(border * 255).astype(np.intp), minlength=256)
    levels = []
    for _ in range(3):
        level = int(counts.argmax())
        if counts[level] < _COMMON * border.size:
            break
        levels.append(level / 255)
        counts[max(0, level - 2) : level + 3] = 0
    return levels


def _islands(outside: NDArray[np.bool_], nearly_still: Mask, largest: float) -> NDArray[np.bool_]:
    """Areas of at most a share of the frame that lie within the surroundings and stand still: text, rulers, menus."""
    count, labels, stats, _ = cv2.connectedComponentsWithStats((~outside).astype(np.uint8), connectivity=8)
    if count < 3:  # the surroundings and the tissue
        return np.zeros(outside.shape, bool)
    area = stats[:, cv2.CC_STAT_AREA]
    still = np.bincount(labels.ravel(), nearly_still.ravel(), minlength=count) >= _NEARLY_ALL * area
    graphic = still & (area <= max(largest * outside.size, 1))
    graphic[[0, 1 + int(area[1:].argmax())]] = False  # the surroundings, and the largest area, which is tissue
    return np.asarray(graphic[labels])


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
