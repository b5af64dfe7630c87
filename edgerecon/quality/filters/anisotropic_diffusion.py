"""Anisotropic diffusion."""

from __future__ import annotations

import cv2
import numpy as np

from edgerecon.core.frame import Image
from edgerecon.quality.filters.filter import Filter


def anisotropic_diffusion(image: Image, iterations: int, kappa: float = 0.08, step: float = 0.2) -> Image:
    """Diffusion that stops at gradients: Perona & Malik, IEEE Trans. Pattern Anal. Mach. Intell. 12(7), 1990.

    The gradient that decides is that of the image smoothed by a Gaussian of σ = 1 px (Catté et al., SIAM J. Numer.
    Anal. 29(1), 1992), so that grains of speckle are no edges; conductance 1 / (1 + (gradient / kappa)²).

    Args:
        iterations: explicit steps. kappa: gradient in display values a pixel that halves the flow.
        step: time step, stable up to 0.25.
    """
    level = image.copy()
    for _ in range(int(iterations)):
        smooth = cv2.GaussianBlur(level, (0, 0), 1)
        slope = cv2.Sobel(smooth, -1, 1, 0, scale=0.125) ** 2 + cv2.Sobel(smooth, -1, 0, 1, scale=0.125) ** 2
        conduct = 1 / (1 + slope / np.float32(kappa**2))
        change = np.zeros_like(level)
        for axis in (0, 1):
            halves = np.moveaxis(conduct, axis, 0)
            flow = np.diff(np.moveaxis(level, axis, 0), axis=0) * (halves[1:] + halves[:-1]) / 2
            target = np.moveaxis(change, axis, 0)
            target[:-1] += flow
            target[1:] -= flow
        level += np.float32(step) * change
    return np.clip(level, 0, 1)


FILTERS = (
    Filter(
        "anisotropic diffusion",
        anisotropic_diffusion,
        tuple({"iterations": n, "kappa": k} for k in (0.02, 0.05) for n in (5, 15, 40)),
    ),
)
