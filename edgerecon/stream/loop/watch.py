"""Watches over the source: says when it gives no frames, and ends the wait for one when the stream is to end."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from time import perf_counter_ns

from edgerecon.stream.loop.capture import Capturer
from edgerecon.stream.loop.wires import Wires
from edgerecon.stream.process.guarded import GuardedThread
from edgerecon.stream.sources.base import Source

_STALL_PERIODS, _STALL_AT_LEAST_S = 3, 0.5
_LOOK_EVERY_S = 0.1
_GIVEN_UP_AFTER_S = 2.0
_log = logging.getLogger(__name__)


@dataclass
class Watch:
    """A source has stalled when it is waited for longer than three frame periods, and half a second at least.

    Attributes:
        period_s: of the source, by its own word or by default.
    """

    wires: Wires
    source: Source
    capturer: Capturer
    period_s: float
    stall_s: float = 0.0

    def __post_init__(self) -> None:
        self.stall_s = self.stall_s or max(_STALL_PERIODS * self.period_s, _STALL_AT_LEAST_S)

    def run(self) -> None:
        """Look after the stream until it has ended; the work of one thread."""
        enough_ns = 0
        while not self.wires.ended.wait(min(_LOOK_EVERY_S, self.stall_s / 2)):
            self._look()
            if not enough_ns and self._enough():
                enough_ns = perf_counter_ns()
                self.wires.over.set()
                if getattr(self.source, "live", False):
                    GuardedThread(f"close {self.source.name}", self.source.close).start()  # it may hang
            elif enough_ns and perf_counter_ns() - enough_ns > _GIVEN_UP_AFTER_S * 1e9:
                self.capturer.end_if_stuck()
        self.wires.counters.stalled = False

    def _look(self) -> None:
        waiting_ns = self.capturer.waiting_ns
        stalled = waiting_ns > 0 and perf_counter_ns() - waiting_ns > self.stall_s * 1e9
        if stalled == self.wires.counters.stalled:
            return
        self.wires.counters.stalled = stalled
        self.wires.counters.stalls += stalled
        if stalled:
            _log.warning("%s gives no frames", self.source.name)
        elif not self.wires.stop.is_set():
            _log.warning("%s gives frames again", self.source.name)

    def _enough(self) -> bool:
        return self.wires.stop.is_set() or self.capturer.time_is_up()
