"""One capture for several streams: every frame is read and decoded once, and each stream gets it."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Iterator
from dataclasses import replace
from time import perf_counter_ns
from typing import Any

import numpy as np

from edgerecon.core.errors import UsageError
from edgerecon.stream.sources.base import Capture, Source

AHEAD = 8
"""Frames by which the quickest stream may be ahead of the slowest."""


class SharedCapture:
    """Reads a source for so many branches. A branch that needs a frame reads it for all; it waits for slower ones.

    Args:
        source: is closed when every branch is, if it is live: it may hold the thread that reads it.

    Attributes:
        branches: sources, one for each stream.
    """

    def __init__(self, source: Source, branches: int) -> None:
        if branches < 1:
            raise UsageError("a capture is shared by one stream at least")
        self._source = source
        self._changed = threading.Condition()
        self._reading: Iterator[Capture] | None = None
        self._is_read = False
        self.branches = [Branch(self, source) for _ in range(branches)]
        self._waiting: dict[Branch, deque[Capture | BaseException | None]] = {one: deque() for one in self.branches}

    def take(self, branch: Branch) -> Capture | None:
        """The next capture of a branch; None at the end of a pass, and for one that was closed."""
        while True:
            with self._changed:
                own = self._waiting.get(branch)
                if own is None:
                    return None
                if own:
                    found = own.popleft()
                    self._changed.notify_all()
                    if isinstance(found, BaseException):
                        raise found
                    return found
                if self._is_read or max(map(len, self._waiting.values())) >= AHEAD:
                    self._changed.wait()
                    continue
                self._is_read = True
            found = self._read()
            with self._changed:
                self._is_read = False
                for waiting in self._waiting.values():
                    waiting.append(found)
                self._changed.notify_all()

    def leave(self, branch: Branch) -> None:
        """A branch takes no more."""
        with self._changed:
            self._waiting.pop(branch, None)
            over = not self._waiting
            self._changed.notify_all()
        if over and self._source.live:
            self._source.close()

    def _read(self) -> Capture | BaseException | None:
        """One capture of this pass, whose pixels are its own; or what the source raised."""
        if self._reading is None:
            self._reading = iter(self._source.frames())
        try:
            capture = next(self._reading, None)
            if capture is None:
                self._reading = None
                return None
            return _kept(capture, self._source.live)
        except BaseException as error:  # noqa: BLE001 - each stream says what its source raised
            self._reading = None
            return error


class Branch:
    """The source of one of the streams; all else of it is as the shared one's."""

    def __init__(self, shared: SharedCapture, source: Source) -> None:
        self._shared, self._source = shared, source

    def __getattr__(self, name: str) -> Any:
        return getattr(self._source, name)

    def frames(self) -> Iterator[Capture]:
        """See ``Source.frames``: the next pass over the shared source."""
        while (capture := self._shared.take(self)) is not None:
            yield capture

    def close(self) -> None:
        """Take no more; the others go on."""
        self._shared.leave(self)


def _kept(capture: Capture, live: bool) -> Capture:
    """A capture that outlives the source's own memory; when a live frame arrived is the same for all."""
    arrived = perf_counter_ns() if live and capture.captured_ns is None else capture.captured_ns
    if capture.image is None:
        return replace(capture, captured_ns=arrived)
    image = np.array(capture.image)
    if capture.torn is not None and capture.torn():
        return replace(capture, image=None, fault="the writer changed it while it was copied", torn=None)
    return replace(capture, image=image, captured_ns=arrived, torn=None)
