"""Whether a stream does what it is there for, told from its counters alone."""

from __future__ import annotations

import time

from edgerecon.stream.sinks.base import StreamInfo

STATES = ("ok", "stalled", "failed", "ended")

PATIENCE_PERIODS, PATIENCE_S = 5, 1.0
"""Without progress for so many frame periods, and for so long, something is wrong."""


class Health:
    """The state of one stream; ask at any rate.

    States:
        ok: frames come and are reconstructed in time or late. stalled: no frame comes from the source.
        failed: frames come, but for a while every one was shown raw or could not be shown. ended: the stream is over.
    """

    def __init__(self, info: StreamInfo, now: float | None = None) -> None:
        self._info = info
        self._patience_s = max(PATIENCE_S, PATIENCE_PERIODS * info.period_s)
        self._good = 0
        self._captured = 0
        self._good_at = self._captured_at = time.monotonic() if now is None else now
        self.ended = False

    def state(self, now: float | None = None) -> str:
        """One of the states. ``now``: seconds, monotonic."""
        now = time.monotonic() if now is None else now
        counters = self._info.counters
        good, captured = counters.presented - counters.raw_shown, counters.frames_in
        if good != self._good:
            self._good, self._good_at = good, now
        if captured != self._captured:
            self._captured, self._captured_at = captured, now
        if self.ended:
            return "ended"
        if counters.snapshot().get("stalled") or now - self._captured_at > self._patience_s:
            return "stalled"
        return "failed" if now - self._good_at > self._patience_s else "ok"
