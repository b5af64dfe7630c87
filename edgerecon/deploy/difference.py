"""How far what a model gives here is from what it gave elsewhere, as grey levels or as classes."""

from __future__ import annotations

import numpy as np

from edgerecon.core.frame import Image
from edgerecon.modelfile.spec import LABELS, ModelSpec

OTHER_CLASS = 2e-3
"""Share of the pixels of a map of classes that may be of another class: two may be equally likely."""
_SAME_CLASS = 0.5 / 255


def difference(spec: ModelSpec, found: Image, expected: Image) -> float:
    """The greatest difference of grey levels in [0, 1]; of a map of classes the share of pixels of another class.

    A class has no neighbours: it counts where, not by how much, two of them differ. NaN counts as different.
    """
    apart = np.abs(found - expected)
    return float((~(apart <= _SAME_CLASS)).mean() if spec.overlay == LABELS else apart.max())


def allowed(spec: ModelSpec, grey_levels: float) -> float:
    """The greatest ``difference`` that passes: ``grey_levels``, or ``OTHER_CLASS`` of a map of classes."""
    return OTHER_CLASS if spec.overlay == LABELS else grey_levels
