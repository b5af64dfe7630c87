"""Methods on the same degraded frames: figures scene by scene, a table, a picture, and differences with intervals."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from statistics import fmean
from typing import Literal

import numpy as np

from edgerecon.core.frame import Image
from edgerecon.engines import open_engine
from edgerecon.quality.filters import classical, contrast
from edgerecon.quality.filters.filter import filters
from edgerecon.quality.filters.tuning import tune
from edgerecon.quality.measures.full_reference import match_gain_offset, mse, psnr, snr, ssim
from edgerecon.quality.measures.speckle import cnr, gcnr
from edgerecon.quality.regions import Regions, crop
from edgerecon.study.results import LEAST_DB, MSE, PSNR, SSIM, Claim, Metric, Picture, Row, Table, measured, paired

MATCHED = Metric("matched_psnr_db", "PSNR after gain and offset, dB", "higher", 2)
SNR = Metric("snr_db", "SNR, dB", "higher", 2)
CNR = Metric("cnr", "CNR", "higher", 2)
GCNR = Metric("gcnr", "gCNR", "higher", 3)
METRICS = (MSE, PSNR, SSIM, MATCHED, SNR, CNR, GCNR)


@dataclass(frozen=True)
class Case:
    """One test frame of one scene: what is given, what is wanted, and where to measure contrast (in the undegraded)."""

    frame: Image
    target: Image
    regions: Regions


@dataclass(frozen=True)
class Method:
    """A way from a frame to its restoration; see ``Row`` for kind and note."""

    name: str
    kind: Literal["reference", "classical", "trained"]
    run: Callable[[Image], Image]
    note: str = ""


@dataclass(frozen=True)
class Comparison:
    """outputs: method → frames. values: method → metric key → one value a case. In the order of the methods."""

    table: Table
    outputs: Mapping[str, Sequence[Image]]
    values: Mapping[str, Mapping[str, Sequence[float]]]


def given_and_wanted(cases: Sequence[Case]) -> tuple[Image, Image]:
    """Frames and targets of all cases, (n, H, W) each."""
    return np.stack([case.frame for case in cases]), np.stack([case.target for case in cases])


def unchanged() -> Method:
    """The frame as it is given."""
    return Method("input", "reference", lambda frame: frame)


def exported(name: str, path: Path, note: str = "") -> Method:
    """A trained network as its ONNX file runs it."""
    engine = open_engine(path, backend="onnxruntime")
    return Method(name, "trained", lambda frame: engine.run(frame).copy(), note)


def tuned(name: str, pairs: Sequence[classical.Pair], score: Callable[[Image, Image], float]) -> Method:
    """A classical method at the strength that scores best on training pairs."""
    parameters, _ = tune(name, pairs, score)
    run = partial(contrast.CONTRASTS.get(name) or filters()[name].run, **parameters)
    strength = ", ".join(f"{key} {value:g}" for key, value in parameters.items())
    return Method(name, "classical", run, f"tuned on training scenes: {strength}" if strength else "has no strength")


def figures(output: Image, case: Case) -> dict[str, float]:
    """The values of ``METRICS``; CNR and gCNR are means over the pairs of regions, nan where there is none."""
    pairs = [(crop(output, target), crop(output, background)) for background, target in case.regions.pairs]
    return {
        MSE.key: mse(output, case.target),
        PSNR.key: psnr(output, case.target),
        SSIM.key: ssim(output, case.target),
        MATCHED.key: psnr(match_gain_offset(output, case.target), case.target),
        SNR.key: snr(output, case.target),
        CNR.key: _mean(cnr(*pair) for pair in pairs),
        GCNR.key: _mean(gcnr(*pair, limits=(0.0, 1.0)) for pair in pairs),
    }


def compare(
    title: str,
    data: str,
    cases: Sequence[Case],
    methods: Sequence[Method],
    metrics: tuple[Metric, ...] = METRICS,
    measure: Callable[[Image, Case], Mapping[str, float]] = figures,
) -> Comparison:
    """Run every method on every case and measure it."""
    outputs = {method.name: [method.run(case.frame) for case in cases] for method in methods}
    values = {}
    for name, found in outputs.items():
        measures = [measure(output, case) for output, case in zip(found, cases, strict=True)]
        values[name] = {key: [one[key] for one in measures] for key in measures[0]}
    rows = tuple(Row(m.name, m.kind, measured(values[m.name]), note=m.note) for m in methods)
    return Comparison(Table(title, metrics, rows, data), outputs, values)


def beats(found: Comparison, better: str, others: Iterable[str], metric: Metric, text: str) -> Claim:
    """Whether a method is better than the best of others, scene by scene.

    It is not when it is surely worse, or in decibels surely by less than ``LEAST_DB`` better; else it is open when 0
    lies in the interval.
    """
    sign = -1 if metric.better == "lower" else 1
    best = max(others, key=lambda name: sign * found.table.mean(name, metric.key))
    both = [
        (a, b)
        for a, b in zip(found.values[better][metric.key], found.values[best][metric.key], strict=True)
        if math.isfinite(a) and math.isfinite(b)
    ]
    difference = paired([a for a, _ in both], [b for _, b in both])
    ends = sign * difference["low"], sign * difference["high"]
    least = LEAST_DB if metric.label.endswith("dB") else 0.0
    holds = False if max(ends) < least else True if min(ends) > 0 else None
    mean, low, high = (f"{difference[key]:+.{metric.digits}f}" for key in ("mean", "low", "high"))
    evidence = f"{metric.label}, {better} minus {best}, scene by scene: {mean} [{low}, {high}] ({found.table.title})"
    return Claim(text, holds, evidence)


def picture(found: Comparison, cases: Sequence[Case], index: int, title: str) -> Picture:
    """One case by every method, and the target."""
    panels = [(name, np.clip(outputs[index], 0, 1)) for name, outputs in found.outputs.items()]
    return Picture(title, (*panels, ("target", cases[index].target)), "A frame of a test scene.")


def _mean(values: Iterable[float]) -> float:
    finite = [value for value in values if math.isfinite(value)]
    return fmean(finite) if finite else math.nan
