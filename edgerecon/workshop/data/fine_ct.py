"""CT measured on a grid twice as fine as the reconstructed one: no method knows the operator that made the data.

    p(θ, d) = ½ Σ over two half bins of detector d, and over half pixels along the ray, of the fine image

so that a detector averages over its width and edges fall anywhere in a pixel, as in a scanner; see ``ct`` for photons
and for what reconstructs. Positions are those of ``ct``: pixel j of the coarse grid holds pixels 2j and 2j + 1 of the
fine one, and the axis of rotation lies in coarse pixel size // 2.
"""

from __future__ import annotations

from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from edgerecon.workshop.data.ct import ATTENUATION, Scan

Array = NDArray[Any]
FINER = 2


def coarse(fine: Array) -> NDArray[np.float32]:
    """Means over 2×2 pixels: the slice (size, size) that is to be reconstructed."""
    size = len(fine) // FINER
    cells = np.asarray(fine, np.float32).reshape(size, FINER, size, FINER)
    return np.asarray(cells.mean(axis=(1, 3)), np.float32)


def project(fine: Array, angles: Array) -> NDArray[np.float64]:
    """Line integrals in coarse pixels: (2·size, 2·size) → (size, angles). angles: in degrees.

    Nothing may lie outside the circle that fits in.
    """
    side = len(fine)
    image = np.asarray(fine, np.float32)
    axis = side // FINER // 2 * FINER + 0.5  # of rotation, in fine pixels
    found = np.empty((side // FINER, len(angles)))
    for index, angle in enumerate(np.deg2rad(angles)):
        c, s = np.cos(angle), np.sin(angle)
        back = np.array([[c, s, axis * (1 - c - s)], [-s, c, axis * (1 + s - c)]])
        turned = cv2.warpAffine(image, back, (side, side), flags=cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP)
        rays = turned.sum(axis=0, dtype=np.float64) / FINER
        found[:, index] = rays.reshape(-1, FINER).mean(axis=1)
    return found


def measure(fine: Array, scan: Scan, rng: np.random.Generator) -> NDArray[np.float64]:
    """The noisy sinogram (size, views) in coarse pixels; see ``ct.measure``."""
    mu = ATTENUATION / (len(fine) // FINER)
    counts = rng.poisson(scan.photons * np.exp(-mu * project(fine, scan.angles)))
    return -np.log(np.maximum(counts, 1) / scan.photons) / mu


def sart(sinogram: Array, relaxation: float, iterations: int = 3) -> NDArray[np.float32]:
    """Simultaneous algebraic reconstruction (Andersen & Kak, Ultrason. Imaging 6, 1984), scikit-image's, in [0, 1]."""
    from skimage.transform import iradon_sart

    angles, image = Scan(sinogram.shape[1], 1.0).angles, None
    for _ in range(iterations):
        image = iradon_sart(sinogram, angles, image=image, clip=(0, 1), relaxation=relaxation)
    return np.asarray(image, np.float32)
