"""The suites' times in the schema of ``edgerecon bench``, so that ``edgerecon bench --compare`` judges them alike."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from edgerecon.measure.bootstrap import percentile_interval, ratio_samples

REFERENCE = "bench_calibration"
BLOCKS = 20
"""Runs follow each other, and a slow second slows many of them: blocks are resampled instead of runs."""


def suite_rows(times_s: Mapping[str, Sequence[float]]) -> list[dict[str, Any]]:
    """One row a benchmark. speed: over the calibration kernel's of the same session, or 1/s without it.

    Args:
        times_s: name → seconds of each round.
    """
    base = float(np.median(times_s.get(REFERENCE, [1.0])))
    rows = []
    for name, taken in times_s.items():
        blocks = np.array([np.median(block) for block in np.array_split(taken, min(BLOCKS, len(taken)))])
        samples = ratio_samples(np.full(len(blocks), base), blocks)
        latency = {f"p{q:g}": float(np.percentile(taken, q, method="higher") * 1e3) for q in (50, 90, 99)}
        rows.append(
            {
                "model": name,
                "backend": "suite",
                "precision": "",
                "threads": 0,
                "shape": [],
                "status": "ok",
                "latency_ms": latency,
                "speed": float(np.median(samples)),
                "speed_interval": list(percentile_interval(samples)),
            }
        )
    return rows
