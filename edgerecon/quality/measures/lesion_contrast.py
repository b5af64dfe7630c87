"""Lesion contrast kept, on simulated scenes whose rim is known: contrast in the output over that in the input.

    contrast = mean inside 0.85 radii − mean between 1.25 and 1.7 radii,

on the log-compressed display, where a difference of grey levels is one of decibels, so that the ratio is that of
decibels whatever the dynamic range. The rim itself, which any filter blurs, is left out. Range: 1 is kept, below 1 is
lost, above 1 is enhanced. Cysts and solid lesions have figures of their own: a filter that darkens dark tissue flatters
the one and not the other.

Example: a filter that moves a cyst from 20 to 40 grey levels in tissue of 100 keeps 0.75.
"""

from __future__ import annotations

import math
from functools import partial
from typing import Literal

from edgerecon.core.frame import Image
from edgerecon.quality.measures.before_after import BeforeAfter, Lesion
from edgerecon.quality.measures.measure import Measure

INSIDE, AROUND = 0.85, (1.25, 1.7)
"""Where contrast is measured, in radii."""
LEAST = 3 / 255
"""Contrast of an input below which there is nothing to keep."""


def lesion_contrast(frame: BeforeAfter, kind: Literal["cyst", "solid"] | None = None) -> float:
    """See the module; nan for a lesion of another kind, or one without contrast in the input."""
    assert frame.lesion is not None
    if kind is not None and frame.lesion.kind != kind:
        return math.nan
    before, after = (contrast(image, frame.lesion) for image in (frame.input, frame.output))
    return after / before if abs(before) > LEAST else math.nan


def contrast(image: Image, lesion: Lesion) -> float:
    """Mean inside less mean around, in grey levels of the image; nan when one of them is outside the frame."""
    low, high = AROUND
    inside, around = lesion.radius < INSIDE, (lesion.radius > low) & (lesion.radius < high)
    if not inside.any() or not around.any():
        return math.nan
    return float(image[inside].mean()) - float(image[around].mean())


MEASURES = (
    Measure(
        key="lesion_contrast",
        label="lesion contrast kept",
        unit="",
        digits=2,
        better="one",
        needs=("input", "lesion"),
        fn=lesion_contrast,
    ),
    Measure(
        key="cyst_contrast",
        label="contrast of cysts kept",
        unit="",
        digits=2,
        better="one",
        needs=("input", "lesion"),
        fn=partial(lesion_contrast, kind="cyst"),
    ),
    Measure(
        key="solid_contrast",
        label="contrast of solid lesions kept",
        unit="",
        digits=2,
        better="one",
        needs=("input", "lesion"),
        fn=partial(lesion_contrast, kind="solid"),
    ),
)
