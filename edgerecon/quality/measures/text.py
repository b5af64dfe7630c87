"""Text kept: contrast of static graphics (text, rulers, symbols) against what lies beneath, output over input.

    Σ (x − x₀)(y − y₀) / Σ (x − x₀)²  over the strokes,

the least-squares gain through the origin, with x₀ and y₀ the levels beneath the strokes (morphological opening, 15×15
px). Strokes are found on constant background, where there is no speckle, so that a plain slope serves. Range: 1 is
kept, 0 is gone.

Example: an output equal to its input scores 1.00; text faded to half its contrast 0.50.
"""

from __future__ import annotations

import math

from edgerecon.quality.measures.areas import background_level, graphics
from edgerecon.quality.measures.before_after import BeforeAfter
from edgerecon.quality.measures.measure import Measure

LEAST = 30
"""Pixels of strokes below which there is no figure."""


def text_kept(frame: BeforeAfter) -> float:
    """See the module; nan without graphics."""
    strokes = graphics(frame.input)
    if strokes.sum() < LEAST:
        return math.nan
    before, after = ((image - background_level(image))[strokes] for image in (frame.input, frame.output))
    return float(before @ after) / float(before @ before)


MEASURES = (
    Measure(
        key="text",
        label="text kept",
        unit="",
        digits=2,
        better="one",
        needs=("input",),
        fn=text_kept,
    ),
)
