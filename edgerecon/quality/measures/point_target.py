"""A wire in an envelope: how wide it is, what stands beside it, and where it lies."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from edgerecon.quality.measures.speckle import fwhm

Envelope = NDArray[np.floating]

_FINER = 8  # samples a pixel, by cubic interpolation
_REACH_MM = 4.0  # of what is looked at around a wire


@dataclass(frozen=True)
class PointTarget:
    """One wire.

    Attributes:
        lateral_fwhm_mm, axial_fwhm_mm: −6 dB widths through the peak; nan when a side does not fall so far.
        side_lobe_db: the highest peak beside the main lobe, along the lateral profile, below the wire's peak.
        offset_mm: (x, z) of the peak from where the wire is.
    """

    lateral_fwhm_mm: float
    axial_fwhm_mm: float
    side_lobe_db: float
    offset_mm: tuple[float, float]


def measure_point(envelope: Envelope, spacing_mm: tuple[float, float], place: tuple[float, float]) -> PointTarget:
    """Measure the wire nearest to a place.

    Args:
        envelope: (H, W) linear amplitudes. spacing_mm: (row, column). place: (row, column), fractions allowed.
    """
    reach = [max(2, round(_REACH_MM / step)) for step in spacing_mm]
    search = [max(1, round(_REACH_MM / 4 / step)) for step in spacing_mm]
    row, column = (int(round(one)) for one in place)
    near, first = _around(envelope, (row, column), search)
    peak = np.unravel_index(int(near.argmax()), near.shape)
    box, corner = _around(envelope, (first[0] + int(peak[0]), first[1] + int(peak[1])), reach)
    fine = np.asarray(
        cv2.resize(box.astype(np.float32), None, fx=_FINER, fy=_FINER, interpolation=cv2.INTER_CUBIC), np.float32
    )
    centre = [(first[axis] + int(peak[axis]) - corner[axis]) * _FINER + _FINER // 2 for axis in (0, 1)]
    around, origin = _around(fine, (centre[0], centre[1]), [_FINER, _FINER])
    top = np.unravel_index(int(around.argmax()), around.shape)
    at = origin[0] + int(top[0]), origin[1] + int(top[1])
    across, down = np.maximum(fine[at[0]], 0), np.maximum(fine[:, at[1]], 0)
    found = [corner[axis] + (at[axis] + 0.5) / _FINER - 0.5 for axis in (0, 1)]
    return PointTarget(
        lateral_fwhm_mm=_width(across, at[1], spacing_mm[1] / _FINER),
        axial_fwhm_mm=_width(down, at[0], spacing_mm[0] / _FINER),
        side_lobe_db=side_lobe_db(across, at[1]),
        offset_mm=((found[1] - place[1]) * spacing_mm[1], (found[0] - place[0]) * spacing_mm[0]),
    )


def side_lobe_db(profile: NDArray[np.floating], peak: int) -> float:
    """The highest value beyond the first minima beside a peak, in dB of the peak; nan when there is none."""
    sides = [profile[peak:], profile[peak::-1]]
    beside = [float(side[edge:].max()) for side in sides if (edge := _first_minimum(side)) is not None]
    if not beside or profile[peak] <= 0:
        return float("nan")
    return float(20 * np.log10(max(max(beside), 1e-12) / profile[peak]))


def _first_minimum(side: NDArray[np.floating]) -> int | None:
    """Where a profile that begins at its peak first rises after it fell to half."""
    low = np.flatnonzero(side < side[0] / 2)
    rises = np.flatnonzero(np.diff(side[low[0] :]) > 0) if low.size else low
    return int(low[0] + rises[0]) if rises.size else None


def _width(profile: NDArray[np.floating], peak: int, spacing: float) -> float:
    """FWHM of the lobe around ``peak`` alone: beyond its first minima another wire may stand."""
    right, left = _first_minimum(profile[peak:]), _first_minimum(profile[peak::-1])
    first = peak - left if left is not None else 0
    last = peak + right if right is not None else profile.size - 1
    return fwhm(profile[first : last + 1], spacing)


def _around(values: Envelope, centre: tuple[int, int], reach: list[int]) -> tuple[Envelope, tuple[int, int]]:
    """A box around a pixel, cut at the borders, and its first row and column."""
    first = max(0, centre[0] - reach[0]), max(0, centre[1] - reach[1])
    return values[first[0] : centre[0] + reach[0] + 1, first[1] : centre[1] + reach[1] + 1], first
