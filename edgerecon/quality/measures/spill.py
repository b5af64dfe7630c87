"""Spill: what a filter lets run into constant background, in grey levels of 255.

    255 · 99.9th percentile of |y − x| over constant background

A percentile instead of the maximum, so that one pixel of compression noise does not decide. Range: 0 and up; a filter
that knows nothing of borders spills its kernel over the sector's edge: 15 grey levels of a Gaussian of σ = 2 px, 0 of a
median.

Example: a frame whose black surroundings all become 3 of 255 has a spill of 3.
"""

from __future__ import annotations

import math

import numpy as np

from edgerecon.quality.measures.before_after import BeforeAfter
from edgerecon.quality.measures.measure import Measure

LEAST = 100
"""Pixels of constant background below which there is no figure."""


def spill(frame: BeforeAfter) -> float:
    """See the module; nan without constant background."""
    area = frame.constant
    if area.sum() < LEAST:
        return math.nan
    return 255 * float(np.quantile(np.abs(frame.output - frame.input)[area], 0.999))


MEASURES = (
    Measure(
        key="spill",
        label="spill into background",
        unit="grey levels",
        digits=1,
        better="lower",
        needs=("input",),
        fn=spill,
        main=True,
    ),
)
