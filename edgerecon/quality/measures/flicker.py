"""Flicker: temporal deviation in still places, output over input.

    median over still pixels of  σ_t(y) / σ_t(x),

σ_t the standard deviation over consecutive frames. Still is the quarter of the tissue whose local mean (Gaussian,
σ = 6 px) deviates least over time; what does not change at all (overlays, frozen frames) is left out. Range: 0 no
flicker, 1 the input's own, above 1 the filter adds some. Source: the temporal form of the deviation that speckle left
takes over space.

Example: a filter that scales each frame by another random gain scores above 1.
"""

from __future__ import annotations

import math

import numpy as np

from edgerecon.quality.measures.areas import blur
from edgerecon.quality.measures.before_after import BeforeAfter
from edgerecon.quality.measures.measure import Measure


def flicker(frame: BeforeAfter) -> float:
    """See the module; nan when nothing moves at all."""
    assert frame.sequence is not None
    before, after = frame.sequence
    own = before.std(axis=0)
    area = frame.tissue & (own > 0.5 / 255)
    if not area.any():
        return math.nan
    slow = np.stack([blur(image, 6) for image in before]).std(axis=0)
    still = area & (slow <= np.quantile(slow[area], 0.25))
    return float(np.median(after.std(axis=0)[still] / own[still]))


MEASURES = (
    Measure(
        key="flicker",
        label="flicker",
        unit="",
        digits=2,
        better="lower",
        needs=("input", "sequence"),
        fn=flicker,
    ),
)
