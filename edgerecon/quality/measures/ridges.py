"""Ridges measured on two sides of a pixel: what one side finds, the other confirms, so that speckle has no share.

The response of a half-kernel is the second derivative of a Gaussian across the direction θ, at a place displaced by d
along θ, d to one side and −d to the other:

    a_left(p, θ) = −σ² · ∂²(G_σ * a)/∂v² (p − d·u),   a_right(p, θ) = −σ² · ∂²(G_σ * a)/∂v² (p + d·u)

with u along θ, v across it and d = 2σ + gap / 2. Three separable filters give it for every θ (Freeman & Adelson, IEEE
Trans. Pattern Anal. Mach. Intell. 13(9), 1991). Speckle of the two sides is independent when the gap is a grain or
more, so that its product with anything from the other side averages to nothing.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from edgerecon.core.frame import Image
from edgerecon.quality.measures.areas import Mask, blur

SCALES = (1.2, 2.0, 4.0)
"""σ of a ridge across, in pixels: fine, medium, coarse."""
ORIENTATIONS = 8
SHARE = 0.1
"""Part of the pixels with the strongest response that count as places of structure."""
GRAINS = (3.0, 28.0)
"""Range in pixels to which an estimated grain is held; the widest is that of a screen enlarged fourfold."""


@dataclass(frozen=True)
class Places:
    """Pixels and directions where one side shows a ridge: rows and columns of the two sides, (2, n) each, and θ (n,).

    ``found`` is the response by which the place was chosen, (n,).
    """

    left: NDArray[np.intp]
    right: NDArray[np.intp]
    angle: NDArray[np.float64]
    found: NDArray[np.float64]


class Ridges:
    """Second derivatives of an image (H, W) at one scale, to be asked for any direction.

    Args:
        sigma: of the Gaussian in pixels.
    """

    def __init__(self, image: Image, sigma: float) -> None:
        smooth = cv2.GaussianBlur(np.asarray(image, np.float32), (0, 0), sigma) * np.float32(-(sigma**2))
        kernel = np.array([1, -2, 1], np.float32), np.array([-0.5, 0, 0.5], np.float32), np.ones(1, np.float32)
        second, first, same = kernel
        self.xx = cv2.sepFilter2D(smooth, cv2.CV_32F, second, same)
        self.yy = cv2.sepFilter2D(smooth, cv2.CV_32F, same, second)
        self.xy = cv2.sepFilter2D(smooth, cv2.CV_32F, first, first)

    def across(self, angle: float) -> Image:
        """Response (H, W) to ridges along an angle from the x axis, in radians."""
        sine, cosine = np.sin(angle), np.cos(angle)
        return np.asarray(sine**2 * self.xx + cosine**2 * self.yy - 2 * sine * cosine * self.xy, np.float32)

    def at(self, places: NDArray[np.intp], angle: NDArray[np.float64]) -> NDArray[np.float64]:
        """Responses (n,) at (2, n) rows and columns, each along its own angle."""
        where = tuple(places)
        sine, cosine = np.sin(angle), np.cos(angle)
        return np.asarray(sine**2 * self.xx[where] + cosine**2 * self.yy[where] - 2 * sine * cosine * self.xy[where])


def find_places(ridges: Ridges, area: Mask, distance: float) -> Places | None:
    """The strongest tenth of an area, each side in turn choosing place and direction; None when nothing is there.

    Args:
        area: bool (H, W); both sides of a place must lie in it. distance: d in pixels, see the module.
    """
    angles = np.pi * np.arange(ORIENTATIONS) / ORIENTATIONS
    responses = np.stack([ridges.across(angle) for angle in angles])
    chosen = []
    for side in (-1, 1):
        steps = np.rint(side * distance * np.stack([np.sin(angles), np.cos(angles)])).astype(int)
        best, index = _strongest(responses, steps)
        strength = np.abs(best)
        if not (area & np.isfinite(strength)).any():
            return None
        limit = np.quantile(strength[area & np.isfinite(strength)], 1 - SHARE)
        rows, columns = np.nonzero(area & np.isfinite(strength) & (strength > limit))
        which = index[rows, columns]
        here = np.stack([rows, columns])
        finding, confirming = here + steps[:, which], here - steps[:, which]
        inside = _inside(confirming, area) & _inside(finding, area)
        if inside.any():
            found = best[rows, columns][inside].astype(np.float64)
            chosen.append((finding[:, inside], confirming[:, inside], angles[which[inside]], found))
    if not chosen:
        return None
    left, right = (np.concatenate([one[i] for one in chosen], axis=1) for i in (0, 1))
    angle, found = (np.concatenate([one[i] for one in chosen]) for i in (2, 3))
    return Places(left, right, angle, found)


def _strongest(responses: Image, steps: NDArray[np.intp]) -> tuple[Image, NDArray[np.intp]]:
    """At each pixel the strongest of the responses at its displaced places, and its direction; nan beyond the image."""
    height, width = responses.shape[1:]
    best = np.full((height, width), np.nan, np.float32)
    index = np.zeros((height, width), np.intp)
    for direction, (down, along) in enumerate(steps.T):
        if abs(down) >= height or abs(along) >= width:
            continue
        rows = slice(max(0, -down), min(height, height - down))
        columns = slice(max(0, -along), min(width, width - along))
        shifted = responses[direction, max(0, down) :, max(0, along) :][
            : rows.stop - rows.start, : columns.stop - columns.start
        ]
        known = best[rows, columns]
        stronger = ~(np.abs(shifted) <= np.abs(known))
        best[rows, columns] = np.where(stronger, shifted, known)
        index[rows, columns][stronger] = direction
    return best, index


def _inside(places: NDArray[np.intp], area: Mask) -> Mask:
    height, width = area.shape
    rows, columns = np.clip(places[0], 0, height - 1), np.clip(places[1], 0, width - 1)
    return np.asarray((rows == places[0]) & (columns == places[1]) & area[rows, columns])


def grain(image: Image, calm: Mask) -> float:
    """Full width in pixels over which speckle of calm tissue stays correlated to a half, held to ``GRAINS``.

    Args:
        image: (H, W). calm: where there is speckle rather than structure.
    """
    low, high = GRAINS
    if not calm.any():
        return low
    fine = image - blur(image, 5)  # anatomy, which is wider, is no grain
    power = float((fine[calm] ** 2).mean())
    if power <= 0:
        return low
    widths = []
    for axis in (0, 1):
        lags = np.arange(1, int(high) + 1)
        products = [float((fine * np.roll(fine, lag, axis))[calm].mean()) / power for lag in lags]
        below = np.nonzero(np.array(products) < 0.5)[0]
        widths.append(2.0 * (lags[below[0]] if below.size else high))
    return float(np.clip(max(widths), low, high))
