"""Fixed work of this host: what the other suites' times are divided by when two results are compared."""

from __future__ import annotations

from typing import Any

from edgerecon.measure.noise import Calibration


def bench_calibration(benchmark: Any) -> None:
    calibration = Calibration()
    benchmark(calibration.tick)
    assert calibration.ms
