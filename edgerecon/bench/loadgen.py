"""MLPerf's LoadGen as the one who asks: SingleStream, MultiStream, Offline and Server (Reddi et al., ISCA 2020).

LoadGen issues the queries, takes the times and judges whether the run was long enough to be valid; its logs stay in the
folder. Its rules are kept but for the duration, which is ours to choose: a run shorter than MLPerf's ten minutes is
VALID here when LoadGen says so for the duration and the number of queries that were set.
"""

from __future__ import annotations

import queue
import re
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edgerecon.core.errors import EdgereconError, UsageError, needed
from edgerecon.core.frame import to_unit
from edgerecon.engines.base import Engine

SCENARIOS = {"singlestream": "SingleStream", "multistream": "MultiStream", "offline": "Offline", "server": "Server"}
FIGURES = {
    "singlestream": "90.0th percentile latency (ns)",
    "multistream": "99.0th percentile latency (ns)",
    "offline": "Samples per second",
    "server": "Completed samples per second",
}
"""The figure that MLPerf reports of each."""
SAMPLES_PER_QUERY = 8
TAIL_QUERIES, TAIL_S = 662, 60.0
"""MLPerf's least number of queries for a p99 at 99 % confidence; asked for when they last no longer than this."""
SHORTER = 0.75
"""Than measured: LoadGen prepares the queries that it expects to need, and a run that uses them up is too short."""
SERVER_LOAD = 0.5
"""The share of capacity that Server asks for: its queries arrive at random times (Poisson)."""
SERVER_LATENCY = 8
"""Times one frame: the bound that 99 % of Server's queries have to keep."""


def run_scenario(
    engine: Engine, frames: NDArray[np.uint8], scenario: str, folder: Path, seconds: float, expected_ms: float
) -> dict[str, Any]:
    """One run.

    Args:
        frames: uint8 (n, H, W), the sample library. folder: for LoadGen's logs; made when absent. expected_ms: of one
            frame, which sizes the run.

    Returns:
        scenario, valid, why (what LoadGen found not satisfied), figure (name), value (ms, or samples a second), logs.

    Raises:
        UsageError: an unknown scenario. DependencyError: LoadGen is not installed. EdgereconError: no verdict was left.
    """
    if scenario not in SCENARIOS:
        raise UsageError(f"there is no scenario '{scenario}': choose from {', '.join(SCENARIOS)}")
    with needed("bench", "mlcommons-loadgen"):
        import mlperf_loadgen as lg
    folder.mkdir(parents=True, exist_ok=True)
    settings = _settings(lg, scenario, seconds, expected_ms)
    logs = lg.LogSettings()
    logs.log_output.outdir = str(folder)
    logs.log_output.copy_summary_to_stdout = False
    logs.enable_trace = False
    with _answering(engine, frames, lg, apart=scenario == "server") as issue:
        under_test = lg.ConstructSUT(issue, lambda: None)
        library = lg.ConstructQSL(len(frames), len(frames), lambda samples: None, lambda samples: None)
        try:
            lg.StartTestWithLogSettings(under_test, library, settings, logs)
        finally:
            lg.DestroyQSL(library)
            lg.DestroySUT(under_test)
    return {"scenario": scenario, "logs": str(folder)} | read_summary(folder / "mlperf_log_summary.txt", scenario)


def _settings(lg: Any, scenario: str, seconds: float, expected_ms: float) -> Any:
    settings = lg.TestSettings()
    settings.scenario = getattr(lg.TestScenario, SCENARIOS[scenario])
    settings.mode = lg.TestMode.PerformanceOnly
    settings.min_duration_ms = int(seconds * 1e3)
    expected_ms *= SHORTER
    per_second = 1e3 / expected_ms
    if scenario == "singlestream":
        settings.single_stream_expected_latency_ns = int(expected_ms * 1e6)
        settings.min_query_count = 64
    elif scenario == "multistream":
        settings.multi_stream_samples_per_query = SAMPLES_PER_QUERY
        settings.multi_stream_expected_latency_ns = int(expected_ms * 1e6 * SAMPLES_PER_QUERY)
        settings.min_query_count = _tail_queries(SAMPLES_PER_QUERY * expected_ms, 16)
    elif scenario == "offline":
        settings.offline_expected_qps = per_second
        settings.min_query_count = 1
    else:
        settings.server_target_qps = SERVER_LOAD * SHORTER * per_second
        settings.server_target_latency_ns = int(SERVER_LATENCY * expected_ms * 1e6)
        settings.server_target_latency_percentile = 0.99
        fewer = max(32, int(seconds * SERVER_LOAD * per_second / 2))
        settings.min_query_count = _tail_queries(expected_ms / SERVER_LOAD, fewer)
    return settings


def _tail_queries(query_ms: float, fewer: int) -> int:
    """As many as a p99 takes, where that is affordable; with fewer LoadGen says that the run stopped too early."""
    return TAIL_QUERIES if TAIL_QUERIES * query_ms <= 1e3 * TAIL_S else fewer


@contextmanager
def _answering(
    engine: Engine, frames: NDArray[np.uint8], lg: Any, apart: bool
) -> Iterator[Callable[[list[Any]], None]]:
    """What LoadGen calls with queries. apart: from a thread of its own, so that the next query can arrive meanwhile."""
    unit = np.empty(frames.shape[1:], np.float32)
    out = np.array(engine.run(to_unit(frames[0])))

    def answer(queries: list[Any]) -> None:
        for query in queries:
            engine.run(to_unit(frames[query.index], unit), out)
            lg.QuerySamplesComplete([lg.QuerySampleResponse(query.id, 0, 0)])

    if not apart:
        yield answer
        return
    waiting: queue.SimpleQueue[list[Any] | None] = queue.SimpleQueue()

    def work() -> None:
        while (queries := waiting.get()) is not None:
            answer(queries)

    thread = threading.Thread(target=work, daemon=True)
    thread.start()
    try:
        yield waiting.put
    finally:
        waiting.put(None)
        thread.join()


def read_summary(path: Path, scenario: str) -> dict[str, Any]:
    """LoadGen's verdict and its figure, from the summary that it wrote.

    Raises:
        EdgereconError: there is none, or not as LoadGen writes it.
    """
    try:
        text = path.read_text(encoding="utf-8", errors="replace")
    except OSError:
        raise EdgereconError(f"LoadGen left no summary in {path.parent}: see its logs there") from None
    facts = {name.strip(): value.strip() for name, value in re.findall(r"^([^\n:]+?)\s*: (.+)$", text, re.MULTILINE)}
    figure = FIGURES[scenario]
    if "Result is" not in facts or figure not in facts:
        raise EdgereconError(f"LoadGen's summary {path} holds no verdict or no '{figure}': see its logs")
    value = float(facts[figure])
    why = [name for name, found in facts.items() if name.endswith("satisfied") and found.upper() == "NO"]
    latency = figure.endswith("(ns)")
    return {
        "valid": facts["Result is"] == "VALID",
        "why": why,
        "figure": figure.replace(" (ns)", " (ms)"),
        "value": value / 1e6 if latency else value,
    }
