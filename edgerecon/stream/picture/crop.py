"""A part of every frame in place of the frame: the picture of a grabbed screen, without what is around it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

from edgerecon.stream.picture.box import Box, outside_fault, parse_box, refuse_outside
from edgerecon.stream.sources.base import Capture, Source


def parse_crop(text: str) -> Box:
    """The box of "x,y,w,h" that ``--crop`` takes.

    Raises:
        UsageError: it is none, or empty.
    """
    return parse_box(text, "--crop")


class CroppedSource:
    """A source whose frames are a box of another one's; all else is the other one's.

    A frame that does not hold the box is one that cannot be read: it is counted as failed.

    Args:
        source: closed with this one.

    Raises:
        UsageError: the box is not within the first frame of a recording; a live source is not asked.
    """

    def __init__(self, source: Source, box: Box) -> None:
        self._source, self._box = source, box
        if not getattr(source, "live", False):
            first = next((capture.image for capture in source.frames() if capture.image is not None), None)
            if first is not None:
                refuse_outside(box, first.shape, "--crop")

    def __getattr__(self, name: str) -> Any:
        return getattr(self._source, name)

    def frames(self) -> Iterator[Capture]:
        """See ``edgerecon.stream.sources.base.Source.frames``."""
        return map(self._crop, self._source.frames())

    def close(self) -> None:
        """See ``Source.close``."""
        self._source.close()

    def _crop(self, capture: Capture) -> Capture:
        image = capture.image
        if image is None:
            return capture
        if fault := outside_fault(self._box, image.shape):
            return replace(capture, image=None, fault=f"it cannot be cropped: {fault}")
        x, y, width, height = self._box
        pose = capture.pose and capture.pose.cropped((y, x), (height, width), image.shape)
        rows, columns = slice(y, y + height), slice(x, x + width)
        colour = capture.colour and capture.colour.part(rows, columns)
        return replace(capture, image=image[rows, columns], pose=pose, colour=colour)


def cropped(source: Source, box: Box | None) -> Source:
    """The source, or the box of it."""
    return source if box is None else CroppedSource(source, box)
