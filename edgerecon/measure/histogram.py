"""Durations in fixed memory: a log-bucket histogram with percentiles within 1 % and an exact maximum."""

from __future__ import annotations

import math
from itertools import accumulate

_FLOOR_NS = 1_000
_RATIO = 1.02  # a bucket's geometric centre is within √1.02 = 0.995 % of everything in it
_PER_LOG = 1 / math.log(_RATIO)
_BUCKETS = math.ceil(math.log(1e9) * _PER_LOG)  # 1 µs … 1 000 s


class Histogram:
    """Counts durations in buckets that grow by 2 %, as HdrHistogram does in powers of two.

    Memory does not depend on how many durations are recorded. Durations under 1 µs count as 0, those over 1 000 s as
    the maximum. One thread records at a time.
    """

    def __init__(self) -> None:
        self._counts = [0] * (_BUCKETS + 2)
        self.count = 0
        self.max_ns = 0

    def record(self, ns: int) -> None:
        """Count one duration in nanoseconds."""
        bucket = 0
        if ns >= _FLOOR_NS:
            bucket = min(1 + int(math.log(ns / _FLOOR_NS) * _PER_LOG), _BUCKETS + 1)
        self._counts[bucket] += 1
        self.count += 1
        if ns > self.max_ns:
            self.max_ns = ns

    def percentile(self, q: float) -> float | None:
        """The smallest duration, in ms, that at least ``q`` percent do not exceed (nearest rank); None when empty."""
        if not self.count:
            return None
        rank = max(1, math.ceil(q / 100 * self.count))
        bucket = next(bucket for bucket, total in enumerate(accumulate(self._counts)) if total >= rank)
        return min(self._centre_ns(bucket), self.max_ns) / 1e6

    @property
    def max_ms(self) -> float | None:
        """Longest duration in ms; None when nothing was counted."""
        return self.max_ns / 1e6 if self.count else None

    def bars(self, merge: int = 3) -> dict[str, list[float]]:
        """Edges (ms, one more than counts) and counts of the occupied range, ``merge`` buckets a bar, for plotting."""
        filled = [bucket for bucket, count in enumerate(self._counts) if count]
        if not filled:
            return {"edges_ms": [], "counts": []}
        starts = range(filled[0], filled[-1] + 1, merge)
        edges = [_edge_ns(start) for start in (*starts, starts[-1] + merge)]
        return {
            "edges_ms": [edge / 1e6 for edge in edges],
            "counts": [sum(self._counts[start : start + merge]) for start in starts],
        }

    def _centre_ns(self, bucket: int) -> float:
        if bucket == 0:
            return 0.0
        return math.sqrt(_edge_ns(bucket) * _edge_ns(bucket + 1)) if bucket <= _BUCKETS else self.max_ns


def _edge_ns(bucket: int) -> float:
    return _FLOOR_NS * _RATIO ** (bucket - 1) if bucket else 0.0
