"""Residual: correlation of what was taken away with the input's local mean and with its gradient; of speckle, none.

With r = x − y: Pearson's correlation over tissue of r with the local mean G₆ * x, and of |r| with the gradient of the
local mean |∇(G₃ * x)| (Gaussians of σ pixels); the "method noise" of Buades, Coll & Morel, Multiscale Model. Simul.
4(2), 2005, in figures. Range: −1 to 1; 0 is best. A positive correlation with the mean says that bright tissue is
darkened; one with the gradient, that edges are taken away.

Example: a residual of white noise scores 0 and 0; a gain of 0.9 scores 1 with the mean.
"""

from __future__ import annotations

import math

import cv2
import numpy as np

from edgerecon.core.frame import Image
from edgerecon.quality.measures.areas import blur
from edgerecon.quality.measures.before_after import BeforeAfter
from edgerecon.quality.measures.measure import Measure


def residual_brightness(frame: BeforeAfter) -> float:
    """Correlation of the residual with the input's local mean; nan for a residual of 0."""
    return _correlation(frame, frame.input - frame.output, blur(frame.input, 6))


def residual_edges(frame: BeforeAfter) -> float:
    """Correlation of the residual's magnitude with the gradient of the local mean; nan for a residual of 0."""
    smooth = blur(frame.input, 3)
    slope = np.hypot(*(cv2.Sobel(smooth, cv2.CV_32F, *order) for order in ((1, 0), (0, 1))))
    return _correlation(frame, np.abs(frame.input - frame.output), np.asarray(slope, np.float32))


def _correlation(frame: BeforeAfter, residual: Image, other: Image) -> float:
    a, b = residual[frame.tissue].astype(np.float64), other[frame.tissue].astype(np.float64)
    if a.size < 2 or a.std() < 1e-7 or b.std() < 1e-7:
        return math.nan
    return float(np.corrcoef(a, b)[0, 1])


MEASURES = (
    Measure(
        key="residual_brightness",
        label="residual's correlation with brightness",
        unit="",
        digits=2,
        better="zero",
        needs=("input",),
        fn=residual_brightness,
    ),
    Measure(
        key="residual_edges",
        label="residual's correlation with edges",
        unit="",
        digits=2,
        better="zero",
        needs=("input",),
        fn=residual_edges,
    ),
)
