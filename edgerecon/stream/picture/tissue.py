"""Where a frame shows tissue: everything but constant surroundings, graphics that stand still, and traces in them.

Surroundings are areas of one grey level, within what lossy compression does to it, that reach the frame's border.
Graphics (text, rulers, logos) are what never changes while the picture moves, and what lies isolated within the
surroundings. A trace (an electrocardiogram) is a line of one level in the surroundings that has one height a column.
Doubt means tissue: an area is left out only when it is still over all frames that were looked at, and graphics over
tissue are looked for only where nearly all of the tissue moves.
"""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np
from numpy.typing import NDArray

Mask = NDArray[np.uint8]
"""255 where a frame shows tissue, 0 elsewhere; (H, W)."""

Grey = NDArray[np.uint8]
"""A frame in grey levels, (H, W)."""

LOOKED_AT = 8
"""Frames over which what moves is told from what does not."""
TEXT_MOVES = 8
"""Grey levels by which lossy compression moves a pixel beside text."""
_TOLERANCE = 2
"""Grey levels by which it moves what is constant."""
_LARGE = 0.005
"""Share of the frame: a smaller area is no surroundings."""
_EVEN, _DENSE, _CLOSED = 0.85, 0.9, 9
"""Least share of the surroundings' pixels that is within one grey level of the most common one, and least share of them
where gaps of fewer pixels than that are closed. Dark tissue has more levels, and its speckle leaves holes."""
_ISLAND, _NEARLY_ALL = 0.05, 0.8
"""Largest share of the frame that a graphic within the surroundings has, and the share of it that stands still."""
_STILL = 0.1
"""Share of tissue that may stand still; above it the recording is a still, and motion tells no graphics."""
_COMMON = 0.05
"""Share of the border's pixels that a level of the surroundings has at least."""
_CONTRAST = 24
"""Least contrast of a graphic that lies over tissue, in grey levels."""
_TRACE_CONTRAST, _TRACE_WIDTH, _GAP, _ALIKE = 48, 0.1, 9, 0.4
"""Least contrast of a trace, its least width as a share of the frame's, the pixels between two parts of it, and by what
share its columns differ in brightness, as smoothed lines do."""
_Area = NDArray[np.bool_]


def find_tissue(frames: Sequence[Grey], motion: Grey | None = None) -> Mask:
    """Where tissue is, by frames of one screen layout, (H, W) each; the more that differ, the more is left out.

    One frame tells the surroundings, ``LOOKED_AT`` tell graphics and traces, too.

    Args:
        motion: see ``motion_of``, where it is known already.

    Examples:
        >>> frame = np.zeros((64, 64), np.uint8)
        >>> frame[16:48, 16:48] = np.random.default_rng(0).integers(1, 255, (32, 32))
        >>> mask = find_tissue([frame])
        >>> int(mask[0, 0]), int(mask[30, 30])
        (0, 255)
    """
    last, moved = frames[-1], motion_of(frames) if motion is None else motion
    outside = _surroundings(last, moved <= _TOLERANCE)
    if not outside.any():
        return np.full(last.shape, 255, np.uint8)
    settled = len(frames) >= LOOKED_AT
    pieces = _Pieces(~outside)
    outside |= pieces.where(pieces.still(moved <= TEXT_MOVES, _ISLAND if settled else _LARGE))
    if settled:
        outside |= _traces(frames, pieces, outside)
        outside |= _graphics(last, moved == 0, outside)
    if outside.all():  # a blank screen
        return np.full(last.shape, 255, np.uint8)
    return np.where(outside, 0, 255).astype(np.uint8)


def motion_of(frames: Sequence[Grey]) -> Grey:
    """Range of each pixel over the frames, (H, W)."""
    low = high = frames[0]
    for frame in frames[1:]:
        low, high = np.minimum(low, frame), np.maximum(high, frame)
    return np.asarray(high - low, np.uint8)


def _surroundings(frame: Grey, still: _Area) -> _Area:
    """Still and even areas of a grey level that is common at the border, that reach it and are large."""
    found = np.zeros(frame.shape, bool)
    for level in _common_levels(_border(frame)):
        like = (cv2.inRange(frame, level - _TOLERANCE, level + _TOLERANCE) > 0) & still
        count, labels, stats, _ = cv2.connectedComponentsWithStats(like.view(np.uint8), connectivity=4)
        large = np.zeros(count, bool)
        large[_border(labels)] = True
        large &= stats[:, cv2.CC_STAT_AREA] >= _LARGE * frame.size
        large[0] = False
        for label in np.flatnonzero(large):
            large[label] = _constant(frame, labels == label)
        found |= large[labels]
    return found


def _constant(frame: Grey, area: _Area) -> bool:
    """Whether an area of about one level is as even and as free of holes as what no echo has reached."""
    counts = np.bincount(frame[area], minlength=256)
    level, size = int(counts.argmax()), int(counts.sum())
    even = int(counts[max(0, level - 1) : level + 2].sum())
    closed = cv2.morphologyEx(area.view(np.uint8), cv2.MORPH_CLOSE, np.ones((_CLOSED, _CLOSED), np.uint8))
    return even >= _EVEN * size and size >= _DENSE * cv2.countNonZero(closed)


def _border(image: NDArray[np.generic]) -> NDArray[np.generic]:
    return np.concatenate([image[0], image[-1], image[:, 0], image[:, -1]])


def _common_levels(border: NDArray[np.generic]) -> list[int]:
    """Grey levels that many pixels of the border have, the most common first; three at most."""
    counts = np.bincount(border, minlength=256)
    levels = []
    for _ in range(3):
        level = int(counts.argmax())
        if counts[level] < _COMMON * border.size:
            break
        levels.append(level)
        counts[max(0, level - _TOLERANCE) : level + _TOLERANCE + 1] = 0
    return levels


class _Pieces:
    """What lies apart within the surroundings; the largest piece is tissue, whatever it looks like."""

    def __init__(self, inside: _Area) -> None:
        count, self.labels, self.stats, _ = cv2.connectedComponentsWithStats(inside.view(np.uint8), connectivity=8)
        self.area = self.stats[:, cv2.CC_STAT_AREA]
        self.small = np.ones(count, bool)
        self.small[0] = False  # the surroundings
        if count > 1:
            self.small[1 + int(self.area[1:].argmax())] = False

    def still(self, nearly_still: _Area, largest: float) -> _Area:
        """Which of them are graphics: of at most a share of the frame, and standing still."""
        still = np.bincount(self.labels[nearly_still], minlength=len(self.area))
        size = max(largest * self.labels.size, 1)
        return self.small & (still >= _NEARLY_ALL * self.area) & (self.area <= size)

    def where(self, chosen: _Area) -> _Area:
        """The pixels of the chosen pieces."""
        return np.asarray(chosen[self.labels]) if chosen.any() else np.zeros(self.labels.shape, bool)


def _traces(frames: Sequence[Grey], pieces: _Pieces, outside: _Area) -> _Area:
    """Strips of the surroundings in which a line of one level runs from side to side, and moves."""
    found = np.zeros(outside.shape, bool)
    moving = pieces.where(pieces.small) & ~outside
    if not moving.any():
        return found
    level = int(np.median(frames[-1][outside]))
    lines = [(cv2.absdiff(frame, np.full_like(frame, level)) > TEXT_MOVES) & moving for frame in frames]
    near = cv2.dilate(np.logical_or.reduce(lines).view(np.uint8), np.ones((_GAP, _GAP), np.uint8))
    tissue = ~(outside | moving)
    for x, y, width, height, _ in cv2.connectedComponentsWithStats(near, connectivity=8)[2][1:]:
        strip = slice(y, y + height), slice(x, x + width)
        runs = all(_is_line(line[strip], frame[strip]) for line, frame in zip(lines, frames, strict=True))
        if width >= _TRACE_WIDTH * outside.shape[1] and runs and not tissue[strip].any():
            found[strip] = True
    return found


def _is_line(lit: _Area, frame: Grey) -> bool:
    """Whether what is lit is drawn with about one level, and in nearly every column is one run."""
    columns = lit.any(0)
    if columns.mean() < 0.5:
        return False
    levels = np.where(lit, frame, 0).max(0)[columns].astype(np.float64)
    drawn = float(np.median(levels))
    alike = (np.abs(levels - drawn) <= _ALIKE * drawn).mean()
    starts = (np.diff(lit.view(np.int8), axis=0, prepend=0) > 0).sum(0)[columns]
    return bool(drawn >= _TRACE_CONTRAST and alike >= _NEARLY_ALL and (starts == 1).mean() >= 0.9)


def _graphics(frame: Grey, still: _Area, outside: _Area) -> _Area:
    """What stands still over tissue that moves, and is brighter than what is around it; with its dark rim."""
    tissue = ~outside
    if not tissue.any() or still[tissue].mean() > _STILL:
        return np.zeros(frame.shape, bool)
    edges = cv2.morphologyEx(frame, cv2.MORPH_GRADIENT, np.ones((3, 3), np.uint8)) >= _CONTRAST
    count, labels, stats, _ = cv2.connectedComponentsWithStats((still & tissue).view(np.uint8), connectivity=8)
    drawn = np.zeros(count, bool)
    drawn[labels[edges]] = True
    bright = np.zeros(count, bool)
    bright[labels[frame >= 2 * _CONTRAST]] = True  # else it is a cyst without any echo
    drawn &= bright & (stats[:, cv2.CC_STAT_AREA] >= 3)
    drawn[0] = False
    return np.asarray(drawn[labels])
