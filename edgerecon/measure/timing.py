"""How time is measured: several candidates side by side, turn by turn, so that a noisy host hits all of them alike."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

PERCENTILES = {"p50": 50.0, "p90": 90.0, "p99": 99.0, "p999": 99.9}


@dataclass(frozen=True)
class Timing:
    """Wall-clock times of one candidate, in the order of the rounds.

    Attributes:
        ms: float64 (rounds,).
    """

    ms: NDArray[np.float64]

    def summary(self) -> dict[str, float]:
        """p50, p90, p99, p999 and mean in ms; a percentile beyond the last of few rounds is the slowest round."""
        found = {name: float(np.percentile(self.ms, q, method="higher")) for name, q in PERCENTILES.items()}
        return found | {"mean": float(self.ms.mean())}


def interleave(
    runs: Mapping[str, Callable[[], object]],
    *,
    seconds: float = 5.0,
    at_least: int = 20,
    at_most: int = 2000,
    warm_up: int = 3,
    on_round: Callable[[int, int], None] | None = None,
) -> dict[str, Timing]:
    """Time callables in rounds, each once a round, in an order that turns by one from round to round.

    Args:
        runs: name → what to time; it returns when its work is done.
        seconds: about how long to measure altogether; sets the rounds, between ``at_least`` and ``at_most``.
        warm_up: untimed rounds before; the last of them sets the number of rounds.
        on_round: called with (round, rounds).
    """
    names = list(runs)
    start = time.perf_counter()
    for _ in range(max(warm_up, 1)):
        start = time.perf_counter()
        for name in names:
            runs[name]()
    once = max(time.perf_counter() - start, 1e-6)
    rounds = int(min(max(seconds / once, at_least), at_most))
    times = {name: np.empty(rounds) for name in names}
    for index in range(rounds):
        turn = index % len(names)
        for name in names[turn:] + names[:turn]:
            before = time.perf_counter_ns()
            runs[name]()
            times[name][index] = (time.perf_counter_ns() - before) / 1e6
        if on_round:
            on_round(index + 1, rounds)
    return {name: Timing(ms) for name, ms in times.items()}


def ratio(a: Timing, b: Timing) -> float:
    """How many times longer a takes than b: median over rounds of the ratio within a round."""
    return float(np.median(a.ms / b.ms))
