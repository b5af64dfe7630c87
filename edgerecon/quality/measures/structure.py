"""Structure kept: the amplitude of ridges in the output over the input's, without the speckle's own share.

    structure = Σ a_left · b_right / Σ a_left · a_right

with a the input's and b the output's responses of the two half-kernels of ``ridges``, summed over the tenth of the
tissue whose left response is strongest, and with the sides exchanged. It is an instrumental-variable estimate of the
gain from a to b (Wald, Ann. Math. Stat. 11(3), 1940): the left side is the instrument, whose error is independent of
the right side's, so that speckle on the right, which a despeckler rightly removes, is not counted as structure.

Range: 1 all amplitude is kept, below 1 it is lost, above 1 it is sharpened. On simulated pairs the speckle-free truth
scores 1.00 ± 0.03 (``tests/quality/measures/test_structure.py``). Unlike the slope of second derivatives, where the
truth itself scores 0.8, and unlike a correlation, where an output at half the amplitude scores 1.

Examples:
    >>> import cv2
    >>> from edgerecon.core.frame import to_unit
    >>> from edgerecon.stream.sources.still_frames import read_frames
    >>> frame = to_unit(read_frames("sample", among=1)[0])
    >>> round(structure_kept(BeforeAfter(frame, cv2.GaussianBlur(frame, (0, 0), 2))), 2)
    0.7
"""

from __future__ import annotations

import math
from functools import lru_cache, partial

import numpy as np

from edgerecon.core.frame import Image
from edgerecon.quality.measures.before_after import BeforeAfter
from edgerecon.quality.measures.measure import Measure
from edgerecon.quality.measures.ridges import SCALES, Places, Ridges, find_places, grain

LEAST = 200
"""Places of structure below which there is no figure."""
COHERENT = 0.2
"""Correlation of the input's own two sides below which its structure drowns in speckle, and there is no figure."""


def structure_at_scale(frame: BeforeAfter, sigma: float) -> float:
    """Structure kept at one scale, σ in pixels; nan when the input has no coherent structure."""
    kept, coherent, power = structure_sums(frame, sigma)
    return kept / coherent if coherent > COHERENT * power else math.nan


def structure_sums(frame: BeforeAfter, sigma: float) -> tuple[float, float, float]:
    """Σ a_left·b_right, Σ a_left·a_right and √(Σ a_left² Σ a_right²), to be added over many small frames."""
    places, before = _places(_Key(frame.input), sigma)
    if places is None or before is None or places.found.size < LEAST:
        return 0.0, 0.0, 0.0
    after = Ridges(frame.output, sigma).at(places.right, places.angle)
    power = math.sqrt(float(places.found @ places.found) * float(before @ before))
    return float(places.found @ after), float(places.found @ before), power


def structure_kept(frame: BeforeAfter) -> float:
    """Mean over the three scales, of those that have a figure."""
    found = [structure_at_scale(frame, sigma) for sigma in SCALES]
    known = [value for value in found if math.isfinite(value)]
    return sum(known) / len(known) if known else math.nan


class _Key:
    """An input by identity, so that what is found on it serves every output."""

    def __init__(self, image: Image) -> None:
        self.image = image

    def __hash__(self) -> int:
        return id(self.image)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _Key) and other.image is self.image


@lru_cache(maxsize=16)
def _places(key: _Key, sigma: float) -> tuple[Places | None, np.ndarray | None]:
    """Places of structure on an input, and its own responses on the confirming side."""
    frame, ridges = BeforeAfter(key.image, key.image), Ridges(key.image, sigma)
    places = find_places(ridges, frame.tissue, 2 * sigma + grain(key.image, frame.calm) / 2)
    return places, None if places is None else ridges.at(places.right, places.angle)


MEASURES = (
    Measure("structure", "structure kept", "", 2, "one", ("input",), structure_kept, main=True),
    *(
        Measure(
            key=f"structure_{name}",
            label=f"structure kept, {name} (σ {sigma:g} px)",
            unit="",
            digits=2,
            better="one",
            needs=("input",),
            fn=partial(structure_at_scale, sigma=sigma),
        )
        for name, sigma in zip(("fine", "medium", "coarse"), SCALES, strict=True)
    ),
)
