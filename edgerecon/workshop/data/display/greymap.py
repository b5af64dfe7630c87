"""From intensity to grey levels, and the grey level that speckle has on average.

The mean of a logarithm is not the logarithm of the mean: L averaged looks of intensity have a gamma distribution, whose
expected logarithm lies 10/ln 10 · (ψ(L) − ln L) dB below (2.5 dB for one look); clipping to black and white and the
grey map bend it further. A target that keeps local brightness is the expectation of the *displayed* level, which is
integrated here over the distribution.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray
from scipy.special import gammaincinv

from edgerecon.workshop.data.display.fields import Map

LEVELS = 4096
STEPS = 1024
MARGIN = 0.7  # of the display range, below black and above white, that the table of expectations covers
WHITE_ABOVE = (0.38, 0.95)
"""Half of the tissue of most displays lies below mid-grey."""
COHERENT_PARTS = np.array([0, 0.3, 0.5, 0.7, 0.85, 0.95, 1.0])
_NODES, _WEIGHTS = np.polynomial.legendre.leggauss(24)


@dataclass(frozen=True)
class GreyMap:
    """A scanner's settings.

    Attributes:
        white_db: intensity that is shown white. range_db: dynamic range.
        curve: grey level of each of LEVELS + 1 equal steps of the range.
    """

    white_db: float
    range_db: float
    curve: Map

    def show(self, intensity: Map) -> Map:
        """Grey levels in [0, 1] of one realisation."""
        return self._level(self._position(intensity)).astype(np.float32)

    def show_mean(self, mean: Map, coherent: Map, looks: int) -> Map:
        """Expected grey level where the intensity has this mean.

        Looks that share a mirror's part c vary less, by 1 − c²: a gamma distribution of L / (1 − c²) looks has the same
        mean and variance.
        """
        steps = np.linspace(-MARGIN, 1 + MARGIN, STEPS)
        table = np.stack([self._expected(steps, looks / max(1 - part**2, 1e-3)) for part in COHERENT_PARTS])
        column = (self._position(mean) + MARGIN) * ((STEPS - 1) / (1 + 2 * MARGIN))
        row = np.interp(coherent, COHERENT_PARTS, np.arange(len(COHERENT_PARTS))) if coherent.any() else coherent
        return cv2.remap(  # type: ignore[return-value]
            table.astype(np.float32),
            column.astype(np.float32),
            row.astype(np.float32),
            cv2.INTER_LINEAR,
            borderMode=cv2.BORDER_REPLICATE,
        )

    def _position(self, intensity: NDArray[np.floating]) -> NDArray[np.floating]:
        """0 at black, 1 at white."""
        decibels = np.float32(10 / np.log(10)) * np.log(np.maximum(intensity, np.float32(1e-12)))
        return np.asarray((decibels - np.float32(self.white_db)) / np.float32(self.range_db) + np.float32(1))

    def _level(self, position: NDArray[np.floating]) -> NDArray[np.floating]:
        return self.curve[np.rint(np.clip(position, 0, 1) * LEVELS).astype(np.int32)]

    def _expected(self, steps: NDArray[np.float64], looks: float) -> NDArray[np.float64]:
        """Gauss–Legendre over the quantiles of the gamma distribution of mean 1."""
        spread = 10 * np.log10(gammaincinv(looks, (_NODES + 1) / 2) / looks) / self.range_db
        return np.asarray((_WEIGHTS / 2) @ self._level(steps[None] + spread[:, None]))


def random_grey_map(
    rng: np.random.Generator, mean: Map, view: NDArray[np.bool_], above: tuple[float, float] = WHITE_ABOVE
) -> GreyMap:
    """A scanner's settings for what it sees.

    Args:
        mean: expected intensity on samples. view: which of them the display shows.
        above: how far white lies above the middle of the tissue, least and greatest, in parts of the dynamic range.
    """
    shown = mean[view] if view.any() else mean
    middle, bright = 10 * np.log10(np.quantile(shown, [0.5, 0.97]) + 1e-12)
    range_db = rng.uniform(35, 80)
    white_db = max(middle + rng.uniform(*above) * range_db, bright - 3)
    steps = np.linspace(0, 1, LEVELS + 1)
    curve = steps ** np.exp(rng.normal(0, 0.25))
    bend = rng.uniform(0, 0.7)
    curve = (1 - bend) * curve + bend * (3 * curve**2 - 2 * curve**3)
    if rng.random() < 0.2:  # reject: the darkest steps are black
        curve = np.maximum(curve - rng.uniform(0, 0.08), 0)
        curve /= curve[-1]
    return GreyMap(float(white_db), range_db, curve.astype(np.float32))
