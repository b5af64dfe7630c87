"""What displays of one kind show: how often each texture, structure, number of looks and coding occurs."""

from __future__ import annotations

from dataclasses import dataclass

from edgerecon.workshop.data.display import structures
from edgerecon.workshop.data.display.greymap import WHITE_ABOVE
from edgerecon.workshop.data.display.processing import Coding
from edgerecon.workshop.data.display.speckle import LOOKS
from edgerecon.workshop.data.display.textures import CHANCES
from edgerecon.workshop.data.display.tissue import STRUCTURES, Structure


@dataclass(frozen=True)
class Examination:
    """A kind of display.

    Attributes:
        chances: of the textures, in the order of ``TEXTURES``. drawn_in: structures, each with its chance.
        looks: what the number of looks is drawn from. white_above: see ``random_grey_map``. coding: of the recorder.
        enlarged: chance that a recording is shown larger than it was coded, by up to twice.
    """

    chances: tuple[float, ...] = CHANCES
    drawn_in: tuple[tuple[Structure, float], ...] = STRUCTURES
    looks: tuple[int, ...] = LOOKS
    white_above: tuple[float, float] = WHITE_ABOVE
    coding: Coding = Coding()
    enlarged: float = 0.0


ANY = Examination()

LESIONS = Examination(
    chances=(0.2, 0.08, 0.07, 0.15, 0.5),
    drawn_in=(
        (structures.small_lesions, 1.0),
        (structures.cysts, 0.2),
        (structures.specular_lines, 0.35),
        (structures.calcifications, 0.2),
    ),
    looks=(1, 1, 1, 1, 2, 3),
    white_above=(0.12, 0.8),
)
"""Small lesions in tissue of one look, bright displays among them: there a network shrinks contrast most."""

RECORDED = Examination(
    chances=(0.5, 0.15, 0.1, 0.1, 0.15),
    looks=(1, 2, 3, 4, 6, 9, 16, 25),
    coding=Coding(jpeg=0.35, webp=0.65, jpeg_quality=(15, 80), webp_quality=(2, 75)),
    enlarged=0.3,
)
"""Muscle above all, as recorders keep it: coded strongly, some of it shown larger than it was coded."""
