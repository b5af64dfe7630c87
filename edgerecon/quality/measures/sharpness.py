"""Sharpness: width of bright points and of edges, output over input; 1 is as sharp as the input, above 1 is blurred.

Points: full width at half maximum (FWHM), mean of the axial and the lateral profile, above the median of the 25×25
surroundings, of the up to 32 most prominent points that stand 0.25 and three deviations above them. Median over points
of the output's width over the input's.

Edges: distance between 10 % and 90 % of the step (IEEE Std 181-2011 calls it the transition), along the gradient, of a
profile averaged over 13 px along the edge, which takes most of the speckle out. Up to 64 steps of at least 0.12, found
where the gradient of the local mean (σ = 3 px) is greatest. Median over edges of the output's width over the input's.

Example: a Gaussian of σ = 2 px makes a point of FWHM 3 px 1.9 times as wide.
"""

from __future__ import annotations

import math
from collections.abc import Iterator

import cv2
import numpy as np
from numpy.typing import NDArray

from edgerecon.core.frame import Image
from edgerecon.quality.measures.areas import Mask, blur
from edgerecon.quality.measures.before_after import BeforeAfter
from edgerecon.quality.measures.measure import Measure
from edgerecon.quality.measures.speckle import fwhm

POINTS, POINT_REACH, POINT_RISE = 32, 12, 0.25
EDGES, EDGE_REACH, EDGE_SIDE, EDGE_STEP = 64, 12, 6, 0.12
LEAST = 3
"""Points or edges below which there is no figure."""


def point_width(frame: BeforeAfter) -> float:
    """Width of points, output over input; nan where the input has too few."""
    found = _peaks(frame.input - blur(frame.input, POINT_REACH), frame.tissue, POINTS, POINT_REACH)
    ratios = []
    for row, column in found:
        before, after = (_point(image, row, column) for image in (frame.input, frame.output))
        surroundings = frame.input[_around(row), _around(column)]
        rise = frame.input[row, column] - np.median(surroundings)
        if rise > max(POINT_RISE, 3 * float(surroundings.std())) and math.isfinite(before):
            ratios.append(after / before)
    return _median(ratios)


def edge_width(frame: BeforeAfter) -> float:
    """10–90 % width of edges, output over input; nan where the input has too few."""
    smooth = blur(frame.input, 3)
    down, along = (np.asarray(cv2.Sobel(smooth, cv2.CV_32F, *order, scale=0.125)) for order in ((0, 1), (1, 0)))
    ratios = []
    for row, column in _peaks(np.hypot(down, along), frame.tissue, EDGES, EDGE_REACH):
        angle = math.atan2(down[row, column], along[row, column])
        before, after = (_edge(image, row, column, angle) for image in (frame.input, frame.output))
        if before and after:
            ratios.append(after / before)
    return _median(ratios)


def _median(ratios: list[float]) -> float:
    known = [ratio for ratio in ratios if math.isfinite(ratio)]
    return float(np.median(known)) if len(known) >= LEAST else math.nan


def _peaks(strength: Image, area: Mask, count: int, reach: int) -> Iterator[tuple[int, int]]:
    """Rows and columns of the strongest local maxima, at least ``reach`` apart and that far from the border."""
    window = np.ones((2 * reach + 1, 2 * reach + 1), np.uint8)
    top = area & (strength > 0) & (strength == cv2.dilate(strength, window))
    top[:reach], top[-reach:], top[:, :reach], top[:, -reach:] = False, False, False, False
    rows, columns = np.nonzero(top)
    for i in np.argsort(-strength[rows, columns])[:count]:
        yield int(rows[i]), int(columns[i])


def _around(centre: int) -> slice:
    return slice(centre - POINT_REACH, centre + POINT_REACH + 1)


def _point(image: Image, row: int, column: int) -> float:
    """Mean FWHM in pixels of the two profiles through a point; nan when one does not fall to half."""
    base = float(np.median(image[_around(row), _around(column)]))
    profiles = (image[_around(row), column], image[row, _around(column)])
    return sum(fwhm(np.clip(profile - base, 0, None)) for profile in profiles) / 2


def _edge(image: Image, row: int, column: int, angle: float) -> float:
    """10–90 % width in pixels of a step that rises along an angle; 0 when it is no step of ``EDGE_STEP``."""
    across, tangent = np.mgrid[-EDGE_REACH : EDGE_REACH + 1, -EDGE_SIDE : EDGE_SIDE + 1].astype(np.float32)
    columns = column + across * math.cos(angle) - tangent * math.sin(angle)
    rows = row + across * math.sin(angle) + tangent * math.cos(angle)
    sampled = cv2.remap(
        image, columns.astype(np.float32), rows.astype(np.float32), cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE
    )
    return _transition(sampled.mean(axis=1).astype(np.float64))


def _transition(profile: NDArray[np.float64]) -> float:
    """Distance in samples between 10 % and 90 % of a rising step around the middle; 0 when there is none."""
    third = len(profile) // 3
    low, high = float(np.median(profile[:third])), float(np.median(profile[-third:]))
    if high - low < EDGE_STEP:
        return 0.0
    level, middle = (profile - low) / (high - low), len(profile) // 2
    below = np.nonzero(level[: middle + 1] <= 0.1)[0]
    above = np.nonzero(level[middle:] >= 0.9)[0]
    if not below.size or not above.size:
        return 0.0
    i, j = int(below[-1]), middle + int(above[0])
    start = i + (0.1 - level[i]) / (level[i + 1] - level[i])
    end = j - (level[j] - 0.9) / (level[j] - level[j - 1])
    return float(end - start)


MEASURES = (
    Measure(
        key="point_width",
        label="width of points (FWHM)",
        unit="",
        digits=2,
        better="one",
        needs=("input",),
        fn=point_width,
    ),
    Measure(
        key="edge_width",
        label="width of edges (10–90 %)",
        unit="",
        digits=2,
        better="one",
        needs=("input",),
        fn=edge_width,
    ),
)
