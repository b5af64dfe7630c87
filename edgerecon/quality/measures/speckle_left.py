"""Speckle left: local deviation in the calmest tissue, output over input.

    median over calm pixels of  √(G₆ * (y − G₃ * y)²) / √(G₆ * (x − G₃ * x)²)

with G_σ a Gaussian of σ pixels, x the input and y the output. Range: 0 no speckle is left, 1 all of it. The deviation
of homogeneous tissue is the usual measure of speckle (Wagner et al., IEEE Trans. Sonics Ultrason. 30(3), 1983); here
it is taken where the input's local mean has the least gradient.

Example: a Gaussian of σ = 2 px leaves about 0.45, non-local means of h = 16 about 0.4. The true picture of simulated
displays leaves 0.07 in even tissue, which has slow variations of its own, and 0.35 to 0.61 where fibres fill the frame,
the more the more looks are averaged: fibres vary within 3 px, too, and no part of such a frame is free of them
(``bench/true_picture.py``).
"""

from __future__ import annotations

import math

import numpy as np

from edgerecon.core.frame import Image
from edgerecon.quality.measures.areas import blur
from edgerecon.quality.measures.before_after import BeforeAfter
from edgerecon.quality.measures.measure import Measure


def speckle_left(frame: BeforeAfter) -> float:
    """See the module; nan without tissue that has speckle."""
    before = _deviation(frame.input)
    area = frame.calm & (before > 0.5 / 255)
    return float(np.median(_deviation(frame.output)[area] / before[area])) if area.any() else math.nan


def _deviation(image: Image) -> Image:
    return np.sqrt(np.maximum(blur((image - blur(image, 3)) ** 2, 6), 0))


MEASURES = (
    Measure(
        key="speckle_left",
        label="speckle left",
        unit="",
        digits=2,
        better="lower",
        needs=("input",),
        fn=speckle_left,
        main=True,
    ),
)
