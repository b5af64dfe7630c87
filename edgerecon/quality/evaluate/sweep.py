"""Measure filters on many real frames: a model, and every classical filter over its whole range of strength.

The sweep dominates all costs here: some 60 settings a frame, about 20 s for 500×500 pixels on one core, most of it
non-local means with its large window, its Pearson form, and SRAD's many iterations.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict, dataclass
from functools import partial
from statistics import fmean

import numpy as np

from edgerecon.core.frame import Image
from edgerecon.quality.evaluate.tradeoff import Point
from edgerecon.quality.filters.filter import Parameters, filters
from edgerecon.quality.measures.before_after import BeforeAfter
from edgerecon.quality.measures.measure import main_measures, measure_frame
from edgerecon.quality.measures.no_reference import measure
from edgerecon.quality.regions import Regions

Frames = dict[str, list[Image]]
"""File name → its frames, float32 (H, W) in [0, 1]."""

Figures = dict[str, float]
"""Name of a measure → value: keys of ``measures()``, the gain-matched fields of ``NoReference``, and "ms"."""

Rows = dict[str, list[Figures]]
"""File name → figures of each frame, in the order of ``Frames``."""


@dataclass(frozen=True)
class Setting:
    """One classical filter at one strength, and what it did to each frame."""

    method: str
    parameters: Parameters
    rows: Rows

    @property
    def label(self) -> str:
        """Method and parameters in one phrase."""
        return f"{self.method} {json.dumps(self.parameters)}"

    def point(self, files: Iterable[str] | None = None) -> Point:
        """Gain-matched (edge preservation, speckle-SNR ratio), means over files."""
        return point(self.rows, files)

    @property
    def milliseconds(self) -> float:
        """Of a frame, mean over files."""
        return mean(self.rows, "ms")

    def structure_point(self) -> Point:
        """(structure kept, speckle left), means over files."""
        return structure_point(self.rows)


def measure_outputs(frames: Frames, regions: dict[str, list[Regions]], outputs: Frames, blend: float = 1.0) -> Rows:
    """Figures of filtered frames mixed with their inputs, ``input + blend·(output − input)``."""
    rows: Rows = {}
    for name, images in frames.items():
        rows[name] = []
        for image, output, found in zip(images, outputs[name], regions[name], strict=True):
            mixed = image + np.float32(blend) * (output - image)
            plain = measure_frame(BeforeAfter(image, mixed), main_measures())
            rows[name].append(plain | asdict(measure(image, mixed, found)))
    return rows


def classical_sweep(
    frames: Frames,
    regions: dict[str, list[Regions]],
    methods: Sequence[str] | None = None,
    on_progress: Callable[[str, int, int], None] | None = None,
) -> list[Setting]:
    """Every setting of the filters (of the named ones) on every frame, with its milliseconds.

    Args:
        on_progress: called with (what, done, total) before each setting and at the end.
    """
    todo = [(name, parameters) for name in methods or filters() for parameters in filters()[name].grid]
    settings = []
    for done, (name, parameters) in enumerate(todo):
        if on_progress:
            on_progress(name, done, len(todo))
        run = partial(filters()[name].run, **parameters)
        outputs, times = run_timed(run, frames)
        settings.append(Setting(name, parameters, with_times(measure_outputs(frames, regions, outputs), times)))
    if on_progress:
        on_progress("classical filters", len(todo), len(todo))
    return settings


def run_timed(run: Callable[[Image], Image], frames: Frames) -> tuple[Frames, dict[str, list[float]]]:
    """What a filter makes of every frame, and the milliseconds that each took."""
    outputs: Frames = {}
    times: dict[str, list[float]] = {}
    for file, images in frames.items():
        outputs[file], times[file] = [], []
        for image in images:
            start = time.perf_counter_ns()
            outputs[file].append(np.array(run(image)))
            times[file].append((time.perf_counter_ns() - start) / 1e6)
    return outputs, times


def with_times(rows: Rows, times: dict[str, list[float]]) -> Rows:
    """The rows with "ms" in each."""
    return {file: [{**row, "ms": ms} for row, ms in zip(of, times[file], strict=True)] for file, of in rows.items()}


def file_means(rows: Rows, key: str, files: Iterable[str] | None = None) -> list[float]:
    """Mean of one measure over the frames of each file; files (or frames) that have no value are left out."""
    means = []
    for name in files if files is not None else rows:
        finite = [row[key] for row in rows[name] if np.isfinite(row.get(key, np.nan))]
        if finite:
            means.append(fmean(finite))
    return means


def mean(rows: Rows, key: str, files: Iterable[str] | None = None) -> float:
    """Mean over files of ``file_means``; nan when there is none."""
    means = file_means(rows, key, files)
    return fmean(means) if means else float("nan")


def point(rows: Rows, files: Iterable[str] | None = None) -> Point:
    """Place on the trade-off: (edge preservation, speckle-SNR ratio), means over the files that have both."""
    both = [name for name in (rows if files is None else files) if file_means(rows, "snr_ratio", [name])]
    return mean(rows, "edge", both), mean(rows, "snr_ratio", both)


def structure_point(rows: Rows) -> Point:
    """Place on the front: (structure kept, speckle left), means over the files that have both."""
    both = [name for name in rows if file_means(rows, "structure", [name]) and file_means(rows, "speckle_left", [name])]
    return mean(rows, "structure", both), mean(rows, "speckle_left", both)
