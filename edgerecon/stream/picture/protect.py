"""The model acts on tissue alone: what is not tissue passes bit for bit.

At the tissue's border the model sees tissue that goes on (the nearest pixel repeated) instead of black, so that nothing
spills out of the surroundings into the picture or the other way round.
"""

from __future__ import annotations

import re

import cv2
import numpy as np
from numpy.typing import NDArray

from edgerecon.core.errors import EngineError, UsageError
from edgerecon.core.frame import Image
from edgerecon.engines.base import Engine
from edgerecon.stream.picture.tissue import TEXT_MOVES, Mask, TissueFinder
from edgerecon.stream.sources.base import Source

AUTO, NONE = "auto", "none"
_REACH = 32
"""Pixels beyond the tissue that are filled with it; the shipped models see about as far."""
_SAMPLE, _CHANGED = 4096, 0.02
"""Pixels of the surroundings that are compared in each frame, and the share that may change before all is looked at
anew, as when a sonographer changes the layout of the screen."""

Box = tuple[int, int, int, int]
"""x, y, width, height in pixels."""


def parse_protect(text: str) -> str | Box:
    """ "auto", "none", or the tissue's box of "x,y,w,h".

    Raises:
        UsageError: anything else.

    Example:
        >>> parse_protect("10,20,300,200")
        (10, 20, 300, 200)
    """
    if text in (AUTO, NONE):
        return text
    if not re.fullmatch(r"[0-9]{1,5}(,[0-9]{1,5}){3}", text):
        raise UsageError(f"--protect is auto, none or the tissue's x,y,width,height in pixels, not '{text}'")
    x, y, width, height = map(int, text.split(","))
    if not (width and height):
        raise UsageError(f"--protect {text}: the tissue's box is empty")
    return x, y, width, height


def check_within(tissue: str | Box, source: Source) -> None:
    """Refuse a box that is not within the first frame of a recording; a live source is not asked.

    Raises:
        UsageError: it is not.
    """
    if isinstance(tissue, str) or getattr(source, "live", False):
        return
    first = next((capture.image for capture in source.frames() if capture.image is not None), None)
    if first is not None and (fault := _beyond(tissue, first.shape)):
        raise UsageError(f"--protect: {fault}")


def _beyond(box: Box, shape: tuple[int, ...]) -> str:
    x, y, width, height = box
    if x + width <= shape[1] and y + height <= shape[0]:
        return ""
    return f"the box {x},{y},{width},{height} is not within a frame of {shape[1]}×{shape[0]}"


class ProtectedEngine:
    """An engine that changes tissue alone.

    Args:
        engine: gives images of the frame's size; is closed with this one.
        tissue: "auto" to find it, or its box.

    Raises:
        EngineError, from ``run``: a box that is not within the frame.
    """

    def __init__(self, engine: Engine, tissue: str | Box = AUTO) -> None:
        self.spec = engine.spec
        self._engine = engine
        self._tissue = tissue
        self._finder = TissueFinder()
        self._mask: Mask | None = None
        self._forget()

    def run(self, frame: Image, out: Image | None = None) -> Image:
        """See ``edgerecon.engines.base.Engine.run``."""
        self._update(frame)
        if not self._acts:
            return self._engine.run(frame, out)
        rows, columns = self._seen
        np.copyto(self._filled[rows, columns], frame[rows, columns])
        np.take(frame.ravel(), self._nearest, out=self._replicated, mode="clip")  # other modes copy once more
        self._filled.ravel()[self._band] = self._replicated
        result = self._engine.run(self._filled, None if out is None or np.shares_memory(frame, out) else out)
        cv2.copyTo(frame, self._outside, result)
        if out is not None and result is not out:
            np.copyto(out, result)
            result = out
        return result

    def reset(self) -> None:
        """See ``Engine.reset``."""
        self._engine.reset()

    def close(self) -> None:
        """See ``Engine.close``."""
        self._engine.close()

    def _update(self, frame: Image) -> None:
        """Find the mask for this frame, or take it from the box; prepare what depends on it when it changes."""
        same_size = self._mask is not None and self._mask.shape == frame.shape
        if not isinstance(self._tissue, str):
            mask = self._mask if same_size and self._mask is not None else self._box(frame.shape, self._tissue)
        else:
            if same_size and self._finder.settled and self._moved(frame):
                self._forget()
            if not same_size and self._mask is not None:
                self._forget()
            mask = self._mask if self._finder.settled and self._mask is not None else self._finder.look(frame)
        if mask is not self._mask:
            self._prepare(mask, frame)

    def _forget(self) -> None:
        self._finder, self._mask, self._acts = TissueFinder(), None, False

    def _moved(self, frame: Image) -> bool:
        """Whether the surroundings have changed."""
        if not self._watched.size:
            return False
        return bool(np.mean(np.abs(frame.ravel()[self._watched] - self._levels) > TEXT_MOVES) > _CHANGED)

    def _box(self, shape: tuple[int, ...], box: Box) -> Mask:
        if fault := _beyond(box, shape):
            raise EngineError(fault)
        x, y, width, height = box
        mask = np.zeros(shape, np.uint8)
        mask[y : y + height, x : x + width] = 255
        return mask

    def _prepare(self, mask: Mask, frame: Image) -> None:
        self._mask, self._outside = mask, np.bitwise_not(mask)
        self._acts = bool(self._outside.any())
        self._filled = frame.copy()
        self._band, self._nearest = _nearest_tissue(mask)
        self._replicated = np.empty(len(self._band), np.float32)
        self._seen = _around_tissue(mask)
        watched = np.flatnonzero(self._outside)
        self._watched = watched[:: max(1, len(watched) // _SAMPLE)]
        self._levels = frame.ravel()[self._watched].copy()


def _around_tissue(mask: Mask) -> tuple[slice, slice]:
    """Rows and columns that hold the tissue and what the model sees around it."""
    x, y, width, height = cv2.boundingRect(mask)
    rows = slice(max(0, y - _REACH), y + height + _REACH)
    return rows, slice(max(0, x - _REACH), x + width + _REACH)


def _nearest_tissue(mask: Mask) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """Flat indices of the pixels within reach of tissue, and of the tissue pixel that is nearest to each."""
    if not (mask == 0).any() or not mask.any():
        return np.empty(0, np.intp), np.empty(0, np.intp)
    distance, labels = cv2.distanceTransformWithLabels(
        np.bitwise_not(mask), cv2.DIST_L2, cv2.DIST_MASK_5, labelType=cv2.DIST_LABEL_PIXEL
    )
    tissue = np.flatnonzero(mask)
    index = np.zeros(int(labels.max()) + 1, np.intp)
    index[labels.ravel()[tissue]] = tissue
    band = np.flatnonzero((mask == 0) & (distance <= _REACH))
    return band, index[labels.ravel()[band]]
