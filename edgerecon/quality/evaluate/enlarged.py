"""Evaluate a model that enlarges on real recordings: a frame reduced by area and enlarged again, against the frame.

The recorded frame is the reference. So the figures say how well the model gives back what the reduction took, and not
how well it enlarges the frame itself, for which there is no reference.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path
from statistics import fmean
from typing import Any

import cv2
import numpy as np

from edgerecon.core.errors import DataError, UsageError
from edgerecon.core.frame import Image
from edgerecon.engines.base import Engine
from edgerecon.measure.bootstrap import interval
from edgerecon.quality.datasets.recordings import load_recordings
from edgerecon.quality.evaluate import sweep
from edgerecon.quality.evaluate.evaluation import Evaluation, MethodResult, Progress
from edgerecon.quality.measures.full_reference import psnr, ssim

FRAMES_PER_FILE = 2
SIDE = 512
"""Greatest side of the reference, pixels."""
INTERPOLATIONS = {"bicubic": cv2.INTER_CUBIC, "lanczos": cv2.INTER_LANCZOS4}
_LEAST = 16
"""Rows and columns of the reduced frame, below which nothing is compared."""


def evaluate_enlarged(engine: Engine, data: Path, limit: int | None, on_progress: Progress) -> Evaluation:
    """See ``evaluate.evaluate``: of an engine whose output is ``scale`` times as large as its input.

    Raises:
        DataError: the frames are too small. Else as there.
    """
    spec = engine.spec
    scale = spec.model.scale
    loaded, notes = load_recordings(data, limit or FRAMES_PER_FILE)
    references = {name: [_reference(image, scale, name) for image in images] for name, images in loaded.items()}
    reduced = {name: [_reduced(image, scale) for image in images] for name, images in references.items()}
    runs: dict[str, Callable[[Image], Image]] = {
        name: partial(_interpolated, scale=scale, how=how) for name, how in INTERPOLATIONS.items()
    }
    runs["model"] = partial(_enlarged, engine)
    measured: dict[str, sweep.Rows] = {}
    outputs: dict[str, sweep.Frames] = {}
    for done, (method, run) in enumerate(runs.items()):
        on_progress(f"enlarging: {method}", done, len(runs))
        run(next(iter(reduced.values()))[0])  # a new size costs time once
        outputs[method], times = sweep.run_timed(run, reduced)
        measured[method] = sweep.with_times(_compared(outputs[method], references), times)
    on_progress("enlarging", len(runs), len(runs))
    keys = ("psnr_unmatched_db", "ssim_unmatched", "ms")
    table = [
        MethodResult(name, {}, {key: interval(sweep.file_means(rows, key)) for key in keys})
        for name, rows in measured.items()
    ]
    return Evaluation(
        spec.model.name,
        spec.backend,
        spec.precision,
        str(data),
        "enlarged",
        table,
        _flat(measured),
        advantage=_advantage(measured),
        notes=[
            f"the reference is the recorded frame; the input is that frame reduced ×{scale} by area (cv2.INTER_AREA)",
            "nothing is matched in gain or offset; intervals are bootstrap 95 % over files",
            *notes,
        ],
        panels={
            name: {
                "input": _interpolated(reduced[name][0], scale, cv2.INTER_NEAREST),
                **{method: of[name][0] for method, of in outputs.items()},
                "target": images[0],
            }
            for name, images in references.items()
        },
    )


def _reference(image: Image, scale: int, name: str) -> Image:
    """The middle of a frame, with rows and columns that are multiples of the scale.

    Raises:
        DataError: it is too small.
    """
    if min(image.shape) < _LEAST * scale:
        rows, columns = image.shape
        raise DataError(f"{name} has {rows}×{columns} pixels: to be reduced ×{scale} it needs {_LEAST * scale} a side")
    lengths = [min(length, SIDE) // scale * scale for length in image.shape]
    top, left = ((whole - length) // 2 for whole, length in zip(image.shape, lengths, strict=True))
    return np.ascontiguousarray(image[top : top + lengths[0], left : left + lengths[1]])


def _reduced(image: Image, scale: int) -> Image:
    rows, columns = (length // scale for length in image.shape)
    return np.asarray(cv2.resize(image, (columns, rows), interpolation=cv2.INTER_AREA), np.float32)


def _interpolated(image: Image, scale: int, how: int) -> Image:
    rows, columns = (length * scale for length in image.shape)
    return np.asarray(np.clip(cv2.resize(image, (columns, rows), interpolation=how), 0, 1), np.float32)


def _enlarged(engine: Engine, image: Image) -> Image:
    engine.reset()  # the frames picked are far apart
    output = engine.run(image)
    expected = tuple(length * engine.spec.model.scale for length in image.shape)
    if output.shape != expected:
        raise UsageError(f"the model turns {image.shape} into {output.shape}, not {expected} as its file says")
    return output


def _compared(outputs: sweep.Frames, references: sweep.Frames) -> sweep.Rows:
    return {
        name: [
            {"psnr_unmatched_db": psnr(output, image), "ssim_unmatched": ssim(output, image)}
            for output, image in zip(outputs[name], images, strict=True)
        ]
        for name, images in references.items()
    }


def _flat(measured: dict[str, sweep.Rows]) -> list[dict[str, Any]]:
    """One row a method and image."""
    return [
        {"file": file, "image": str(at), "method": method, **row}
        for method, rows in measured.items()
        for file, of in rows.items()
        for at, row in enumerate(of)
    ]


def _advantage(measured: dict[str, sweep.Rows]) -> dict[str, dict[str, object]]:
    """PSNR of the model over that of the better interpolation, file by file."""
    key = "psnr_unmatched_db"
    means = {name: sweep.file_means(rows, key) for name, rows in measured.items()}
    if not all(means.values()):
        return {}
    over = max(INTERPOLATIONS, key=lambda name: fmean(means[name]))
    gains = [model - other for model, other in zip(means["model"], means[over], strict=True)]
    return {key: {"over": over, **interval(gains)}}
