"""How one row comes about: opened and scored in a process of its own, then timed, then compared with the others."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import ExitStack, closing
from dataclasses import replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from edgerecon.bench.graph_cost import graph_cost
from edgerecon.bench.grid import Cell
from edgerecon.bench.references import References
from edgerecon.bench.rounds import RowTimes
from edgerecon.bench.scoring import Frames, score
from edgerecon.bench.worker_client import WorkerClient, open_cell
from edgerecon.core.errors import EdgereconError, EngineError
from edgerecon.measure.bootstrap import RESAMPLES, percentile_interval, ratio_samples
from edgerecon.measure.row import Row, Setup, Speed
from edgerecon.measure.timing import PERCENTILES

TIMED = "timed.npy"
"""The frames that rows are timed on, uint8 (n, H, W)."""
STAGES = ("prepare", "engine", "postprocess")
Samples = NDArray[np.float64]
"""Bootstrap samples of a row's speed over the reference."""


class RowOpener:
    """Opens the cells of one bench.

    Args:
        folder: for arrays that go to workers and come back; holds ``TIMED``. shape: (height, width) that is timed.
        real: uint8 (n, H, W) that rows are scored on. data: scenes with truth, see ``find_heldout``.
    """

    def __init__(
        self, folder: Path, shape: tuple[int, int], timeout_s: float, real: NDArray[np.uint8], data: Path | None
    ) -> None:
        self._folder, self._shape, self._timeout_s, self._real = folder, shape, timeout_s, real
        self._references = References(folder / TIMED, real, timeout_s, data)

    def reference(self, cells: Sequence[Cell]) -> WorkerClient:
        """The first cell that opens. Raises EngineError, with why the first does not, when none does."""
        failures: list[EngineError] = []
        for cell in cells:
            try:
                return open_cell(cell, self._folder / TIMED, self._timeout_s)[0]
            except EngineError as error:
                failures.append(error)
        raise EngineError(f"no row runs; {cells[0].label}: {failures[0]}")

    def open(self, cell: Cell, stack: ExitStack) -> tuple[Row, RowTimes | None]:
        """The row with its quality and cost, and its open worker; None where it cannot be timed."""
        spec = cell.file.spec
        setup = Setup(cell.file.path.stem, cell.backend, cell.precision, cell.threads, self._shape, spec.task)
        row = Row(setup, cost=graph_cost(cell, self._shape))
        try:
            remote, answer = open_cell(cell, self._folder / TIMED, self._timeout_s)
            stack.enter_context(closing(remote))
            row = replace(
                row,
                setup=replace(setup, threads=answer["threads"]),
                cost=replace(row.cost, startup_ms=answer["startup_ms"]),
                note="the time of a simulation on this CPU, not of hardware" if answer["simulated"] else "",
            )

            def run(frames: Frames) -> NDArray[np.float32]:
                return remote.outputs(frames, self._folder)

            exact, scenes = self._references.fp32_outputs(cell), self._references.scenes(cell.file)
            quality, status = score(spec, run, self._real, exact, scenes)
            return replace(row, quality=quality, status=status), RowTimes(remote)
        except EdgereconError as error:
            return replace(row, status=str(error)), None


def timed(row: Row, turns: RowTimes, base: RowTimes) -> tuple[Row, Samples | None]:
    """The row with what its turns told, and its speed over ``base``; None and the reason where nothing was timed."""
    if turns.error is not None or not turns.blocks:
        return replace(row, status=turns.error or "no round was timed"), None
    times = np.concatenate(turns.blocks)
    total = times.sum(axis=1)
    columns = dict(zip(STAGES, times.T, strict=True)) | turns.apart
    speed = Speed(
        latency_ms={name: _percentile(total, q) for name, q in PERCENTILES.items()} | {"mean": float(total.mean())},
        stages_ms={
            stage: {"p50": float(np.median(column)), "p99": _percentile(column, 99)}
            for stage, column in columns.items()
        },
        cdf_ms=tuple(np.percentile(total, np.arange(101)).tolist()),
    )
    cost = replace(row.cost, memory_mb=turns.memory_mb, joules=turns.joules)
    note = "; ".join(filter(None, (row.note, turns.note)))
    return replace(row, speed=speed, cost=cost, note=note), ratio_samples(base.medians, turns.medians)


def _percentile(values: NDArray[np.float64], q: float) -> float:
    return float(np.percentile(values, q, method="higher"))


def compared(rows: Sequence[Row], samples: Sequence[Samples | None]) -> list[Row]:
    """Speeds against the reference and times against the fastest row that is ok, with intervals."""
    fastest = [found for row, found in zip(rows, samples, strict=True) if row.ok and found is not None]
    best = max(fastest, key=lambda found: float(np.median(found)), default=np.ones(RESAMPLES))
    result = []
    for row, found in zip(rows, samples, strict=True):
        if found is not None:
            behind = best / found
            speed = replace(
                row.speed,
                relative=float(np.median(found)),
                interval=percentile_interval(found),
                to_best=(float(np.median(behind)), *percentile_interval(behind)),
            )
            row = replace(row, speed=speed)
        result.append(row)
    return result
