"""What the suites' result holds: rows that two of them can be compared by, whatever the host did in between."""

from __future__ import annotations

import numpy as np
import pytest

from bench.suites.suite_rows import REFERENCE, suite_rows
from edgerecon.bench.compare import compare
from edgerecon.bench.run import SCHEMA


def times(slower: float, host: float, seed: int) -> dict[str, list[float]]:
    rng = np.random.default_rng(seed)
    noise = rng.normal(1, 0.05, (3, 400))
    work = {REFERENCE: 3e-4, "bench_same": 2e-3, "bench_changed": 1e-3 * slower}
    return {name: list(host * base * noise[at]) for at, (name, base) in enumerate(work.items())}


def result(slower: float = 1.0, host: float = 1.0, seed: int = 0) -> dict[str, object]:
    return {"schema": SCHEMA, "rows": suite_rows(times(slower, host, seed))}


def test_a_slower_host_is_no_regression_and_slower_code_is() -> None:
    found = {one.name: one.verdict for one in compare(result(), result(1.3, host=2.0, seed=1))}
    assert found["bench_changed"] == "slower" and found["bench_same"] != "slower"
    assert {one.verdict for one in compare(result(), result())} == {"undecided"}


def test_speeds_are_those_over_the_calibration_kernel() -> None:
    rows = {row["model"]: row for row in suite_rows(times(1.0, 1.0, 2))}
    assert rows["bench_same"]["speed"] == pytest.approx(0.15, rel=0.02)
    low, high = rows["bench_same"]["speed_interval"]
    assert low <= rows["bench_same"]["speed"] <= high
    assert rows["bench_same"]["latency_ms"]["p50"] == pytest.approx(2.0, rel=0.02)
    alone = suite_rows({"bench_same": [0.5] * 3})[0]
    assert alone["speed"] == pytest.approx(2.0) and alone["speed_interval"] == [2.0, 2.0]
