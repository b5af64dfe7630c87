"""The bench itself: workers started group by group, timed in interleaved rounds, scored on real frames."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Sequence
from contextlib import ExitStack, closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from edgerecon.bench.graph_cost import host_roof
from edgerecon.bench.grid import Cell
from edgerecon.bench.rounds import RowTimes, run_rounds
from edgerecon.bench.rows import TIMED, RowOpener, Samples, compared, timed
from edgerecon.bench.stage_costs import measure_stages
from edgerecon.core.errors import EngineError, redacted
from edgerecon.core.frame import to_uint8, to_unit
from edgerecon.hardware.host import host_profile
from edgerecon.hardware.sensors.conditions import conditions
from edgerecon.hardware.sensors.energy import Meter
from edgerecon.measure.noise import Calibration
from edgerecon.measure.row import Row
from edgerecon.quality.datasets.pairs_file import sample_names
from edgerecon.stream.sources.still_frames import read_frames, spread

SCHEMA = 1
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
            ``quality.datasets.heldout.find_heldout``.
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
    samples: list[Samples | None] = []
    with tempfile.TemporaryDirectory() as name, ExitStack() as whole:
        folder = Path(name)
        np.save(folder / TIMED, np.stack([cv2.resize(f, plan.shape[::-1]) for f in native]))
        opener = RowOpener(folder, plan.shape, plan.timeout_s, np.stack(native), plan.data)
        reference = whole.enter_context(closing(opener.reference(cells)))
        for at in range(0, len(cells), GROUP):
            group = _timed_group(cells, at, plan.seconds, opener, RowTimes(reference), calibration, meter, progress)
            rows += [row for row, _ in group.rows]
            samples += [found for _, found in group.rows]
            during = group.during
    told_of_host = {"before": before, "during": during, "after": conditions()}
    return Bench(
        plan,
        compared(rows, samples),
        calibration.spread,
        calibration.noisy,
        meter.sources,
        meter.missing,
        told_of_host,
    )


@dataclass(frozen=True)
class _Group:
    """rows: each with the bootstrap samples of its speed, None where it was not timed. during: what the host told."""

    rows: list[tuple[Row, Samples | None]]
    during: dict[str, Any]


def _timed_group(
    cells: Sequence[Cell],
    at: int,
    seconds: float,
    opener: RowOpener,
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
            group.append(opener.open(cell, stack))
        alive = [turns for _, turns in group if turns is not None]

        def told(done: int, total: int) -> None:
            progress("timing side by side", at * total + done * GROUP, len(cells) * total)

        run_rounds([base, *alive], seconds, calibration, told)
        during = conditions()
        if base.error is not None:
            raise EngineError(f"{base.remote.name} is the reference and failed: {base.error}")
        for one in alive:
            progress(f"{one.remote.name} by itself", at + len(group), len(cells))
            measure_stages(one, meter)
        return _Group([(row, None) if turns is None else timed(row, turns, base) for row, turns in group], during)


def real_frames(recording: str) -> list[NDArray[np.uint8]]:
    """Evenly spread frames of a recording's first ``AT_MOST``, uint8 (H, W), all of the first one's size.

    Raises:
        SourceError: see ``read_frames``.
    """
    picked = [to_uint8(to_unit(image)) for image in spread(read_frames(recording, AT_MOST), REAL)]
    return [frame for frame in picked if frame.shape == picked[0].shape]
