"""Waits between attempts to reach a source again: longer each time, and not a moment after it was closed."""

from __future__ import annotations

import threading

_FIRST_S = 0.1
_LONGEST_S = 2.0


class Backoff:
    """Waits 0.1 s, 0.2 s, ... up to 2 s; ``reset`` when something was received.

    Args:
        closed: ends every wait.
    """

    def __init__(self, closed: threading.Event) -> None:
        self._closed = closed
        self._delay_s = _FIRST_S

    def wait(self) -> bool:
        """Returns whether to try again: False when the source was closed."""
        ended = self._closed.wait(self._delay_s)
        self._delay_s = min(2 * self._delay_s, _LONGEST_S)
        return not ended

    def reset(self) -> None:
        self._delay_s = _FIRST_S
