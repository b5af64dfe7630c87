"""The bench itself: workers started group by group, timed in interleaved rounds, scored on real frames."""

from __future__ import annotations

import dataclasses
import tempfile
from collections.abc import Callable, Sequence
from contextlib import ExitStack, closing
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from edgerecon.bench.references import References
from edgerecon.bench.roofline_row import host_roof, with_floor
from edgerecon.bench.rounds import RowTimes, run_rounds
from edgerecon.bench.scoring import score, score_restored
from edgerecon.bench.stage_costs import measure_stages
from edgerecon.bench.worker_client import WorkerClient
from edgerecon.core.errors import EdgereconError, EngineError, SourceError, redacted
from edgerecon.core.frame import to_uint8, to_unit
from edgerecon.engines.grid import Cell
from edgerecon.hardware.host import host_profile
from edgerecon.hardware.sensors.conditions import conditions
from edgerecon.hardware.sensors.energy import Meter
from edgerecon.measure.bootstrap import RESAMPLES, percentile_interval, ratio_samples
from edgerecon.measure.noise import Calibration
from edgerecon.measure.row import Row
from edgerecon.measure.timing import PERCENTILES
from edgerecon.modelfile.file import read_model
from edgerecon.quality.datasets.pairs_file import sample_names
from edgerecon.stream.sources import open_source

SCHEMA = 1
STAGES = ("prepare", "engine", "postprocess")
INCLUDED = (
    "End to end: a uint8 frame in memory → float32 in [0, 1] (prepare) → the engine, its copies to and from a GPU "
    "included → uint8 (postprocess), one frame after another. Not included: decoding, capture, display, waits between "
    "threads (edgerecon stream measures those). Each row runs in a process of its own; rows take turns."
)
REAL = 6
AT_MOST = 60
GROUP = 8
"""Rows whose processes are alive at once, beside the reference: a small device has no memory for more."""
Progress = Callable[[str, int, int], None]


@dataclass(frozen=True)
class Plan:
    """What is asked for.

    Attributes:
        shape: (height, width) that is timed. seconds: about, for each row. timeout_s: after which a worker's answer is
            given up. recording: real frames, a source as ``open_source`` takes it. data: scenes with known truth, see
            ``quality.heldout.find_heldout``.
    """

    shape: tuple[int, int] = (512, 512)
    seconds: float = 4.0
    timeout_s: float = 60.0
    recording: str = "sample"
    data: Path | None = None


@dataclass
class Bench:
    """rows in the order asked for; what the host told before and after; whether it was quiet."""

    plan: Plan
    rows: list[Row]
    noise: float
    noisy: bool
    energy_sources: list[str]
    energy_missing: list[str]
    conditions: dict[str, Any]
    loads: list[dict[str, Any]] = field(default_factory=list)
    scenarios: list[dict[str, Any]] = field(default_factory=list)
    roof: dict[str, Any] = field(default_factory=host_roof)
    host: dict[str, object] = field(default_factory=host_profile)

    def to_json(self) -> dict[str, Any]:
        """Plain values for ``json.dumps``."""
        return {
            "schema": SCHEMA,
            "rows": [row.to_json() for row in self.rows],
            "loads": self.loads,
            "scenarios": self.scenarios,
            "noise": self.noise,
            "noisy": self.noisy,
            "included": INCLUDED,
            "energy_sources": self.energy_sources,
            "energy_missing": self.energy_missing,
            "conditions": self.conditions,
            "shape": list(self.plan.shape),
            "seconds": self.plan.seconds,
            "recording": redacted(self.plan.recording),
            "data": self.plan.data and self.plan.data.name,
            "roof": self.roof,
            "host": self.host,
        }


def bench(cells: Sequence[Cell], plan: Plan, on_progress: Progress | None = None) -> Bench:
    """Time and score every cell; one that fails has the reason as its status, and the rest goes on.

    The first cell that runs is the reference of the speeds: it runs in every round of every group, beside its own row.

    Raises:
        SourceError: the recording cannot be read. DataError: ``plan.data`` cannot. EngineError: no cell runs, or the
        reference failed later on.
    """
    progress = on_progress or (lambda what, done, total: None)
    if plan.data is not None:
        sample_names(plan.data)
    before, calibration, meter = conditions(), Calibration(), Meter()
    native = real_frames(plan.recording)
    rows: list[Row] = []
    samples: list[NDArray[np.float64] | None] = []
    with tempfile.TemporaryDirectory() as name, ExitStack() as whole:
        folder = Path(name)
        np.save(folder / "timed.npy", np.stack([cv2.resize(f, plan.shape[::-1]) for f in native]))
        np.save(folder / "real.npy", np.stack(native))
        references = References(folder, plan.timeout_s, plan.data)
        reference = whole.enter_context(closing(_reference(cells, plan, folder)))
        for at in range(0, len(cells), GROUP):
            group = _timed_group(cells, at, plan, folder, references, RowTimes(reference), calibration, meter, progress)
            rows += [row for row, _ in group.rows]
            samples += [found for _, found in group.rows]
            during = group.during
    told_of_host = {"before": before, "during": during, "after": conditions()}
    return Bench(
        plan,
        _compared(rows, samples),
        calibration.spread,
        calibration.noisy,
        meter.sources,
        meter.missing,
        told_of_host,
    )


@dataclass(frozen=True)
class _Group:
    """rows: each with the bootstrap samples of its speed, None where it was not timed. during: what the host told."""

    rows: list[tuple[Row, NDArray[np.float64] | None]]
    during: dict[str, Any]


def _timed_group(
    cells: Sequence[Cell],
    at: int,
    plan: Plan,
    folder: Path,
    references: References,
    base: RowTimes,
    calibration: Calibration,
    meter: Meter,
    progress: Progress,
) -> _Group:
    """The cells from ``at`` on whose processes are alive at once, side by side with the reference."""
    with ExitStack() as stack:
        group: list[tuple[Row, RowTimes | None]] = []
        for index, cell in enumerate(cells[at : at + GROUP], at):
            progress(f"opening {cell.label}", index, len(cells))
            group.append(_start(cell, plan, folder, references, stack))
        alive = [turns for _, turns in group if turns is not None]

        def told(done: int, total: int) -> None:
            progress("timing side by side", at * total + done * GROUP, len(cells) * total)

        run_rounds([base, *alive], plan.seconds, calibration, told)
        during = conditions()
        if base.error is not None:
            raise EngineError(f"{base.remote.name} is the reference and failed: {base.error}")
        for one in alive:
            progress(f"{one.remote.name} by itself", at + len(group), len(cells))
            measure_stages(one, meter)
        return _Group([_with_samples(row, turns, base) for row, turns in group], during)


def _with_samples(row: Row, turns: RowTimes | None, base: RowTimes) -> tuple[Row, NDArray[np.float64] | None]:
    if turns is None:
        return row, None
    timed = _timed(row, turns)
    return timed, ratio_samples(base.medians, turns.medians) if timed.latency_ms else None


def real_frames(recording: str) -> list[NDArray[np.uint8]]:
    """Evenly spread frames of a recording's first ``AT_MOST``, uint8 (H, W), all of the first one's size.

    Raises:
        SourceError: see ``open_source``.
    """
    with closing(open_source(recording)) as source:
        captures = islice(source.frames(), AT_MOST)  # a live source never ends
        images = [capture.image.copy() for capture in captures if capture.image is not None]
    if not images:
        raise SourceError(f"{recording} holds no frame")
    picked = [to_uint8(to_unit(images[i])) for i in np.linspace(0, len(images) - 1, REAL).astype(int)]
    return [frame for frame in picked if frame.shape == picked[0].shape]


def _opened(cell: Cell, plan: Plan, folder: Path) -> tuple[WorkerClient, dict[str, Any]]:
    remote = WorkerClient(cell.label, plan.timeout_s)
    try:
        return remote, remote.open(
            model=str(cell.path),
            backend=cell.backend,
            precision=cell.precision,
            threads=cell.threads,
            frames=str(folder / "timed.npy"),
        )
    except EngineError:
        remote.close()
        raise


def _reference(cells: Sequence[Cell], plan: Plan, folder: Path) -> WorkerClient:
    """The first cell that opens. Raises EngineError, with why the first does not, when none does."""
    failures: list[EngineError] = []
    for cell in cells:
        try:
            return _opened(cell, plan, folder)[0]
        except EngineError as error:
            failures.append(error)
    raise EngineError(f"no row runs; {cells[0].label}: {failures[0]}")


def _start(
    cell: Cell, plan: Plan, folder: Path, references: References, stack: ExitStack
) -> tuple[Row, RowTimes | None]:
    """The row with its quality, and its open worker; None where it cannot be timed."""
    size = cell.path.stat().st_size / 1000
    row = Row(
        cell.path.stem,
        cell.backend,
        cell.precision,
        cell.threads,
        plan.shape,
        size_kb=size,
        task=read_model(cell.path).spec.task,
    )
    row = with_floor(row, cell)
    try:
        remote, answer = _opened(cell, plan, folder)
        stack.enter_context(closing(remote))
        note = "the time of a simulation on this CPU, not of hardware" if answer["simulated"] else ""
        row = dataclasses.replace(row, startup_ms=answer["startup_ms"], threads=answer["threads"], note=note)
        return _scored(row, cell, remote, folder, references), RowTimes(remote)
    except EdgereconError as error:
        return dataclasses.replace(row, status=str(error)), None


def _scored(row: Row, cell: Cell, remote: WorkerClient, folder: Path, references: References) -> Row:
    def outputs(name: str) -> NDArray[np.float32]:
        remote.ask("outputs", frames=str(folder / name), out=str(folder / "out.npy"))
        return np.asarray(np.load(folder / "out.npy", allow_pickle=False))

    spec = read_model(cell.path).spec
    row = score(row, spec, np.load(folder / "real.npy"), outputs("real.npy"), references.fp32_outputs(cell.path))
    if (scenes := references.scenes(cell.path, spec.task)) is None:
        return score_restored(row, spec, None, None)
    np.save(folder / "given.npy", scenes.given)
    return score_restored(row, spec, outputs("given.npy"), scenes.wanted)


def _timed(row: Row, turns: RowTimes) -> Row:
    if turns.error is not None or not turns.blocks:
        return dataclasses.replace(row, status=turns.error or "no round was timed")
    times = np.concatenate(turns.blocks)
    total = times.sum(axis=1)
    latency = {name: float(np.percentile(total, q, method="higher")) for name, q in PERCENTILES.items()}
    columns = dict(zip(STAGES, times.T, strict=True)) | turns.apart
    stages = {
        stage: {"p50": float(np.median(column)), "p99": float(np.percentile(column, 99, method="higher"))}
        for stage, column in columns.items()
    }
    note = "; ".join(filter(None, (row.note, turns.note)))
    return dataclasses.replace(
        row,
        latency_ms=latency | {"mean": float(total.mean())},
        stages_ms=stages,
        memory_mb=turns.memory_mb,
        joules=turns.joules,
        note=note,
        cdf_ms=tuple(np.percentile(total, np.arange(101)).tolist()),
    )


def _compared(rows: list[Row], samples: list[NDArray[np.float64] | None]) -> list[Row]:
    """Speeds against the reference and times against the fastest row that is ok, with intervals."""
    fastest = [found for row, found in zip(rows, samples, strict=True) if row.ok and found is not None]
    best = max(fastest, key=lambda found: float(np.median(found)), default=np.ones(RESAMPLES))
    compared = []
    for row, found in zip(rows, samples, strict=True):
        if found is not None:
            behind = best / found
            row = dataclasses.replace(
                row,
                speed=float(np.median(found)),
                speed_interval=percentile_interval(found),
                to_best=(float(np.median(behind)), *percentile_interval(behind)),
            )
        compared.append(row)
    return compared
