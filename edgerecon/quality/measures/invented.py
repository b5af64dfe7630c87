"""Invented structure: the share of the output's coherent ridges that the input does not have.

    invented = 1 − g · Σ b_left·a_right / Σ b_left·b_right

with a the input's and b the output's responses of the half-kernels of ``ridges`` (σ = 2 px), at the places that the
*output's* left side chooses, and g the structure kept at that scale. Were b = g·s + h, with s the structure both have
and h what only the output has, it is h's power over the output's: the gain falls out, and speckle, which the two sides
do not share, has no part.
Range: 0 nothing is invented (a little below 0 by chance), 1 all of it.

Example: an output equal to its input scores 0; the input with a grid of faint lines drawn over it more.
"""

from __future__ import annotations

import math

from edgerecon.quality.measures.before_after import BeforeAfter
from edgerecon.quality.measures.measure import Measure
from edgerecon.quality.measures.ridges import SCALES, Ridges, find_places, grain
from edgerecon.quality.measures.structure import LEAST, structure_at_scale

SIGMA = SCALES[1]


def invented_structure(frame: BeforeAfter) -> float:
    """See the module; nan when the input or the output has no coherent structure."""
    before, after = Ridges(frame.input, SIGMA), Ridges(frame.output, SIGMA)
    places = find_places(after, frame.tissue, 2 * SIGMA + grain(frame.input, frame.calm) / 2)
    if places is None or places.found.size < LEAST:
        return math.nan
    new = float(places.found @ after.at(places.right, places.angle))
    shared = float(places.found @ before.at(places.right, places.angle))
    return 1 - structure_at_scale(frame, SIGMA) * shared / new if new > 0 else math.nan


MEASURES = (
    Measure(
        key="invented",
        label="invented structure",
        unit="",
        digits=2,
        better="zero",
        needs=("input",),
        fn=invented_structure,
    ),
)
