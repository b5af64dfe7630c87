"""The scenario ``realtime``: frames paced at a rate, the frame period being the deadline; who is late is counted."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edgerecon.engines.base import Engine
from edgerecon.stream.loop.stream import stream
from edgerecon.stream.sinks.null import NullSink
from edgerecon.stream.sources.memory import Cine

LOADS = (0.1, 0.25, 0.5, 0.7, 0.8, 0.9, 1.0, 1.1, 1.2)
"""Shares of capacity, which is one frame after another: load 1 asks for a frame every p50."""


def paced(engine: Engine, frames: NDArray[np.uint8], period_ms: float, seconds: float) -> dict[str, Any]:
    """Stream for so long through the real loop, policy ``latest``.

    Returns:
        period_ms, frames (in), missed (late, dropped or failed), miss_rate, p50, p99 (ms; of presented frames).
    """
    found = stream(Cine(frames, period_ms / 1e3), engine, [NullSink()], loop=True, seconds=seconds)
    missed = found.late + found.dropped + found.failed
    return {
        "period_ms": period_ms,
        "frames": found.frames_in,
        "missed": missed,
        "miss_rate": found.deadline_miss_rate,
        "p50": found.latency_ms["p50"],
        "p99": found.latency_ms["p99"],
    }


def periods(capacity_ms: float, loads: Sequence[float] = LOADS) -> list[float]:
    """Frame periods in ms for loads, given the time of one frame."""
    return [capacity_ms / load for load in loads]
