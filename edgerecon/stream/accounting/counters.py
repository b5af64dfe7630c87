"""Every frame's fate, counted where it happens: in == presented + dropped + failed, always."""

from __future__ import annotations

import threading
from collections import Counter, deque

REASONS_AT_MOST = 64
"""Further distinct reasons are counted together as "other", so that a hostile recording cannot fill the memory."""

RECENT = 120
"""Latencies that are kept for a strip chart."""


class Counters:
    """Thread-safe counters of one stream.

    A frame is counted once in ``frames_in`` when captured and ends in exactly one of: presented (``late`` and
    ``raw_shown`` say of how many presented frames that held), dropped (by whom and why), or failed (nothing could be
    shown for it). What was lost before it reached us is in ``gaps``, and in none of these.

    Attributes:
        raws: why frames were shown raw, e.g. "the engine failed".
        hung: engine calls that did not come back in time. replaced: engines opened anew after they hung or failed.
        clock_faults: captures whose own time lay in the future or before that of the frame before them.
        delivered_late: frames of a paced recording that were not there when they were due, as when their channel data
            take longer to beamform than a frame period.
        stalled: whether the source gives no frames at present. stalls: how often that happened.
        ladder: names of the engines from the best to "passthrough"; rung: which of them runs.
        steps_down, steps_up: of the ladder.
        skips: frames that a sink on a thread of its own was too slow for, by sink.
        errors: what engines and frames raised that nothing may raise, such as SystemExit.
        sinks_lost, sinks_back: sinks that failed, and those of them that work again.
        last_latency_ms, recent_ms: capture to presentation, of the last frame and of some before it.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self.frames_in = 0
        self.presented = 0
        self.dropped = 0
        self.failed = 0
        self.late = 0
        self.raw_shown = 0
        self.gaps = 0
        self.clock_faults = 0
        self.delivered_late = 0
        self.hung = 0
        self.replaced = 0
        self.stalled = False
        self.stalls = 0
        self.ladder: tuple[str, ...] = ()
        self.rung = 0
        self.steps_down = 0
        self.steps_up = 0
        self.sinks_lost = 0
        self.sinks_back = 0
        self.drops: Counter[str] = Counter()
        self.failures: Counter[str] = Counter()
        self.raws: Counter[str] = Counter()
        self.skips: Counter[str] = Counter()
        self.errors: Counter[str] = Counter()
        self.last_latency_ms = 0.0
        self.recent_ms: deque[float] = deque(maxlen=RECENT)

    @property
    def settled(self) -> int:
        """Frames that have had their fate: the others of ``frames_in`` are on their way."""
        return self.presented + self.dropped + self.failed

    def captured(self) -> None:
        """Count a frame that came in."""
        with self._lock:
            self.frames_in += 1

    def lost(self, gap: int) -> None:
        """Count frames that were lost before they reached us."""
        with self._lock:
            self.gaps += gap

    def shown(self, latency_ms: float, late: bool, raw: str | None) -> None:
        """Count a presented frame; ``raw`` says why it was shown as captured, None that it was not."""
        with self._lock:
            self.presented += 1
            self.late += late
            if raw is not None:
                self.raw_shown += 1
                _count(self.raws, raw)
            self.last_latency_ms = latency_ms
            self.recent_ms.append(latency_ms)

    def drop(self, by: str, why: str) -> None:
        """Count one frame that was overtaken or abandoned, e.g. ``drop("capture", "overtaken by a newer frame")``."""
        with self._lock:
            self.dropped += 1
            _count(self.drops, f"{by}: {why}")

    def fail(self, why: str) -> None:
        """Count one frame for which nothing could be shown, e.g. an unreadable capture."""
        with self._lock:
            self.failed += 1
            _count(self.failures, why)

    def record_error(self, what: str) -> None:
        """Note what no engine and no frame may raise, such as SystemExit; a stream that met it reports an error."""
        with self._lock:
            _count(self.errors, what)

    def skip(self, sink: str) -> None:
        """Count one frame that was left out of one sink."""
        with self._lock:
            _count(self.skips, sink)

    def snapshot(self) -> dict[str, object]:
        """A consistent copy, ready for JSON: every attribute but ``recent_ms``."""
        with self._lock:
            plain = {name: value for name, value in vars(self).items() if isinstance(value, int | float)}
            reasons = {name: dict(value) for name, value in vars(self).items() if isinstance(value, Counter)}
            return {**plain, **reasons, "ladder": list(self.ladder)}


def _count(reasons: Counter[str], reason: str) -> None:
    reasons[reason if reason in reasons or len(reasons) < REASONS_AT_MOST else "other"] += 1
