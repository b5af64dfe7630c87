"""Windows over the aperture.

An element hears a pixel when |lateral| · 2F ≤ along, F being the F-number, lateral and along the pixel's place as seen
from the element, across and along its normal. Its weight is

    w(t) = level + swing · cos(π · max(0, (t − flat) / (1 − flat))),     t = |lateral| · 2F / along in 0 … 1

A window of F-number 0 hears everything alike.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True)
class Window:
    """``level``, ``swing`` and ``flat`` of the formula above."""

    level: float
    swing: float
    flat: float = 0.0

    def __call__(self, part: NDArray[np.float64]) -> NDArray[np.float64]:
        """Weights where ``part`` is 0 (centre) to 1 (edge); 0 beyond."""
        across = np.clip((part - self.flat) / max(1 - self.flat, 1e-9), 0, 1)
        return np.where(part <= 1, self.level + self.swing * np.cos(np.pi * across), 0.0)


WINDOWS: Mapping[str, Window] = {
    "boxcar": Window(1.0, 0.0),
    "hann": Window(0.5, 0.5),
    "hamming": Window(0.54, 0.46),
    "tukey25": Window(0.5, 0.5, 0.75),
    "tukey50": Window(0.5, 0.5, 0.5),
}
"""Apodisation windows by name (Harris, Proc. IEEE 66(1), 1978)."""
