"""Finds the tissue of a stream while it runs, beside the way of the frames."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import Future, ThreadPoolExecutor

import cv2
import numpy as np

from edgerecon.core.frame import Image, to_uint8
from edgerecon.stream.picture.area import Area, Box, box_around
from edgerecon.stream.picture.tissue import LOOKED_AT, TEXT_MOVES, Grey, find_tissue, motion_of

SETTLED_AFTER = 2 * LOOKED_AT
"""Frames after which graphics and traces are known: as many again as are looked at, so that it is known in time."""
_PATIENCE = 8 * LOOKED_AT
"""Frames after which a picture that hardly changes is looked at no more."""
_CHANGED = 0.02
"""Share of the surroundings that may change before all is looked at anew, as when a sonographer changes the layout of
the screen."""
_WORTH = 0.75
"""A smaller box is taken when it has at most this part of the pixels: runtimes make themselves ready for a size."""


class TissueFinder:
    """Says for each frame where its tissue is.

    The first frame of a size tells the surroundings at once. The frames after it tell what else stands still: that is
    computed on another thread, and holds from a fixed frame on, so that a recording comes out alike each time. When the
    surroundings change, all of the frame is tissue until that is known again.

    Args:
        reach: pixels that the model sees beyond the tissue.
    """

    def __init__(self, reach: int) -> None:
        self._reach = reach
        self._start((0, 0))

    def area(self, frame: Image | Grey) -> Area:
        """Take one more frame into account, float32 (H, W) in [0, 1] or its grey levels; where its tissue is."""
        if frame.shape != self._shape:
            self._start(frame.shape)
            if frame.min() != frame.max():  # else it tells nothing, as the blank that an engine is warmed up with
                self._settle(find_area([_grey(frame)], self._reach))
        if self._finding is not None:
            self._wait_for(self._finding)
        elif self._looking:
            self._look(frame)
        elif self._changed(frame):
            self._start(frame.shape)
        return self._area

    def learn(self, frames: Sequence[Image]) -> None:
        """Take the first frames of a recording into account before it is played; they are of one size."""
        self._start(frames[0].shape)
        greys = [to_uint8(frame) for frame in frames]
        distinct = [grey for grey, before in zip(greys, [None, *greys], strict=False) if _is_news(grey, before)]
        if distinct:
            self._settle(find_area(distinct, self._reach))
            self._looking = False

    def _start(self, shape: tuple[int, ...]) -> None:
        self._shape = shape
        self._looked, self._frames, self._looking = 0, list[Grey](), True
        self._finding: Future[Area] | None = None
        self._settle(Area.of(np.full(shape, 255, np.uint8), 0))

    def _settle(self, area: Area) -> None:
        self._area = area
        self._levels: Grey | None = None

    def _look(self, frame: Image | Grey) -> None:
        grey = _grey(frame)
        self._looked += 1
        if _is_news(grey, self._frames[-1] if self._frames else None):
            self._frames.append(grey)
        if len(self._frames) == LOOKED_AT or (self._looked >= _PATIENCE and self._frames):
            frames, self._frames, self._looking = self._frames, [], False
            worker = ThreadPoolExecutor(1, "find tissue")
            self._finding, self._due = worker.submit(find_area, frames, self._reach, self._area.box), LOOKED_AT
            worker.shutdown(wait=False)

    def _wait_for(self, finding: Future[Area]) -> None:
        self._due -= 1
        if not self._due:
            self._settle(finding.result())
            self._finding = None

    def _changed(self, frame: Image | Grey) -> bool:
        """Whether the surroundings have changed since the first frame that this was asked of."""
        watched = frame.ravel()[self._area.watched]
        if not watched.size:
            return False
        seen = _grey(watched).ravel()
        if self._levels is None:
            self._levels = seen
        changed = np.mean(cv2.absdiff(seen, self._levels) > TEXT_MOVES) > _CHANGED
        return bool(changed) and frame.min() != frame.max()


def _grey(frame: Image | Grey) -> Grey:
    """Grey levels of a frame; of bytes a copy, since the frames after it come in the same memory."""
    return np.array(frame, np.uint8) if frame.dtype == np.uint8 else to_uint8(np.asarray(frame, np.float32))


def find_area(frames: Sequence[Grey], reach: int, box: Box | None = None) -> Area:
    """Where the tissue of some frames is.

    Args:
        box: is kept where it is hardly larger than needed.
    """
    motion = motion_of(frames)
    mask = find_tissue(frames, motion)
    needed = box_around(mask, reach)
    keeps = box is not None and _holds(box, needed) and _pixels(needed) > _WORTH * _pixels(box)
    return Area.of(mask, reach, box if keeps else None, motion <= TEXT_MOVES)


def _is_news(grey: Grey, before: Grey | None) -> bool:
    """Whether a frame tells something: a blank one does not, nor one that is shown again."""
    return bool(grey.min() != grey.max()) and not (before is not None and np.array_equal(before, grey))


def _holds(box: Box, other: Box) -> bool:
    return all(side.start <= one.start and one.stop <= side.stop for side, one in zip(box, other, strict=True))


def _pixels(box: Box) -> int:
    rows, columns = box
    return int((rows.stop - rows.start) * (columns.stop - columns.start))
