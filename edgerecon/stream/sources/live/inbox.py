"""Captures on their way from a thread that nobody can hold up to the one that asks for them."""

from __future__ import annotations

import threading
from collections import deque
from time import perf_counter_ns

from edgerecon.stream.sources.base import Capture

_WAITING_AT_MOST = 4


class Inbox:
    """Keeps the newest few captures; when nobody asks for them, the others are in the next one's gap."""

    def __init__(self) -> None:
        self._waiting: deque[Capture] = deque()
        self._arrived = threading.Condition()
        self._over = False
        self._error: BaseException | None = None

    def put(self, capture: Capture) -> None:
        """Note when it arrived, unless it says so itself, and hand it over."""
        if capture.captured_ns is None:
            capture.captured_ns = perf_counter_ns()
        with self._arrived:
            self._waiting.append(capture)
            if len(self._waiting) > _WAITING_AT_MOST:
                lost = self._waiting.popleft()
                self._waiting[0].gap += lost.gap + 1
            self._arrived.notify()

    def end(self, error: BaseException | None = None) -> None:
        """Say that no more will come, and why, where something went wrong."""
        with self._arrived:
            self._over, self._error = True, error
            self._arrived.notify()

    def take(self, wait_s: float) -> Capture | None:
        """The oldest capture that waits; None when none came in that time, or none will.

        Raises:
            BaseException: what ``end`` was told, once everything before it was taken.
        """
        with self._arrived:
            if not self._waiting and not self._over:
                self._arrived.wait(wait_s)
            if self._waiting:
                return self._waiting.popleft()
        if self._error is not None:
            raise self._error
        return None

    @property
    def over(self) -> bool:
        """Whether everything was taken, no more will come, and nothing is left to be raised."""
        return self._over and not self._waiting and self._error is None
