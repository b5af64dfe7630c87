"""The newest shown frame, handed from the presenting thread to the server's thread without either waiting."""

from __future__ import annotations

import threading
from collections import deque
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from edgerecon.core.frame import Colour, Image, to_rgb, to_uint8

HISTORY = 300
"""Frames of latency history that a viewer who joins late is told of: ten seconds at 30 a second."""

Point = tuple[float, float, bool, bool]
"""One presented frame in the strip chart: (presented at, ms; latency, ms; late; raw)."""


@dataclass(slots=True)
class Shown:
    """One presented frame.

    Attributes:
        version: counts presented frames from 1; 0 means that nothing was presented yet.
        sequence: the frame's own sequence number.
        at_ms, latency_ms: when it was presented (``perf_counter`` clock) and how long after its capture.
        time_ms: time of day of its capture, ms since 1970, by this machine's clock.
        late, raw: see ``edgerecon.stream.accounting.counters``.
        spacing_mm: (row, column) distance between pixel centres of ``after``, or None.
        before, after: uint8 (H, W), or (H, W, 3) RGB where something is drawn in colour; of different size when the
            model changes the scale.
    """

    version: int = 0
    sequence: int = 0
    at_ms: float = 0.0
    latency_ms: float = 0.0
    time_ms: float = 0.0
    late: bool = False
    raw: bool = False
    spacing_mm: tuple[float, float] | None = None
    before: NDArray[np.uint8] = field(default_factory=lambda: np.empty((0, 0), np.uint8))
    after: NDArray[np.uint8] = field(default_factory=lambda: np.empty((0, 0), np.uint8))


class Latest:
    """Triple buffer for one writing and one reading thread; the newest frame wins.

    The lock is held to swap references, never to copy pixels; nothing is allocated while the size stays.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._back, self._ready, self._front = Shown(), Shown(), Shown()
        self._points: deque[Point] = deque(maxlen=HISTORY)
        self._version = 0

    @property
    def version(self) -> int:
        """Version of the newest frame put."""
        return self._version

    def put(
        self,
        before: Image,
        after: Image,
        *,
        sequence: int,
        at_ms: float,
        latency_ms: float,
        time_ms: float,
        late: bool,
        raw: bool,
        spacing_mm: tuple[float, float] | None = None,
        before_colour: Colour | None = None,
        after_colour: Colour | None = None,
    ) -> None:
        """Copy one frame in, as uint8. Called by the writing thread. before_colour, after_colour: drawn over them."""
        slot = self._back
        slot.before = _bytes(before, before_colour, slot.before)
        slot.after = _bytes(after, after_colour, slot.after)
        slot.version, slot.sequence = self._version + 1, sequence
        slot.at_ms, slot.latency_ms, slot.time_ms = at_ms, latency_ms, time_ms
        slot.late, slot.raw = late, raw
        slot.spacing_mm = spacing_mm
        with self._lock:
            self._back, self._ready = self._ready, slot
            self._points.append((at_ms, latency_ms, late, raw))
            self._version = slot.version

    def take(self) -> Shown:
        """The newest frame, which stays untouched until the next call. Called by the reading thread."""
        with self._lock:
            if self._ready.version > self._front.version:
                self._front, self._ready = self._ready, self._front
            return self._front

    def points_since(self, version: int) -> list[Point]:
        """Strip-chart points of the frames put after ``version``, oldest first, as far back as HISTORY."""
        with self._lock:
            new = min(self._version - version, len(self._points))
            return list(self._points)[len(self._points) - new :]


def _bytes(image: Image, colour: Colour | None, buffer: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """In the buffer, where it fits a grey picture."""
    if colour is not None:
        return to_rgb(image, colour)
    return to_uint8(image, buffer if buffer.shape == image.shape else np.empty(image.shape, np.uint8))
