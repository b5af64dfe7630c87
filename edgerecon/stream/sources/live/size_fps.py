"""What may be asked of a camera and of the simulated probe: ``?size=WIDTHxHEIGHT&fps=N``."""

from __future__ import annotations

import math

from edgerecon.core.errors import UsageError
from edgerecon.stream.sources.query import Query

OPTIONS = ("size", "fps")
_SIDE_AT_MOST = 4096


def size_fps(query: Query) -> tuple[tuple[int, int] | None, float | None]:
    """``size`` as (height, width), and ``fps``; None for what is not asked.

    Raises:
        UsageError: no such numbers, or beyond what any device gives.
    """
    size: tuple[int, int] | None = None
    fps: float | None = None
    try:
        if "size" in query:
            width, height = (int(side) for side in query["size"].lower().split("x"))
            size = (height, width)
        if "fps" in query:
            fps = float(query["fps"])
    except ValueError:
        given = "&".join(f"{key}={query[key]}" for key in OPTIONS if key in query)
        raise UsageError(f"{given} cannot be read: give size=WIDTHxHEIGHT and fps=N") from None
    if size is not None and not all(16 <= side <= _SIDE_AT_MOST for side in size):
        raise UsageError(f"size={size[1]}x{size[0]}: sides are from 16 to {_SIDE_AT_MOST} pixels")
    if fps is not None and not (math.isfinite(fps) and 0.1 <= fps <= 10_000):
        raise UsageError(f"fps={fps}: give a number from 0.1 to 10000")
    return size, fps
