"""What comes after the rows: the load curve and LoadGen's scenarios, each row in a process of its own again."""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from edgerecon.bench.grid import Cell
from edgerecon.bench.loadgen import SCENARIOS
from edgerecon.bench.paced import LOADS, periods
from edgerecon.bench.run import Bench, Progress, real_frames
from edgerecon.bench.worker_client import WorkerClient, open_cell
from edgerecon.core.errors import EngineError, UsageError
from edgerecon.measure.row import Row
from edgerecon.modelfile.variants import fp32_path

REALTIME = "realtime"
ALL = (REALTIME, *SCENARIOS)
SECONDS = 4.0
"""The duration of each load, and of each of LoadGen's runs."""


def refuse_unknown(names: Sequence[str]) -> None:
    """Raises UsageError for a scenario that there is not."""
    if unknown := [name for name in names if name not in ALL]:
        raise UsageError(f"there is no scenario '{unknown[0]}': choose from {', '.join(ALL)}")


def add_scenarios(
    result: Bench, cells: Sequence[Cell], names: Sequence[str], logs: Path, on_progress: Progress | None = None
) -> None:
    """Run the scenarios on the fastest row of each model, and add what they found to the result.

    A row that fails in a scenario says why there, and the rest goes on.

    Args:
        cells: of ``result.rows``, in their order. logs: folder for LoadGen's.
    """
    progress = on_progress or (lambda what, done, total: None)
    todo = [(cell, row, name) for cell, row in _fastest(cells, result.rows) for name in names]
    with tempfile.TemporaryDirectory() as folder:
        frames = Path(folder) / "timed.npy"
        shape = result.plan.shape[::-1]
        np.save(frames, np.stack([cv2.resize(f, shape) for f in real_frames(result.plan.recording)]))
        for done, (cell, row, name) in enumerate(todo):
            progress(f"{name}: {cell.label}", done, len(todo))
            setup, p50 = row.setup, _p50(row)
            facts: dict[str, Any] = {
                "model": setup.model,
                "backend": setup.backend,
                "precision": setup.precision,
                "threads": setup.threads,
            }
            try:
                remote, _ = open_cell(cell, frames, result.plan.timeout_s)
                with closing(remote):
                    if name == REALTIME:
                        result.loads.append(facts | {"points": _curve(remote, p50)})
                    else:
                        result.scenarios.append(facts | _loadgen(remote, name, logs, cell, p50))
            except EngineError as error:
                kept = result.loads if name == REALTIME else result.scenarios
                kept.append(facts | {"scenario": name, "error": str(error)})


def _fastest(cells: Sequence[Cell], rows: Sequence[Row]) -> list[tuple[Cell, Row]]:
    best: dict[Path, tuple[Cell, Row]] = {}
    for cell, row in zip(cells, rows, strict=True):
        family = fp32_path(cell.file.path)
        if row.ok and (family not in best or _p50(row) < _p50(best[family][1])):
            best[family] = cell, row
    return list(best.values())


def _p50(row: Row) -> float:
    return row.speed.latency_ms["p50"]


def _curve(remote: WorkerClient, capacity_ms: float) -> list[dict[str, Any]]:
    wait = SECONDS + 60
    return [
        {"load": load} | remote.ask("load", timeout_s=wait, period_ms=period, seconds=SECONDS)
        for load, period in zip(LOADS, periods(capacity_ms), strict=True)
    ]


def _loadgen(remote: WorkerClient, name: str, logs: Path, cell: Cell, ms: float) -> dict[str, Any]:
    folder = logs / f"{cell.file.path.stem}-{cell.precision}-{cell.backend}-{cell.threads}" / name
    found = remote.ask(
        "loadgen",
        timeout_s=10 * SECONDS + 600,
        scenario=name,
        folder=str(folder.resolve()),
        seconds=SECONDS,
        expected_ms=ms,
    )
    return found | {"logs": str(folder)}
