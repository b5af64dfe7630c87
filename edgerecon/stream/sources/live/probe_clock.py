"""When a simulated probe captures: at a steady rate that never waits for whoever takes the frames."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass

BEAT_S = 0.9
"""One heartbeat."""
_WAKE_S = 0.2


@dataclass(frozen=True)
class Tick:
    """One capture. gap: captures before it that nobody took in time. phase: of the heartbeat, from 0 to below 1."""

    gap: int
    phase: float


class ProbeClock:
    """Captures every ``period_s`` seconds, until it is closed."""

    def __init__(self, period_s: float) -> None:
        self._period_s = period_s
        self._closed = threading.Event()

    def ticks(self) -> Iterator[Tick]:
        """Wait for each capture in turn; one that is due already comes at once."""
        start, number = time.perf_counter(), 0
        while self._wait_until(start + number * self._period_s):
            gap = int((time.perf_counter() - start) / self._period_s) - number
            number += gap
            yield Tick(gap, number * self._period_s / BEAT_S % 1)
            number += 1

    def close(self) -> None:
        """End ``ticks``, also while another thread waits in it."""
        self._closed.set()

    def _wait_until(self, due_s: float) -> bool:
        while (left := due_s - time.perf_counter()) > 0 and not self._closed.wait(min(left, _WAKE_S)):
            pass
        return not self._closed.is_set()
