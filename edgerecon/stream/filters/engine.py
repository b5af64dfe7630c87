"""An engine whose pictures are filtered before anything else sees them."""

from __future__ import annotations

from collections.abc import Sequence
from time import perf_counter_ns

import numpy as np

from edgerecon.core.errors import UsageError
from edgerecon.core.frame import Image
from edgerecon.engines.base import Engine
from edgerecon.stream.filters.filter import ChosenFilter


def refuse_resizing(filters: Sequence[ChosenFilter]) -> None:
    """Raises UsageError: one of them changes a frame's size."""
    if resizing := next((one.record.name for one in filters if one.record.resizes), None):
        raise UsageError(f"the filter {resizing} changes a frame's size: put it before the model")


class FilteredEngine:
    """Another engine, filtered. Filters that remember frames start anew with it.

    Args:
        engine: is closed with this one.

    Attributes:
        stages_ms: what each filter took of the last frame.

    Raises:
        UsageError: a filter that changes a frame's size.
    """

    def __init__(self, engine: Engine, filters: Sequence[ChosenFilter]) -> None:
        refuse_resizing(filters)
        self.spec = engine.spec
        self._engine, self._filters = engine, list(filters)
        self.stages_ms: dict[str, float] = {}
        self._start()

    def run(self, frame: Image, out: Image | None = None) -> Image:
        """See ``edgerecon.engines.base.Engine.run``."""
        result = image = self._engine.run(frame, out)
        stages: dict[str, float] = {}
        for name, run in self._made:
            began = perf_counter_ns()
            image = run(image)
            stages[f"{name} after"] = stages.get(f"{name} after", 0.0) + (perf_counter_ns() - began) / 1e6
        if image is not result:
            np.copyto(result, image)
        self.stages_ms = stages
        return result

    def reset(self) -> None:
        """See ``Engine.reset``."""
        self._engine.reset()
        self._start()

    def close(self) -> None:
        """See ``Engine.close``."""
        self._engine.close()

    def _start(self) -> None:
        self._made = [(one.record.name, one.make()) for one in self._filters]
