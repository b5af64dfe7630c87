"""What a row's pictures are worth: on real frames against the fp32 file, on held-out scenes against the truth."""

from __future__ import annotations

import dataclasses
import math
from statistics import fmean
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edgerecon.core.errors import DataError
from edgerecon.measure.row import Row
from edgerecon.modelfile.spec import ModelSpec
from edgerecon.quality.datasets.heldout import restored_quality
from edgerecon.quality.measures.full_reference import ssim
from edgerecon.quality.measures.no_reference import measure
from edgerecon.quality.regions import find_regions

GARBAGE = 0.05
"""Mean absolute difference from the fp32 file, on [0, 1], beyond which an output is another picture."""


def score(
    row: Row,
    spec: ModelSpec,
    frames: NDArray[np.uint8],
    outputs: NDArray[np.float32],
    truth: NDArray[np.float32] | None,
) -> Row:
    """The row with what its outputs on real frames tell; marked when they are another picture than the fp32 file's.

    Args:
        frames, outputs: (n, H, W) real ones and what the row made of them. truth: what the fp32 file made on ONNX
            Runtime, or None when it does not run.
    """
    if not np.isfinite(outputs).all():
        return _refused(row, "wrong output: NaN or infinite values")
    if spec.scale == 1 and spec.fixed_output is None:
        units = frames.astype(np.float32) / 255
        found = [measure(a, b, find_regions(a)).gcnr for a, b in zip(units, outputs, strict=True)]
        known = [value for value in found if math.isfinite(value)]
        row = dataclasses.replace(row, gcnr=fmean(known) if known else math.nan)
    if truth is None:
        return row
    if truth.shape != outputs.shape:
        return _refused(row, f"wrong output: shape {outputs.shape[1:]} instead of {truth.shape[1:]}")
    off = np.abs(outputs - truth)
    row = dataclasses.replace(
        row,
        max_abs_error=float(off.max()),
        mean_shift=float(outputs.mean(dtype=float) - truth.mean(dtype=float)),
        ssim_to_fp32=_likeness(outputs, truth),
    )
    if off.mean() > GARBAGE:
        return _refused(row, f"wrong output: {off.mean():.2f} grey levels from fp32 on average")
    return row


def _likeness(outputs: NDArray[np.float32], truth: NDArray[np.float32]) -> float:
    """Mean SSIM; nan for what is no image, or too small for it."""
    try:
        return fmean(ssim(a, b) for a, b in zip(outputs, truth, strict=True))
    except ValueError:
        return math.nan


def score_restored(row: Row, spec: ModelSpec, outputs: NDArray[np.float32] | None, wanted: NDArray[Any] | None) -> Row:
    """The row with PSNR and SSIM of what it made of held-out scenes.

    Without such scenes they are those that the file's own record states, and only of a row that is sound.
    """
    if outputs is None or wanted is None:
        recorded = [spec.quality.get(f"validation_{name}", math.nan) for name in ("psnr_db", "ssim")]
        return dataclasses.replace(row, psnr_db=recorded[0], ssim=recorded[1], quality="record") if row.ok else row
    if not np.isfinite(outputs).all():
        return _refused(row, "wrong output: NaN or infinite values on held-out scenes")
    try:
        psnr_db, similarity = restored_quality(outputs, wanted)
    except DataError as error:
        return _refused(row, str(error))
    return dataclasses.replace(row, psnr_db=psnr_db, ssim=similarity, quality="held out")


def _refused(row: Row, why: str) -> Row:
    return dataclasses.replace(row, status=why)
