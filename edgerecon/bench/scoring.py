"""What a row's pictures are worth: on real frames against the fp32 file, on held-out scenes against the truth."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace
from statistics import fmean
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edgerecon.core.errors import DataError
from edgerecon.measure.row import OK, Quality
from edgerecon.modelfile.spec import ModelSpec
from edgerecon.quality.datasets.heldout import HeldOut, restored_quality
from edgerecon.quality.measures.full_reference import ssim
from edgerecon.quality.measures.no_reference import measure
from edgerecon.quality.regions import find_regions

GARBAGE = 0.05
"""Mean absolute difference from the fp32 file, on [0, 1], beyond which an output is another picture."""
Frames = NDArray[Any]


def score(
    spec: ModelSpec,
    run: Callable[[Frames], NDArray[np.float32]],
    real: NDArray[np.uint8],
    exact: NDArray[np.float32] | None,
    scenes: HeldOut | None,
) -> tuple[Quality, str]:
    """The quality of a row, and "ok" or why it is refused: its pictures are others than the fp32 file's.

    Without held-out scenes, PSNR and SSIM are those that the file's own record states, and only of a row that is sound.

    Args:
        run: frames (n, H, W) or sequences (n, T, H, W) → what the row makes of them. real: uint8 (n, H, W).
        exact: what the fp32 file made of them on ONNX Runtime, or None when it does not run.
    """
    quality, status = _against_exact(spec, real, run(real), exact)
    if scenes is None:
        psnr_db, similarity = (spec.quality.get(f"validation_{name}", math.nan) for name in ("psnr_db", "ssim"))
        recorded = replace(quality, psnr_db=psnr_db, ssim=similarity, source="record")
        return (recorded if status == OK else quality), status
    outputs = run(scenes.given)
    if not np.isfinite(outputs).all():
        return quality, "wrong output: NaN or infinite values on held-out scenes"
    try:
        psnr_db, similarity = restored_quality(outputs, scenes.wanted)
    except DataError as error:
        return quality, str(error)
    return replace(quality, psnr_db=psnr_db, ssim=similarity, source="held out"), status


def _against_exact(
    spec: ModelSpec, real: NDArray[np.uint8], outputs: NDArray[np.float32], exact: NDArray[np.float32] | None
) -> tuple[Quality, str]:
    """What the outputs on real frames tell."""
    if not np.isfinite(outputs).all():
        return Quality(), "wrong output: NaN or infinite values"
    quality = Quality(gcnr=_gcnr(real, outputs) if spec.scale == 1 and spec.makes_images else math.nan)
    if exact is None:
        return quality, OK
    if exact.shape != outputs.shape:
        return quality, f"wrong output: shape {outputs.shape[1:]} instead of {exact.shape[1:]}"
    off = np.abs(outputs - exact)
    quality = replace(
        quality,
        max_abs_error=float(off.max()),
        mean_shift=float(outputs.mean(dtype=float) - exact.mean(dtype=float)),
        ssim_to_fp32=_likeness(outputs, exact),
    )
    if off.mean() > GARBAGE:
        return quality, f"wrong output: {off.mean():.2f} grey levels from fp32 on average"
    return quality, OK


def _gcnr(real: NDArray[np.uint8], outputs: NDArray[np.float32]) -> float:
    units = real.astype(np.float32) / 255
    found = [measure(a, b, find_regions(a)).gcnr for a, b in zip(units, outputs, strict=True)]
    known = [value for value in found if math.isfinite(value)]
    return fmean(known) if known else math.nan


def _likeness(outputs: NDArray[np.float32], exact: NDArray[np.float32]) -> float:
    """Mean SSIM; nan for what is no image, or too small for it."""
    try:
        return fmean(ssim(a, b) for a, b in zip(outputs, exact, strict=True))
    except ValueError:
        return math.nan
