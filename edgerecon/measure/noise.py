"""Is this host quiet? A calibration kernel of fixed work runs between the rounds; its times must not spread."""

from __future__ import annotations

import time

import numpy as np

QUIET = 1.15
"""Ratio of the 90th percentile to the median that a quiet host stays under."""
_SIDE = 64


class Calibration:
    """A matrix product of some 0.3 ms on one thread of this process, timed once a call."""

    def __init__(self) -> None:
        rng = np.random.default_rng(0)
        self._a, self._b = rng.random((2, _SIDE, _SIDE))
        self._out = np.empty_like(self._a)
        self.ms: list[float] = []

    def tick(self) -> None:
        """Run it: once to warm the caches, once timed."""
        np.einsum("ij,jk->ik", self._a, self._b, out=self._out)
        start = time.perf_counter_ns()
        np.einsum("ij,jk->ik", self._a, self._b, out=self._out)
        self.ms.append((time.perf_counter_ns() - start) / 1e6)

    @property
    def spread(self) -> float:
        """90th percentile over median; 1 before the first tick."""
        return float(np.percentile(self.ms, 90) / np.median(self.ms)) if self.ms else 1.0

    @property
    def noisy(self) -> bool:
        """Whether the machine was too busy for its timings to be trusted."""
        return self.spread > QUIET
