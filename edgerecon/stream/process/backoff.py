"""Waits between attempts at what has failed: longer each time, and not a moment after it is over."""

from __future__ import annotations

import threading


class Backoff:
    """Waits ``first_s``, then twice as long each time, up to ``longest_s``; ``reset`` when an attempt went well.

    Args:
        closed: ends every wait.
    """

    def __init__(self, closed: threading.Event, first_s: float = 0.1, longest_s: float = 2.0) -> None:
        self._closed, self._first_s, self._longest_s = closed, first_s, longest_s
        self._delay_s = first_s

    def wait(self) -> bool:
        """Returns whether to try again: False when ``closed`` was set."""
        ended = self._closed.wait(self._delay_s)
        self._delay_s = min(2 * self._delay_s, self._longest_s)
        return not ended

    def reset(self) -> None:
        """Begin again with the shortest wait, after a success."""
        self._delay_s = self._first_s
