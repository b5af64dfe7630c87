"""A source whose frames are filtered before anything else sees them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from time import perf_counter_ns
from typing import Any

from edgerecon.core.errors import first_line
from edgerecon.core.frame import Image, to_unit
from edgerecon.stream.filters.filter import ChosenFilter, Run
from edgerecon.stream.sources.base import Capture, Source

Spacing = tuple[float, float]


def filtered(source: Source, filters: Sequence[ChosenFilter]) -> Source:
    """The source itself where there are no filters."""
    return FilteredSource(source, filters) if filters else source


class FilteredSource:
    """Another source, filtered; all else of it is as it was. Each filter is a step of the capture in ``stages_ms``.

    Args:
        source: is closed with this one.
    """

    def __init__(self, source: Source, filters: Sequence[ChosenFilter]) -> None:
        self._source, self._filters = source, list(filters)
        self._moves = any(one.record.resizes for one in filters)
        # What was known before the first frame is of unfiltered pixels.
        self.spacing_mm = None if self._moves else source.spacing_mm

    def __getattr__(self, name: str) -> Any:
        return getattr(self._source, name)

    def frames(self) -> Iterator[Capture]:
        """See ``Source.frames``; filters that remember frames start anew."""
        made = [(one, one.make()) for one in self._filters]
        for capture in self._source.frames():
            yield capture if capture.image is None else self._filtered(capture, made)

    def close(self) -> None:
        """See ``Source.close``."""
        self._source.close()

    def _filtered(self, capture: Capture, made: Sequence[tuple[ChosenFilter, Run]]) -> Capture:
        stages: dict[str, float] = dict(capture.stages_ms or {})
        spacing = capture.spacing_mm or self._source.spacing_mm
        assert capture.image is not None
        name = "conversion"
        try:
            image = to_unit(capture.image)
            for chosen, run in made:
                name, began, before = chosen.record.name, perf_counter_ns(), image.shape
                image = run(image)
                stages[name] = stages.get(name, 0.0) + (perf_counter_ns() - began) / 1e6
                spacing = _spacing(chosen, spacing, before, image)
        except Exception as error:  # noqa: BLE001 - filters of other packages raise anything; the frame is counted
            return replace(capture, image=None, fault=f"the filter {name} failed: {first_line(error)}")
        return replace(capture, image=image, spacing_mm=spacing, stages_ms=stages)


def _spacing(chosen: ChosenFilter, spacing: Spacing | None, before: tuple[int, ...], image: Image) -> Spacing | None:
    """Of the filtered pixels."""
    record = chosen.record
    if spacing is None or (record.resizes and not record.keeps_spacing):
        return None
    if not record.scales_spacing:
        return spacing
    return spacing[0] * before[0] / image.shape[0], spacing[1] * before[1] / image.shape[1]
