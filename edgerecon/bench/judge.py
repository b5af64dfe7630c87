"""What a row's pictures are worth: its output on real frames against the fp32 file, and the contrast that it keeps."""

from __future__ import annotations

import dataclasses
import math
from statistics import fmean

import numpy as np
from numpy.typing import NDArray

from edgerecon.engines.base import ModelSpec
from edgerecon.latency.row import Row
from edgerecon.quality.no_reference import measure
from edgerecon.quality.regions import find_regions

GARBAGE = 0.05
"""Mean absolute difference from the fp32 file, on [0, 1], beyond which an output is another picture."""


def judge(
    row: Row, spec: ModelSpec, frames: NDArray[np.uint8], outputs: NDArray[np.float32],
    truth: NDArray[np.float32] | None,
) -> Row:  # fmt: skip
    """The row with its quality.

    psnr_db and ssim are those that the file's own record states, measured on validation scenes when it was exported;
    everything else is measured here. A row whose output is another picture than the fp32 file's loses its record.

    Args:
        frames, outputs: (n, H, W) real ones and what the row made of them. truth: what the fp32 file made on ONNX
            Runtime, or None when it does not run.
    """
    recorded = (spec.quality.get(f"validation_{name}", math.nan) for name in ("psnr_db", "ssim"))
    psnr_db, ssim = recorded
    row = dataclasses.replace(row, psnr_db=psnr_db, ssim=ssim)
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
        row, max_abs_error=float(off.max()), mean_shift=float(outputs.mean(dtype=float) - truth.mean(dtype=float))
    )
    if off.mean() > GARBAGE:
        return _refused(row, f"wrong output: {off.mean():.2f} grey levels from fp32 on average")
    return row


def _refused(row: Row, why: str) -> Row:
    return dataclasses.replace(row, psnr_db=math.nan, ssim=math.nan, status=why)
