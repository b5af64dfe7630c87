"""Frames that are in memory already, as a source."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from edgerecon.stream.sources.base import Capture


class Cine:
    """Frames in memory, over and over, at a period of choice."""

    name = "frames in memory"
    spacing_mm: tuple[float, float] | None = None
    length: int | None = None
    live = False

    def __init__(self, frames: NDArray[np.uint8], period_s: float) -> None:
        self.period_s: float | None = period_s
        self._frames = frames

    def frames(self) -> Iterator[Capture]:
        return map(Capture, self._frames)

    def close(self) -> None: ...
