"""What a study finds: tables with intervals, pictures, curves, and the papers' claims with our verdict on them."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from edgerecon.measure.bootstrap import Interval, interval

Array = NDArray[Any]
LEAST_DB = 0.05
"""A difference in decibels that counts: one that is surely smaller is none, however narrow its interval."""


@dataclass(frozen=True)
class Metric:
    """A column. key: in JSON and CSV, e.g. "psnr_db". better: which way is up, "" when neither. digits: shown."""

    key: str
    label: str
    better: Literal["higher", "lower", ""] = "higher"
    digits: int = 3


MSE = Metric("mse", "MSE", "lower", 5)
PSNR = Metric("psnr_db", "PSNR, dB", "higher", 2)
SSIM = Metric("ssim", "SSIM", "higher", 3)
VIF = Metric("vif", "VIF", "higher", 3)


@dataclass(frozen=True)
class Row:
    """One method.

    Attributes:
        kind: "reference" for inputs and ground truths, "classical", or "trained".
        values: metric key → mean and 95 % interval over scenes or subjects; a key that is absent was not measured.
        paper: metric key → the figure that the paper prints for this method.
        note: one sentence, e.g. why ours differs from the paper's.
    """

    method: str
    kind: Literal["reference", "classical", "trained"]
    values: Mapping[str, Interval]
    paper: Mapping[str, float] = field(default_factory=dict)
    note: str = ""


@dataclass(frozen=True)
class Table:
    """Methods against metrics. data: one sentence on what was measured, with the number of scenes or subjects."""

    title: str
    metrics: tuple[Metric, ...]
    rows: tuple[Row, ...]
    data: str

    def mean(self, method: str, key: str) -> float:
        """A cell's mean; nan when it was not measured.

        Raises:
            KeyError: there is no such method.
        """
        row = {row.method: row for row in self.rows}[method]
        return row.values[key]["mean"] if key in row.values else math.nan


@dataclass(frozen=True)
class Picture:
    """The same frame by every method. panels: (label, H×W or H×W×3 in [0, 1]); of one size. note: one sentence."""

    title: str
    panels: tuple[tuple[str, Array], ...]
    note: str = ""


@dataclass(frozen=True)
class Claim:
    """What a paper says, or the issue asks, whether it holds here, and the figures that decide.

    Attributes:
        holds: None when this run cannot decide, e.g. since the intervals overlap.
        explained: why it cannot hold, in one sentence with figures of this run; "" where nobody has shown that.
    """

    text: str
    holds: bool | None
    evidence: str
    explained: str = ""


@dataclass(frozen=True)
class TrainedModel:
    """An exported network. error: greatest difference to torch, grey levels in [0, 1]. facts: for the report."""

    name: str
    file: str
    parameters: int
    macs_per_pixel: float
    receptive_field: int
    max_abs_error: float
    shape: tuple[int, int]


@dataclass(frozen=True)
class Trained:
    """How far a network came in a study that trains to plateaus.

    Attributes:
        seconds: of training, wall clock. finished: it reached its plateau, or its last step.
        falling: share by which its error on held-out scenes fell in the last quarter of its steps; None where that
        error tells nothing, as of an adversarial training.
    """

    name: str
    steps: int
    seconds: float
    finished: bool
    falling: float | None = None

    def __str__(self) -> str:
        slope = "" if self.falling is None else f", its held-out error fell by {self.falling:.1%} in the last quarter"
        return f"{self.name} after {self.steps:,} steps in {self.seconds / 60:.0f} min{slope}"


@dataclass
class Result:
    """What one system's study found.

    Attributes:
        paper: citation of what is reproduced. tables, pictures, claims: in the order in which they are shown.
        curves: network → (step, loss) pairs. models: every network that was trained. notes: paragraphs of plain text.
    """

    name: str
    title: str
    paper: str
    tables: list[Table] = field(default_factory=list)
    pictures: list[Picture] = field(default_factory=list)
    claims: list[Claim] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    curves: dict[str, list[tuple[int, float]]] = field(default_factory=dict)
    models: list[TrainedModel] = field(default_factory=list)


def measured(values: Mapping[str, Sequence[float]]) -> dict[str, Interval]:
    """Means with bootstrap intervals from one value a scene or subject; NaN counts as not there."""
    kept = {key: [float(v) for v in found if math.isfinite(v)] for key, found in values.items()}
    return {key: interval(found) for key, found in kept.items() if found}


def paired(a: Sequence[float], b: Sequence[float]) -> Interval:
    """Mean of a − b over the same scenes, with its interval: whether two methods differ, scene by scene."""
    return interval(list(np.subtract(a, b)))


def ordering(table: Table, methods: Sequence[str], metric: Metric, text: str) -> Claim:
    """Whether the methods rank as named, best first, by the means of a table.

    Open when neighbours are closer than ``LEAST_DB``, in decibels, and no others contradict.
    """
    means = [table.mean(method, metric.key) for method in methods]
    sign = -1 if metric.better == "lower" else 1
    least = min(sign * (a - b) for a, b in zip(means, means[1:], strict=False))
    close = LEAST_DB if metric.label.endswith("dB") else 0.0
    holds = None if abs(least) < close else least > 0
    shown = ", ".join(f"{method} {mean:.{metric.digits}f}" for method, mean in zip(methods, means, strict=True))
    return Claim(text, holds, f"{metric.label}: {shown} ({table.title})")
