"""Whether a stream does what it is there for, told from its counters alone."""

from __future__ import annotations

import time

from edgerecon.stream.loop.ladder import PASSTHROUGH
from edgerecon.stream.sinks.base import StreamInfo

STATES = ("ok", "degraded", "stalled", "failed", "ended", "starting", "waiting")
"""Those of ``Health``; then those of a stream that has not begun (see ``edgerecon.stream.serve.pages``)."""

PATIENCE_PERIODS, PATIENCE_S = 5, 1.0
"""Without progress for so many frame periods, and for so long, something is wrong."""


class Health:
    """The state of one stream; ask at any rate.

    States, the first that holds:
        ended: the stream is over. stalled: no frame comes from the source.
        failed: frames come, but for a while none was reconstructed, or none could be shown.
        degraded: of late a frame was shown raw, the stream stands on the ladder's passthrough, or a sink is lost.
        ok: every frame is reconstructed, in time or late, and reaches every sink.
    """

    def __init__(self, info: StreamInfo, now: float | None = None) -> None:
        self._info = info
        self._patience_s = max(PATIENCE_S, PATIENCE_PERIODS * info.period_s)
        self._seen: dict[str, tuple[int, float]] = {}
        self._begun = time.monotonic() if now is None else now
        self.ended = False

    def state(self, now: float | None = None) -> str:
        """One of the states. ``now``: seconds, monotonic."""
        now = time.monotonic() if now is None else now
        counters = self._info.counters
        passed_through = (
            counters.rung > 0 and counters.ladder[counters.rung] == PASSTHROUGH
        )  # 0: no model was asked for
        presented, raw = counters.presented, counters.raw_shown
        captured_at = self._changed_at("captured", counters.frames_in, now)
        good_at = self._changed_at("good", presented if passed_through else presented - raw, now)
        raw_at = self._changed_at("raw", raw, now)
        if self.ended:
            return "ended"
        if counters.stalled or now - captured_at > self._patience_s:
            return "stalled"
        if now - good_at > self._patience_s:
            return "failed"
        is_raw = raw > 0 and now - raw_at <= self._patience_s
        return "degraded" if is_raw or passed_through or counters.sinks_lost > counters.sinks_back else "ok"

    def _changed_at(self, what: str, value: int, now: float) -> float:
        """When a count was first seen to be what it is."""
        before, at = self._seen.get(what, (0, self._begun))
        if value != before:
            at = now
        self._seen[what] = value, at
        return at
