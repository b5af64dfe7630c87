"""Evaluate a model on image pairs: MSE, PSNR, SSIM and VIF beside the input and tuned classical filters.

Cost, 64 samples of 256×256 on one core: tuning about a minute, the evaluation itself as long, most of both
in non-local means and SRAD.
"""

from __future__ import annotations

import math
from functools import partial
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np

from edgerecon.core.cluster import Spread
from edgerecon.core.errors import DataError, UsageError
from edgerecon.core.frame import Image
from edgerecon.engines.base import Engine
from edgerecon.measure.bootstrap import interval
from edgerecon.quality.datasets.pairs_file import TASK_FIELDS, read_pairs, sample_names
from edgerecon.quality.evaluate.evaluation import Evaluation, MethodResult, Progress
from edgerecon.quality.filters.classical import Pair
from edgerecon.quality.filters.filter import Parameters, filters
from edgerecon.quality.filters.tuning import tune
from edgerecon.quality.measures.before_after import BeforeAfter
from edgerecon.quality.measures.full_reference import match_gain_offset, mse, psnr, ssim, vif
from edgerecon.quality.measures.measure import measure_frame, measures

TUNING_SAMPLES = 8
SHOWN = 3
UNMATCHED = ("psnr_unmatched_db", "ssim_unmatched")
GAIN_MATCHED = ("mse", "psnr_db", "ssim", "vif")


def evaluate_pairs(
    engine: Engine,
    data: Path,
    methods: list[str],
    limit: int | None,
    tune_on: Path | None,
    on_progress: Progress,
    spread: Spread = map,
    fields: tuple[str, str] | None = None,
) -> Evaluation:
    """See ``evaluate.evaluate``."""
    spec = engine.spec
    source, target = fields or _simulated_fields(spec.model.task)
    names = sample_names(data, limit)
    tuning_file = tune_on or data
    tuning_names = sample_names(tuning_file, TUNING_SAMPLES)
    parameters = _tuned(tuning_file, tuning_names, (source, target), methods, on_progress, spread)

    rows: list[dict[str, Any]] = []
    panels: dict[str, dict[str, Image]] = {}
    pairs = read_pairs(data, names, source, target)
    jobs = ((pair, _reconstruct(engine, pair[0]), at < SHOWN) for at, pair in enumerate(pairs))
    on_progress("evaluating", 0, len(names))
    measured = spread(partial(_measure, parameters), jobs)
    for done, (name, (figures, shown)) in enumerate(zip(names, measured, strict=True), 1):
        rows += [{"file": data.name, "image": name, "method": method, **of} for method, of in figures.items()]
        if shown:
            panels[name] = shown
        on_progress("evaluating", done, len(names))

    table = [_line(rows, method, parameters.get(method, {})) for method in ("input", "model", *methods)]
    notes = [
        f"input field {source}, target field {target}; figures marked gain-matched are of outputs "
        "matched to the target by least-squares gain and offset; intervals are bootstrap 95 % over scenes"
    ]
    if methods:
        notes += _tuning_notes(data, tuning_file, len(tuning_names))
    return Evaluation(
        spec.model.name,
        spec.backend,
        spec.precision,
        str(data),
        "pairs",
        table,
        rows,
        advantage=_advantage(table, rows, methods),
        notes=notes,
        panels=panels,
    )


def _simulated_fields(task: str) -> tuple[str, str]:
    if task not in TASK_FIELDS:
        known = ", ".join(TASK_FIELDS)
        raise UsageError(
            f"no target is known for task '{task}' (only {known}): name the fields (--fields INPUT,TARGET)"
        )
    return TASK_FIELDS[task]


def _tuning_notes(data: Path, tuning_file: Path, samples: int) -> list[str]:
    if tuning_file.resolve() != data.resolve():
        return [f"classical filters tuned for PSNR on {tuning_file.name}'s first {samples} samples"]
    return [
        f"classical filters tuned for PSNR on the evaluation's own first {samples} samples",
        "they were tuned on part of the samples they are evaluated on, which favours them",
    ]


def _measure(
    parameters: dict[str, Parameters], job: tuple[Pair, Image, bool]
) -> tuple[dict[str, dict[str, float]], dict[str, Image] | None]:
    """Figures of the input, the model's output and every filter's, by method; the images too where they are shown."""
    (image, target), output, shown = job
    outputs = {"input": image, "model": output}
    outputs |= {method: filters()[method].run(image, **of) for method, of in parameters.items()}
    figures = {
        method: full_reference(one, target) | unmatched(one, target) | measure_frame(BeforeAfter(image, one))
        for method, one in outputs.items()
    }
    return figures, {**outputs, "target": target} if shown else None


def unmatched(output: Image, target: Image) -> dict[str, float]:
    """PSNR (dB) and SSIM of an output as it is, both (H, W)."""
    return {"psnr_unmatched_db": psnr(output, target), "ssim_unmatched": ssim(output, target)}


def full_reference(output: Image, target: Image) -> dict[str, float]:
    """MSE, PSNR (dB), SSIM and VIF of an output after a least-squares gain and offset to its target, all (H, W)."""
    matched = match_gain_offset(output, target)
    try:
        return {
            "mse": mse(matched, target),
            "psnr_db": psnr(matched, target),
            "ssim": ssim(matched, target),
            "vif": vif(matched, target),
        }
    except ValueError as error:
        raise DataError(f"images too small to be compared: {error}") from error


def _reconstruct(engine: Engine, image: Image) -> Image:
    engine.reset()
    output = np.array(engine.run(image))
    if output.shape != image.shape:
        raise UsageError(f"the model turns {image.shape} into {output.shape}; evaluate needs one that keeps the size")
    return output


def _tuned(
    path: Path, names: list[str], fields: tuple[str, str], methods: list[str], on_progress: Progress, spread: Spread
) -> dict[str, Parameters]:
    pairs = list(islice(read_pairs(path, names, *fields), TUNING_SAMPLES)) if methods else []
    found = {}
    tuned = spread(partial(_tune, pairs), methods)
    for done, method in enumerate(methods):
        on_progress(f"tuning {method}", done, len(methods))
        found[method] = next(tuned)
    return found


def _tune(pairs: list[Pair], method: str) -> Parameters:
    return tune(method, pairs)[0]


def _values(rows: list[dict[str, Any]], method: str, measure: str) -> np.ndarray:
    return np.array([row[measure] for row in rows if row["method"] == method])


def _line(rows: list[dict[str, Any]], method: str, parameters: Parameters) -> MethodResult:
    found = {}
    for name in (*UNMATCHED, *measures(), *GAIN_MATCHED):
        known = [value for value in _values(rows, method, name).tolist() if not math.isnan(value)]
        if known:
            found[name] = interval(known)
    return MethodResult(method, parameters, found)


def _advantage(table: list[MethodResult], rows: list[dict[str, Any]], methods: list[str]) -> dict[str, dict[str, Any]]:
    """Model minus the classical filter that is best by the same measure, sample by sample."""
    result: dict[str, dict[str, Any]] = {}
    for measure in ("psnr_db", "ssim", "vif") if methods else ():
        best = max((line for line in table if line.method in methods), key=lambda x: x.measures[measure]["mean"])
        difference = _values(rows, "model", measure) - _values(rows, best.method, measure)
        result[measure] = {"over": best.method, **interval(difference.tolist())}
    return result
