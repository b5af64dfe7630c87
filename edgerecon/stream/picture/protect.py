"""The model acts on tissue alone: what is not tissue passes bit for bit, and costs the model no time.

At the tissue's border the model sees tissue that goes on (the nearest pixel repeated) instead of black.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from contextlib import suppress
from functools import partial
from itertools import islice
from typing import TypeVar

import numpy as np

from edgerecon.core.errors import EngineError
from edgerecon.core.frame import GreyLevels, Image, to_unit
from edgerecon.engines.base import ByteEngine, Engine, takes_bytes
from edgerecon.engines.wrapped import WrappedEngine
from edgerecon.stream.picture.area import Area, whole_frame
from edgerecon.stream.picture.box import Box, outside_fault, parse_box
from edgerecon.stream.picture.finder import SETTLED_AFTER, TissueFinder
from edgerecon.stream.sources.base import Source

AUTO, NONE = "auto", "none"
Pixels = TypeVar("Pixels", Image, GreyLevels)
_log = logging.getLogger(__name__)


def parse_protect(text: str) -> str | Box:
    """ "auto", "none", or the tissue's box of "x,y,w,h".

    Raises:
        UsageError: anything else.

    Examples:
        >>> parse_protect("10,20,300,200")
        (10, 20, 300, 200)
    """
    if text in (AUTO, NONE):
        return text
    return parse_box(text, "--protect", "auto, none or the tissue's x,y,width,height")


def first_frames(source: Source) -> list[Image]:
    """The first frames of a recording that tell where tissue is, all of one size; none of a live source."""
    if getattr(source, "live", False):
        return []
    found: list[Image] = []
    with suppress(Exception):  # whatever is wrong with a frame or the source is met again, and counted, when it plays
        for capture in islice(source.frames(), SETTLED_AFTER):
            frame = None if capture.image is None else to_unit(capture.image)
            if frame is not None and (not found or frame.shape == found[0].shape):
                found.append(frame)
    return found


class ProtectedEngine(WrappedEngine):
    """An engine that changes tissue alone.

    Args:
        engine: gives images of the frame's size; is closed with this one.
        tissue: "auto" to find it, or its box.

    Raises:
        EngineError, from ``run``: a box that is not within the frame.
    """

    def __init__(self, engine: Engine, tissue: str | Box = AUTO) -> None:
        super().__init__(engine)
        self._reach = max(1, engine.spec.model.receptive_field // 2)
        self._tissue = tissue
        self._finder = TissueFinder(self._reach)
        self._found: Area | None = None
        self._area = Area.of(np.empty((0, 0), np.uint8), 0)
        self._seen = self._made = np.empty((0, 0), np.float32)
        self._seen_levels = np.empty((0, 0), np.uint8)
        self._whole_frames = False

    def learn(self, frames: Sequence[Image]) -> None:
        """Look for tissue in the first frames of a recording, see ``first_frames``."""
        if frames and isinstance(self._tissue, str):
            self._finder.learn(frames)

    def run(self, frame: Image, out: Image | None = None) -> Image:
        """See ``edgerecon.engines.base.Engine.run``."""
        if not isinstance(frame, np.ndarray) or frame.ndim != 2 or frame.dtype != np.float32:
            return self._engine.run(frame, out)  # which says what is wrong with it
        self._look(frame)
        if self._area.whole:
            return self._engine.run(frame, out)
        return self._boxed(self._run_box, frame, np.empty_like(frame) if out is None else out)

    @property
    def takes_bytes(self) -> bool:
        """See ``edgerecon.engines.base.ByteEngine``."""
        return takes_bytes(self._engine)

    def run_bytes(
        self,
        seen: GreyLevels,
        out: GreyLevels,
        *,
        frame: GreyLevels | None = None,
        tissue: GreyLevels | None = None,
        strength: float = 1.0,
    ) -> None:
        """See ``edgerecon.engines.base.ByteEngine.run_bytes``; this engine finds the tissue itself.

        Raises:
            EngineError: as ``run``, and where a tissue is given.
        """
        if frame is not None or tissue is not None:
            raise EngineError("an engine that finds the tissue takes none")
        assert takes_bytes(self._engine)
        self._look(seen)
        if self._area.whole:
            self._engine.run_bytes(seen, out, strength=strength)
        else:
            self._boxed(partial(self._run_box_of_bytes, self._engine, strength), seen, out)

    def _look(self, frame: Image | GreyLevels) -> None:
        """Make ready for where the tissue of a frame is."""
        found = self._find(frame)
        if found is not self._found:
            self._prepare(found)

    def _boxed(self, run: Callable[[Pixels, Pixels], Pixels], frame: Pixels, out: Pixels) -> Pixels:
        """Run a frame's box, or all of it where the model takes none of that size."""
        try:
            return run(frame, out)
        except EngineError:
            if self._whole_frames or self._found is None:
                raise
            self._leave_boxes(self._found)  # it may have been built for frames of one size
            return run(frame, out)

    def _find(self, frame: Image | GreyLevels) -> Area:
        if isinstance(self._tissue, str):
            return self._finder.area(frame)
        if self._found is not None and self._found.mask.shape == frame.shape:
            return self._found
        if fault := outside_fault(self._tissue, frame.shape):
            raise EngineError(fault)
        x, y, width, height = self._tissue
        mask = np.zeros(frame.shape, np.uint8)
        mask[y : y + height, x : x + width] = 255
        return Area.of(mask, self._reach)

    def _prepare(self, found: Area) -> None:
        before = self._area.box
        self._found = self._area = found
        if self._whole_frames:
            self._area = Area.of(found.mask, self._reach, whole_frame(found.mask))
        if self._area.box != before:
            self._seen = np.empty(self._area.outside.shape, np.float32)
            self._made = np.empty_like(self._seen)
            self._seen_levels = np.empty(self._seen.shape, np.uint8)
            self._engine.reset()

    def _leave_boxes(self, found: Area) -> None:
        self._whole_frames = True
        self._prepare(found)
        _log.info("%s runs on whole frames: it takes none of the tissue's size", self.spec.backend)

    def _run_box(self, frame: Image, out: Image) -> Image:
        """Run the model on the box; take from the frame what is not tissue."""
        area = self._area
        area.cover(frame, self._seen)
        in_place = np.shares_memory(frame, out)
        box = self._made if in_place else out[area.rows, area.columns]
        result = self._engine.run(self._seen, box)
        if result is not box:
            np.copyto(box, result)
        area.paste(frame, box)
        if in_place:
            out[area.rows, area.columns] = box
        else:
            area.surround(frame, out)
        return out

    def _run_box_of_bytes(self, engine: ByteEngine, strength: float, frame: GreyLevels, out: GreyLevels) -> GreyLevels:
        """The same in one pass: the engine takes from the frame what is not tissue."""
        area = self._area
        area.cover(frame, self._seen_levels)
        inside = area.mask[area.rows, area.columns]
        box, whole = out[area.rows, area.columns], frame[area.rows, area.columns]
        engine.run_bytes(self._seen_levels, box, frame=whole, tissue=inside, strength=strength)
        area.surround(frame, out)
        return out
