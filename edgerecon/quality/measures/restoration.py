"""What a change of precision did to the picture: quality, brightness, contrast and structure, not PSNR alone.

A restoration network that is rounded may darken the image, flatten its contrast or leave a ghost of it in the error,
each with a PSNR that looks fine.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from itertools import zip_longest
from statistics import fmean
from typing import Any, Protocol

import cv2
import numpy as np
from numpy.typing import NDArray

from edgerecon.core.errors import DataError, GateError
from edgerecon.core.frame import Image
from edgerecon.engines.base import Engine
from edgerecon.quality.measures.full_reference import psnr, ssim
from edgerecon.quality.measures.speckle import cnr, gcnr
from edgerecon.quality.regions import crop, find_regions

Run = Callable[[Image], Image]

SIGMA = 4.0
"""The width of the Gaussian that splits a picture into what is slow and what is fine, in pixels."""


@dataclass(frozen=True)
class Restoration:
    """A candidate against the fp32 reference; means over frames unless stated otherwise.

    Attributes:
        frames: how many were compared.
        psnr_drop_db, ssim_drop: reference minus candidate, each against the target, brightness included. nan
            without targets.
        mean_shift: mean of candidate minus reference in the frame where it is greatest; negative is darker.
        cnr_change, gcnr_change: candidate minus reference, on the contrast pairs that ``regions.find_regions`` finds in
            the frames; nan where it finds none.
        edge_correlation: of the error's magnitude with the gradient's of the reference (Sobel), in [−1, 1]. Rounding
            noise has none; blur and ringing sit on edges.
        image_correlation: of the slow part of the error with that of the reference (Gaussian, σ = 4 pixels), in
            [−1, 1]. Negative: bright tissue got darker and dark tissue brighter, a loss of contrast.
        slow_fraction: part of the error's power that is slow, in [0, 1]. Of white noise it is 1 / (4πσ²) = 0.005; the
            more, the more the error is a ghost of structure or a shift and the less it is grain.
        rms_error, max_abs_error: over all pixels of all frames.

    The correlations and the fraction are 0 for a frame without error. Grey levels in [0, 1] throughout.
    """

    frames: int
    psnr_drop_db: float
    ssim_drop: float
    mean_shift: float
    cnr_change: float
    gcnr_change: float
    edge_correlation: float
    image_correlation: float
    slow_fraction: float
    rms_error: float
    max_abs_error: float


class Gates(Protocol):
    """Limits, as ``edgerecon.workshop.recipe.GateTable`` has them; None does not gate."""

    @property
    def max_drop_psnr_db(self) -> float | None:
        """PSNR that may be lost, in dB."""
        ...

    @property
    def max_drop_ssim(self) -> float | None:
        """SSIM that may be lost."""
        ...

    @property
    def max_drop_gcnr(self) -> float | None:
        """gCNR that may be lost."""
        ...

    @property
    def max_mean_shift(self) -> float | None:
        """Change of the mean grey level that is allowed, in [0, 1]."""
        ...

    @property
    def max_difference(self) -> float | None:
        """Largest difference of a pixel that is allowed, in [0, 1]."""
        ...


def check(
    candidate: Engine | Run, reference: Engine | Run, frames: Iterable[Image], targets: Iterable[Image] | None = None
) -> Restoration:
    """Run both over the frames and compare.

    Args:
        candidate, reference: engines, or functions from a frame to its reconstruction, float32 (H, W) in [0, 1].
        frames: float32 (H, W) in [0, 1]. targets: what the frames should become, one for each.

    Raises:
        DataError: no frame, or more frames than targets or the reverse. GateError: the candidate's output is not finite
            or has another shape than the reference's. EngineError: see ``Engine.run``.
    """
    run, run_reference = _function(candidate), _function(reference)
    rows = []
    for frame, target in _together(frames, targets):
        expected = np.array(run_reference(frame))
        found = np.array(run(frame))
        if found.shape != expected.shape or not np.isfinite(found).all():
            raise GateError(f"the candidate makes {found.shape} of a frame, not finite {expected.shape}: build it anew")
        rows.append(_compare(frame, expected, found, target))
    if not rows:
        raise DataError("there is no frame to check the restoration on")

    def mean(key: str) -> float:
        values = [row[key] for row in rows if math.isfinite(row[key])]
        return fmean(values) if values else math.nan

    averaged = (
        "psnr_drop_db",
        "ssim_drop",
        "cnr_change",
        "gcnr_change",
        "edge_correlation",
        "image_correlation",
        "slow_fraction",
    )
    return Restoration(
        frames=len(rows),
        mean_shift=max((row["mean_shift"] for row in rows), key=abs),
        rms_error=math.sqrt(sum(row["power"] for row in rows) / sum(row["pixels"] for row in rows)),
        max_abs_error=max(row["max_abs_error"] for row in rows),
        **{key: mean(key) for key in averaged},
    )


def violations(restoration: Restoration, gates: Gates) -> list[str]:
    """One line for each gate that refuses, with the figure, the limit and by how much; empty when all are passed.

    A figure that could not be measured passes no gate.
    """
    limits = (
        ("PSNR drops by", restoration.psnr_drop_db, gates.max_drop_psnr_db, " dB"),
        ("SSIM drops by", restoration.ssim_drop, gates.max_drop_ssim, ""),
        ("gCNR drops by", -restoration.gcnr_change, gates.max_drop_gcnr, ""),
        ("the mean grey level shifts by", abs(restoration.mean_shift), gates.max_mean_shift, ""),
        ("a pixel differs by", restoration.max_abs_error, gates.max_difference, ""),
    )
    found = []
    for what, value, limit, unit in limits:
        if limit is None or value <= limit:
            continue
        if math.isnan(value):
            measure = what.split(" drops")[0]
            found.append(f"{measure} could not be measured: give frames with {_needed(measure)}")
        else:
            found.append(f"{what} {value:.4g}{unit}, allowed is {limit:g}{unit}: {value - limit:.2g}{unit} too much")
    return found


def _needed(measure: str) -> str:
    return "homogeneous tissue of two brightnesses" if measure == "gCNR" else "targets"


def _function(engine: Engine | Run) -> Run:
    return engine if callable(engine) else engine.run


def _together(frames: Iterable[Image], targets: Iterable[Image] | None) -> Iterator[tuple[Image, Image | None]]:
    if targets is None:
        yield from ((frame, None) for frame in frames)
        return
    for frame, target in zip_longest(frames, targets):
        if frame is None or target is None:
            raise DataError("each frame needs one target: their numbers differ")
        yield frame, target


def _compare(frame: Image, expected: Image, found: Image, target: Image | None) -> dict[str, float]:
    """The figures of one frame."""
    error = found.astype(np.float64) - expected
    drops = (math.nan, math.nan)
    if target is not None:
        before, after = _quality(expected, target), _quality(found, target)
        drops = (before[0] - after[0], before[1] - after[1])
    contrast = _contrast_change(frame if frame.shape == expected.shape else expected, expected, found)
    edges = np.hypot(*(cv2.Sobel(expected, cv2.CV_64F, *order) for order in ((1, 0), (0, 1))))
    slow_error = cv2.GaussianBlur(error, (0, 0), SIGMA)
    power = float((error**2).sum())
    return {
        "psnr_drop_db": drops[0],
        "ssim_drop": drops[1],
        "mean_shift": float(error.mean()),
        "cnr_change": contrast[0],
        "gcnr_change": contrast[1],
        "edge_correlation": _correlation(np.abs(error), edges),
        "image_correlation": _correlation(slow_error, cv2.GaussianBlur(expected.astype(np.float64), (0, 0), SIGMA)),
        "slow_fraction": min(float((slow_error**2).sum()) / power, 1.0) if power else 0.0,
        "power": power,
        "pixels": error.size,
        "max_abs_error": float(np.abs(error).max()),
    }


def _quality(image: Image, target: Image) -> tuple[float, float]:
    return psnr(image, target), ssim(image, target)


def _contrast_change(frame: Image, expected: Image, found: Image) -> tuple[float, float]:
    """CNR and gCNR, candidate minus reference, over the pairs of boxes found in the frame."""
    changes = []
    for first, second in find_regions(frame).pairs:
        before, after = ((crop(image, first), crop(image, second)) for image in (expected, found))
        gained = gcnr(*after, limits=(0.0, 1.0)) - gcnr(*before, limits=(0.0, 1.0))
        changes.append((cnr(*after) - cnr(*before), gained))
    if not changes:
        return math.nan, math.nan
    return fmean(change[0] for change in changes), fmean(change[1] for change in changes)


def _correlation(a: NDArray[Any], b: NDArray[Any]) -> float:
    """Pearson's, 0 when one of them is constant."""
    x, y = a.ravel() - a.mean(), b.ravel() - b.mean()
    power = math.sqrt(float(x @ x) * float(y @ y))
    return min(max(float(x @ y) / power, -1.0), 1.0) if power > 1e-20 else 0.0
