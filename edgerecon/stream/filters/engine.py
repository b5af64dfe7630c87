"""An engine whose pictures are filtered before anything else sees them."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from edgerecon.core.errors import EngineError, UsageError
from edgerecon.core.frame import Colour, Image
from edgerecon.engines.base import Engine
from edgerecon.engines.wrapped import WrappedEngine
from edgerecon.stream.filters.chain import FilterChain, FilterError, FilterSettings
from edgerecon.stream.filters.filter import ChosenFilter


def refuse_resizing(filters: Sequence[ChosenFilter]) -> None:
    """Raises UsageError: one of them changes a frame's size."""
    if resizing := next((one.record.name for one in filters if one.record.move is not None), None):
        raise UsageError(f"the filter {resizing} changes a frame's size: put it before the model, with --filter")


class FilteredEngine(WrappedEngine):
    """Another engine, filtered. Filters that remember frames start anew with it.

    Args:
        engine: is closed with this one.

    Attributes:
        stages_ms: what each filter took of the last frame.

    Raises:
        UsageError: a filter that changes a frame's size.
    """

    def __init__(self, engine: Engine, settings: FilterSettings) -> None:
        refuse_resizing(settings.chosen)
        super().__init__(engine)
        self._chain = FilterChain(settings)
        self.stages_ms: dict[str, float] = {}

    @property
    def overlay(self) -> Colour | None:
        """What the other engine draws over the last frame; it is not filtered."""
        return getattr(self._engine, "overlay", None)

    def run(self, frame: Image, out: Image | None = None) -> Image:
        """See ``edgerecon.engines.base.Engine.run``."""
        result = self._engine.run(frame, out)
        stages: dict[str, float] = dict(getattr(self._engine, "stages_ms", None) or {})
        try:
            image = self._chain.run(result, stages, behind=" after")
        except FilterError as failed:
            raise EngineError(str(failed)) from failed
        if image is not result:
            np.copyto(result, image)
        self.stages_ms = stages
        return result

    def reset(self) -> None:
        """See ``Engine.reset``."""
        super().reset()
        self._chain.start()
