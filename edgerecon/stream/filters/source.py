"""A source whose frames are filtered before anything else sees them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import cv2
import numpy as np

from edgerecon.core.errors import UsageError, first_line
from edgerecon.core.frame import Colour, to_gray, to_uint8, to_unit
from edgerecon.stream.filters.chain import FilterChain, FilterError, FilterSettings
from edgerecon.stream.filters.filter import Place
from edgerecon.stream.picture.colour import find_colour
from edgerecon.stream.sources.base import Capture, Source


def filtered(source: Source, settings: FilterSettings) -> Source:
    """The source itself where there are no filters."""
    return FilteredSource(source, settings) if settings.chosen else source


class FilteredSource:
    """Another source, filtered; all else of it is as it was. Each filter is a step of the capture in ``stages_ms``.

    What is drawn in colour passes as it came, to another place where pixels move; so does the grey level below it.

    Args:
        source: is closed with this one.

    Raises:
        UsageError: the first frame of a recording cannot be brought to another size; a live source is not asked.
    """

    def __init__(self, source: Source, settings: FilterSettings) -> None:
        self._source, self._settings = source, settings
        self._moving = [one for one in settings.chosen if one.record.move is not None]
        self.spacing_mm = self._first_spacing() if self._moving else source.spacing_mm

    def __getattr__(self, name: str) -> Any:
        return getattr(self._source, name)

    def frames(self) -> Iterator[Capture]:
        """See ``Source.frames``; filters that remember frames start anew."""
        chain = FilterChain(self._settings)
        for capture in self._source.frames():
            yield capture if capture.image is None else self._filtered(capture, chain)

    def close(self) -> None:
        """See ``Source.close``."""
        self._source.close()

    def _first_spacing(self) -> tuple[float, float] | None:
        """Of the first filtered frame of a recording; None of a live source."""
        frames = () if self._source.live else self._source.frames()
        first = next((capture for capture in frames if capture.image is not None), None)
        if first is None or first.image is None:
            return None
        chain = FilterChain(FilterSettings(self._moving))
        try:
            chain.run(to_unit(first.image), {})
        except FilterError as failed:
            raise UsageError(str(failed)) from failed
        except ValueError:  # the fault of that frame alone; it is met again, and counted, when it plays
            return None
        return chain.moved(Place(first.spacing_mm or self._source.spacing_mm)).spacing_mm

    def _filtered(self, capture: Capture, chain: FilterChain) -> Capture:
        assert capture.image is not None
        stages: dict[str, float] = dict(capture.stages_ms or {})
        try:
            image = chain.run(to_unit(capture.image), stages)
            colour = find_colour(capture.image)
            colour = colour and self._moved_colour(colour)
            place = chain.moved(Place(capture.spacing_mm or self._source.spacing_mm, capture.pose))
        except FilterError as failed:
            return replace(capture, image=None, fault=str(failed))
        except ValueError as error:
            return replace(capture, image=None, fault=f"unusable frame: {first_line(error)}")
        if colour is not None:
            cv2.copyTo(to_unit(to_gray(colour.pixels)), colour.where, image)
        return replace(
            capture, image=image, colour=colour, spacing_mm=place.spacing_mm, pose=place.pose, stages_ms=stages
        )

    def _moved_colour(self, colour: Colour) -> Colour:
        """Every channel, and where it counts, through the filters that move pixels."""
        if not self._moving:
            return colour
        pixels = [to_unit(np.asarray(one)) for one in (*cv2.split(colour.pixels), colour.where)]
        for one in self._moving:
            pixels = [one.make()(layer) for layer in pixels]
        *rgb, where = pixels
        shown = np.ascontiguousarray(np.stack([to_uint8(layer) for layer in rgb], axis=2))
        return Colour(shown, np.where(where >= 0.5, 255, 0).astype(np.uint8), colour.large)
