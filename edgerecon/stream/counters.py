"""Every frame's fate, counted where it happens: in == presented + dropped + failed, always."""

from __future__ import annotations

import threading
from collections import Counter

REASONS_AT_MOST = 64
"""Further distinct reasons are counted together as "other", so that a hostile recording cannot fill the memory."""


class Counters:
    """Thread-safe counters of one stream.

    A frame is counted once in ``frames_in`` when captured and ends in exactly one of: presented (``late`` and
    ``raw_shown`` say of how many presented frames that held), dropped (by whom and why), or failed (nothing could be
    shown for it).
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self.frames_in = 0
        self.presented = 0
        self.late = 0
        self.raw_shown = 0
        self.drops: Counter[str] = Counter()
        self.failures: Counter[str] = Counter()
        self.last_latency_ms = 0.0

    @property
    def dropped(self) -> int:
        return sum(self.drops.values())

    @property
    def failed(self) -> int:
        return sum(self.failures.values())

    def captured(self) -> None:
        with self._lock:
            self.frames_in += 1

    def shown(self, latency_ms: float, late: bool, raw: bool) -> None:
        with self._lock:
            self.presented += 1
            self.late += late
            self.raw_shown += raw
            self.last_latency_ms = latency_ms

    def drop(self, by: str, why: str) -> None:
        """Count one frame that was overtaken or abandoned, e.g. ``drop("capture", "overtaken by a newer frame")``."""
        with self._lock:
            _count(self.drops, f"{by}: {why}")

    def fail(self, why: str) -> None:
        """Count one frame for which nothing could be shown, e.g. an unreadable capture."""
        with self._lock:
            _count(self.failures, why)

    def snapshot(self) -> dict[str, object]:
        """A consistent copy, ready for JSON."""
        with self._lock:
            return {
                "frames_in": self.frames_in,
                "presented": self.presented,
                "late": self.late,
                "raw_shown": self.raw_shown,
                "dropped": self.dropped,
                "failed": self.failed,
                "drops": dict(self.drops),
                "failures": dict(self.failures),
                "last_latency_ms": self.last_latency_ms,
            }


def _count(reasons: Counter[str], reason: str) -> None:
    reasons[reason if reason in reasons or len(reasons) < REASONS_AT_MOST else "other"] += 1
