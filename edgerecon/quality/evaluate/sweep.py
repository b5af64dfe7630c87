"""Measure filters on many real frames: a model, and every classical filter over its whole range of strength.

The sweep dominates all costs here: some 35 settings a frame, about 8 s for 500×500 pixels on one core, most of it
non-local means with its large window and SRAD's many iterations.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict, dataclass
from statistics import fmean

import numpy as np

from edgerecon.core.frame import Image
from edgerecon.quality.evaluate.tradeoff import Point
from edgerecon.quality.filters import classical
from edgerecon.quality.measures.no_reference import measure
from edgerecon.quality.regions import Regions

Frames = dict[str, list[Image]]
"""File name → its frames, float32 (H, W) in [0, 1]."""

Figures = dict[str, float]
"""Name of a measure → value (the fields of ``NoReference``)."""

Rows = dict[str, list[Figures]]
"""File name → figures of each frame, in the order of ``Frames``."""


@dataclass(frozen=True)
class Setting:
    """One classical filter at one strength, and what it did to each frame."""

    method: str
    parameters: classical.Parameters
    rows: Rows

    @property
    def label(self) -> str:
        return f"{self.method} {json.dumps(self.parameters)}"

    def point(self, files: Iterable[str] | None = None) -> Point:
        """(edge preservation, speckle-SNR ratio), means over files."""
        return point(self.rows, files)


def measure_outputs(frames: Frames, regions: dict[str, list[Regions]], outputs: Frames, blend: float = 1.0) -> Rows:
    """Figures of filtered frames mixed with their inputs, ``input + blend·(output − input)``."""
    return {
        name: [
            asdict(measure(image, image + np.float32(blend) * (output - image), found))
            for image, output, found in zip(images, outputs[name], regions[name], strict=True)
        ]
        for name, images in frames.items()
    }


def classical_sweep(
    frames: Frames,
    regions: dict[str, list[Regions]],
    methods: Sequence[str] | None = None,
    on_progress: Callable[[str, int, int], None] | None = None,
) -> list[Setting]:
    """Every setting of ``classical.GRIDS`` (of the named methods) on every frame.

    Args:
        on_progress: called with (what, done, total) before each setting and at the end.
    """
    todo = [(name, parameters) for name in methods or classical.FILTERS for parameters in classical.GRIDS[name]]
    settings = []
    for done, (name, parameters) in enumerate(todo):
        if on_progress:
            on_progress(name, done, len(todo))
        run = classical.FILTERS[name]
        outputs = {file: [run(image, **parameters) for image in images] for file, images in frames.items()}
        settings.append(Setting(name, parameters, measure_outputs(frames, regions, outputs)))
    if on_progress:
        on_progress("classical filters", len(todo), len(todo))
    return settings


def file_means(rows: Rows, key: str, files: Iterable[str] | None = None) -> list[float]:
    """Mean of one measure over the frames of each file; files (or frames) that have no value are left out."""
    means = []
    for name in files if files is not None else rows:
        finite = [row[key] for row in rows[name] if np.isfinite(row[key])]
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
