"""What is measured after the timing, one row at a time: the energy of a steady run, and a GPU's copies and work apart.

Turns of the timing are too short for energy: NVML renews its counters about ten times a second, and a Jetson's power is
sampled. On a GPU the copies are part of one CUDA graph; apart they are timed without it, so that they need not add up.
"""

from __future__ import annotations

import time

import numpy as np

from edgerecon.bench.rounds import RowTimes
from edgerecon.core.errors import EngineError
from edgerecon.hardware.sensors.energy import Meter

STEADY_S = 1.0
RUNS = 30


def measure_stages(one: RowTimes, meter: Meter) -> None:
    """Fill in ``joules`` and ``apart``; an engine that stops while it runs steadily has failed."""
    if one.error is not None:
        return
    try:
        if meter.sources:
            one.joules = _joules(one, meter)
    except EngineError as error:
        one.error = str(error)
        return
    try:
        runs = one.remote.ask("stages", calls=RUNS)["ms"]
    except EngineError as error:
        one.note = f"no stages apart: {error}"
        return
    one.apart = {name: np.array([run[name] for run in runs]) for name in (runs[0] if runs else ())}


def _joules(one: RowTimes, meter: Meter) -> float:
    """A frame."""
    frames = 0

    def run() -> None:
        nonlocal frames
        end = time.monotonic() + STEADY_S
        while frames == 0 or time.monotonic() < end:
            one.remote.ask("time", calls=one.calls)
            frames += one.calls

    spent = meter.spent(run)
    return float("nan") if spent is None else spent / frames
