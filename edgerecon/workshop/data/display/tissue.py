"""Random tissue: a patchwork of textures with structures in it, under the uneven gain of a real examination."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from edgerecon.workshop.data.display import structures
from edgerecon.workshop.data.display.fields import smooth_noise
from edgerecon.workshop.data.display.structures import NOTHING_DB, Tissue
from edgerecon.workshop.data.display.textures import CHANCES, Texture, patchwork

Structure = Callable[[np.random.Generator, Tissue], None]
"""Draws itself into tissue."""
STRUCTURES: tuple[tuple[Structure, float], ...] = (
    (structures.lesions, 0.45),
    (structures.vessels, 0.2),
    (structures.cysts, 0.3),
    (structures.specular_lines, 0.65),
    (structures.calcifications, 0.2),
    (structures.shadows, 0.2),
)
"""In the order in which they are drawn, each with its chance."""


def random_tissue(
    rng: np.random.Generator,
    side: int,
    texture: Texture | None = None,
    chances: Sequence[float] = CHANCES,
    drawn_in: Sequence[tuple[Structure, float]] = STRUCTURES,
) -> Tissue:
    """Draw the tissue that a frame of ``side`` × ``side`` display pixels shows.

    Args:
        texture: fills all of it, without structures; default: a patchwork of textures with structures in it.
        chances: of each texture of the patchwork. drawn_in: structures in their order, each with its chance.
    """
    drawn = texture(rng, side) if texture else patchwork(rng, side, chances)
    tissue = Tissue(drawn, np.full((side, side), NOTHING_DB, np.float32))
    for draw, chance in () if texture else drawn_in:
        if rng.random() < chance:
            draw(rng, tissue)
    gain = rng.uniform(0, 6) * smooth_noise(rng, (side, side), side / 2, side / 2)
    gain += np.linspace(rng.uniform(-6, 10), rng.uniform(-22, 6), side, dtype=np.float32)[:, None]
    tissue.diffuse += gain
    tissue.specular += gain
    return tissue
