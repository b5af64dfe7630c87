"""How wrong `edgerecon bench` is: a synthetic engine waits for known times, the harness measures, the two are compared.

The engine busy-waits on the clock, so that the operating system's sleep is not what is measured; constant, bimodal and
heavy-tailed delays. Also what the measurement itself adds to a call, and whether the misses of a paced stream are all
counted.
"""

from __future__ import annotations

import argparse
import json
import time
from pathlib import Path
from typing import Any

import numpy as np

from edgerecon.bench.paced import paced
from edgerecon.bench.worker import Worker
from edgerecon.core.frame import Image
from edgerecon.engines.base import EngineSpec
from edgerecon.hardware.device import host_profile
from edgerecon.measure.noise import Calibration
from edgerecon.modelfile.spec import ModelSpec

FRAMES = np.zeros((2, 8, 8), np.uint8)
CALLS = 2000


class Waiting:
    """Busy until the next of given times is over; notes how long each call really took."""

    spec = EngineSpec(ModelSpec("waiting", "none", 1, 1, ""), "none", "fp32", 1)

    def __init__(self, delays_ms: np.ndarray) -> None:
        self._delays_ns, self.took_ns = (delays_ms * 1e6).astype(int), []
        self.calls = 0

    def run(self, frame: Image, out: Image | None = None) -> Image:
        start = time.perf_counter_ns()
        end = start + self._delays_ns[self.calls % len(self._delays_ns)]
        self.calls += 1
        while (now := time.perf_counter_ns()) < end:
            pass
        self.took_ns.append(now - start)
        return frame.copy() if out is None else out

    def reset(self) -> None: ...

    def close(self) -> None: ...


def measured(engine: Waiting, calls: int) -> np.ndarray:
    """ms of the engine's stage, as a worker reports them."""
    worker = Worker()
    worker.hold(engine, FRAMES)  # type: ignore[arg-type]
    engine.took_ns.clear()
    return np.array(worker.time(calls)["ns"])[:, 1] / 1e6


def percentile_errors() -> dict[str, Any]:
    rng = np.random.default_rng(0)
    delays = {
        "constant": np.full(CALLS, 2.0),
        "bimodal": np.where(rng.random(CALLS) < 0.9, 1.0, 5.0),
        "heavy-tailed": 0.5 + rng.pareto(2.5, CALLS) / 2,
    }
    found = {}
    for name, ms in delays.items():
        engine = Waiting(ms)
        times = measured(engine, CALLS)
        took = np.array(engine.took_ns) / 1e6  # what a call took by its own clock: the truth, preemption included
        found[name] = {
            f"p{q:g}": {
                "truth_ms": (a := float(np.percentile(took, q, method="higher"))),
                "found_ms": (b := float(np.percentile(times, q, method="higher"))),
                "error_us": (b - a) * 1e3,
            }
            for q in (50, 90, 99, 99.9)
        }
    return found


def overhead_us() -> float:
    """Median of an engine that does nothing: what four readings of the clock and the loop cost a call."""
    engine = Waiting(np.zeros(1))
    times = measured(engine, 20 * CALLS)
    return float(np.median(times * 1e3 - np.array(engine.took_ns) / 1e3))


def miss_rate() -> dict[str, Any]:
    """One frame in ten takes longer than the period: those are late, and what waited behind them is counted, too."""
    engine = Waiting(np.where(np.arange(10) == 9, 30.0, 1.0))
    found = paced(engine, FRAMES, period_ms=20.0, seconds=8.0)
    late = sum(ns > 20e6 for ns in engine.took_ns)
    return found | {"calls_over_the_deadline": late}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--json", type=Path)
    arguments = parser.parse_args()
    calibration = Calibration()
    for _ in range(200):
        calibration.tick()
    result = {
        "percentiles": percentile_errors(),
        "overhead_us": overhead_us(),
        "miss_rate": miss_rate(),
        "noise": calibration.spread,
        "host": host_profile(),
    }
    if arguments.json:
        arguments.json.write_text(json.dumps(result, indent=2) + "\n")
    for name, rows in result["percentiles"].items():  # type: ignore[attr-defined]
        print(name, ", ".join(f"{q} {row['error_us']:+.1f} µs" for q, row in rows.items()))  # noqa: T201
    print(f"overhead {result['overhead_us']:.2f} µs a call; paced: {result['miss_rate']}")  # noqa: T201


if __name__ == "__main__":
    main()
