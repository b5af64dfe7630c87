"""One frame before and after a filter, with all that a measure may ask about it."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from edgerecon.core.frame import Image
from edgerecon.quality.measures import areas
from edgerecon.quality.measures.areas import Mask


@dataclass(frozen=True)
class Lesion:
    """Where the lesion of a simulated scene lies.

    Attributes:
        kind: of the lesion. radius: (H, W), distance from the centre over that of the rim; below 1 is inside.
    """

    kind: Literal["cyst", "solid"]
    radius: NDArray[np.floating]


@dataclass(frozen=True)
class BeforeAfter:
    """A frame and what became of it. Nothing is matched in gain or offset.

    Attributes:
        input, output: float32 (H, W) in [0, 1], of one shape.
        sequence: consecutive frames before and after, each (T, H, W) with T ≥ 3, or None.
        lesion: of a simulated scene, or None.
    """

    input: Image
    output: Image
    sequence: tuple[Image, Image] | None = None
    lesion: Lesion | None = None

    @cached_property
    def constant(self) -> Mask:
        """See ``areas.constant_background``."""
        return areas.constant_background(self.input)

    @cached_property
    def tissue(self) -> Mask:
        """See ``areas.tissue``."""
        return areas.tissue(self.input)

    @cached_property
    def calm(self) -> Mask:
        """See ``areas.calm_tissue``."""
        return areas.calm_tissue(self.input)
