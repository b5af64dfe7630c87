"""Brightness moved and highlights kept: how far tissue's local mean moves, and what is left of its brightest places.

Brightness moved, in grey levels of 255:  255 · mean over tissue of |G₁₂ * (y − x)|, with G₁₂ a Gaussian of σ = 12 px.
Range: 0 and up; 0.1 of a Gaussian filter, 1 is at the edge of what an eye sees side by side.

Highlights kept: the 99th percentile over tissue of the local mean (Gaussian, σ = 3 px, so that single grains of speckle
are no highlight), output over input. Range: 1 is kept, below 1 the brightest structures are darkened. Source: plain
order statistics; σ is about a patch that a reader compares, and about the width of a specular line.

Example: an output of 0.9 times the input moves the brightness by a tenth of the tissue's mean and keeps 0.90.
"""

from __future__ import annotations

import math

import numpy as np

from edgerecon.quality.measures.areas import blur
from edgerecon.quality.measures.before_after import BeforeAfter
from edgerecon.quality.measures.measure import Measure


def brightness_moved(frame: BeforeAfter) -> float:
    """See the module; nan without tissue."""
    area = frame.tissue
    return 255 * float(np.abs(blur(frame.output - frame.input, 12))[area].mean()) if area.any() else math.nan


def highlights_kept(frame: BeforeAfter) -> float:
    """See the module; nan without tissue, or when it is black."""
    area = frame.tissue
    if not area.any():
        return math.nan
    before, after = (float(np.quantile(blur(image, 3)[area], 0.99)) for image in (frame.input, frame.output))
    return after / before if before > 0 else math.nan


MEASURES = (
    Measure(
        key="brightness_moved",
        label="brightness moved",
        unit="grey levels",
        digits=1,
        better="lower",
        needs=("input",),
        fn=brightness_moved,
        main=True,
    ),
    Measure(
        key="highlights",
        label="highlights kept",
        unit="",
        digits=2,
        better="one",
        needs=("input",),
        fn=highlights_kept,
    ),
)
