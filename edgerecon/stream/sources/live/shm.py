"""Frames that another process writes into shared memory (see ``edgerecon.stream.protocols.shared_ring``)."""

from __future__ import annotations

import logging
import threading
from collections.abc import Iterator
from pathlib import Path
from time import perf_counter_ns

from edgerecon.core.errors import SourceError, UsageError
from edgerecon.stream.protocols.shared_ring import Ring, ring_path
from edgerecon.stream.sources.base import Capture, Source
from edgerecon.stream.sources.channel.channel import OPTIONS as CHANNEL_OPTIONS
from edgerecon.stream.sources.kind import SourceKind
from edgerecon.stream.sources.live.live_channel import FormedSource
from edgerecon.stream.sources.query import Query

_log = logging.getLogger(__name__)

_POLL_S = 0.0005
_IDLE_POLL_S = 0.005
_IDLE_NS = 1_000_000_000
_POLL_NS = 10_000_000
_LOOK_AGAIN_NS = 200_000_000
_OLDEST_NS = 60 * 1_000_000_000


class ShmSource:
    """Every frame from now on, in the writer's memory: a capture's image is valid until the next one is asked for.

    When the reader is more than half a ring behind, it goes on with the newest frame, and the others are a gap. A
    writer that ends or crashes is waited for; its next ring is found within 0.2 s.

    Raises:
        SourceError: no ring of that name.
        UsageError: not a name, or not on Linux.
    """

    live: bool = True

    def __init__(self, name: str) -> None:
        self.name = f"shm://{name}"
        self.period_s: float | None = None
        self.spacing_mm: tuple[float, float] | None = None
        self.length: int | None = None
        self._path = ring_path(name)
        self._closed = threading.Event()
        try:
            self._ring = Ring(self._path)
        except FileNotFoundError as error:
            raise SourceError(
                f"there is no ring {self._path}: start the program that writes {self.name} first"
            ) from error
        except (OSError, ValueError) as error:
            raise SourceError(f"{self.name} cannot be read: {getattr(error, 'strerror', None) or error}") from error
        self._next = self._ring.written
        self._gap = 0

    def frames(self) -> Iterator[Capture]:
        moved_ns = looked_ns = perf_counter_ns()
        while not self._closed.is_set():
            if self._ring.written > self._next:
                yield self._capture()
                moved_ns = perf_counter_ns()
                continue
            now = perf_counter_ns()
            if now - max(moved_ns, looked_ns) > (_POLL_NS if self._ring.ended else _LOOK_AGAIN_NS):
                looked_ns = now
                self._look_again()
            self._closed.wait(_POLL_S if now - moved_ns < _IDLE_NS else _IDLE_POLL_S)

    def close(self) -> None:
        self._closed.set()

    def _capture(self) -> Capture:
        written = self._ring.written
        number = self._next if written - self._next <= self._ring.slots // 2 else written - 1
        gap, self._gap = self._gap + number - self._next, 0
        self._next = number + 1
        try:
            frame = self._ring.frame(number)
        except ValueError as error:
            return Capture(None, f"damaged frame in {self.name}: {error}", gap)
        if frame is None:
            return Capture(None, "overwritten before it was read", gap)
        now = perf_counter_ns()
        plausible = now - _OLDEST_NS < frame.captured_ns <= now
        captured_ns = frame.captured_ns if plausible else now
        return Capture(frame.pixels, None, gap, captured_ns, frame.spacing_mm, frame.torn)

    def _look_again(self) -> None:
        if self._ring.is_at(self._path) and not self._ring.changed and not self._ring.written < self._next:
            return
        try:
            ring = Ring(self._path)
        except (OSError, ValueError):
            return  # not there yet
        _log.info("%s: the writer started anew", self.name)
        first = max(0, ring.written - ring.slots // 2)
        # What the former writer still made is lost; how much, nobody knows.
        self._ring, self._next, self._gap = ring, first, max(first, 1)


def _open(place: str, query: Query) -> Source:
    """A ring of pictures, or of channel data whose acquisition a JSON file describes."""
    from edgerecon.beamform.description import read_acquisition

    acquisition = read_acquisition(Path(query["channel"])) if "channel" in query else None
    if acquisition is None and query:
        raise UsageError(f"a ring of pictures has no option '{min(query)}': give channel=ACQUISITION.json as well")
    source = ShmSource(place[len("shm://") :])
    return source if acquisition is None else FormedSource(source, acquisition, query)


SOURCE = SourceKind(
    name="shared memory",
    title="a ring in shared memory",
    schemes=("shm",),
    addresses=("shm://NAME", "shm://NAME?channel=ACQUISITION.json"),
    options=("channel", *CHANNEL_OPTIONS),
    open=_open,
)
