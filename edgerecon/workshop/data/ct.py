"""Parallel-beam CT of a slice: line integrals as a sparse matrix, photon noise, filtered back-projection, TV.

    p = A x,   I ~ Poisson(I_0 exp(−μ p)),   y = −log(max(I, 1) / I_0) / μ

A is scikit-image's ``radon`` (bilinear samples one pixel apart along each ray) written out, so that its transpose is
exact and a product takes milliseconds. μ turns a sum of display values in [0, 1] into an attenuation: a ray through
half a body of 0.5 loses ``ATTENUATION``/4 nepers, whatever the size in pixels. Filtered back-projection is
scikit-image's ``iradon`` (Kak & Slaney, 1988).
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from edgerecon.workshop.data.proximal import total_variation_prox

Array = NDArray[Any]
Filter = Literal["ramp", "shepp-logan", "cosine", "hamming", "hann"]
FILTERS: tuple[Filter, ...] = ("ramp", "shepp-logan", "cosine", "hamming", "hann")
ATTENUATION = 8.0
"""Nepers along a whole side of the image at display value 1: about 40 cm of water."""


@dataclass(frozen=True)
class Scan:
    """What is measured: views over 180°, photons a ray sends out (I_0)."""

    views: int
    photons: float

    @property
    def angles(self) -> NDArray[np.float64]:
        """Degrees."""
        return np.arange(self.views) * 180.0 / self.views


def project(image: Array, views: int) -> NDArray[np.float64]:
    """A x: (size, size) → sinogram (size, views), in pixels; nothing may lie outside the circle that fits in."""
    size = len(image)
    return np.asarray(_matrix(size, views) @ image.ravel()).reshape(views, size).T


def back_project(sinogram: Array) -> NDArray[np.float64]:
    """Aᵀ y: (size, views) → (size, size); the exact transpose of ``project``."""
    size, views = sinogram.shape
    return np.asarray(_matrix(size, views).T @ sinogram.T.ravel()).reshape(size, size)


def measure(image: Array, scan: Scan, rng: np.random.Generator) -> NDArray[np.float64]:
    """y, the noisy sinogram (size, views) in pixels."""
    mu = ATTENUATION / len(image)
    counts = rng.poisson(scan.photons * np.exp(-mu * project(image, scan.views)))
    return -np.log(np.maximum(counts, 1) / scan.photons) / mu


def filtered_back_projection(sinogram: Array, filter_name: Filter = "ramp") -> NDArray[np.float32]:
    """(size, views) → float32 (size, size), clipped to [0, 1]."""
    from skimage.transform import iradon

    angles = Scan(sinogram.shape[1], 1.0).angles
    image = iradon(sinogram, angles, filter_name=filter_name, circle=True)
    return np.clip(image, 0, 1).astype(np.float32)


def total_variation(
    sinogram: Array,
    start: Array,
    weight: float,
    iterations: int = 60,
    watch: Callable[[Array], None] | None = None,
) -> NDArray[np.float32]:
    """argmin ½‖A x − y‖²/L + weight·TV(x) with x ≥ 0, by FISTA (Beck & Teboulle, IEEE Trans. Image Process., 2009).

    L = ‖AᵀA‖ makes the weight independent of size and views (Sidky & Pan, Phys. Med. Biol. 53, 2008, on TV in CT).

    Args:
        start: (size, size), e.g. the filtered back-projection. watch: called with every iterate.

    Returns:
        float32 (size, size), clipped to [0, 1].
    """
    scale = _norm(*sinogram.shape)
    x = ahead = np.asarray(start, np.float64)
    momentum = 1.0
    for _ in range(iterations):
        step = back_project(project(ahead, sinogram.shape[1]) - sinogram) / scale
        after = np.maximum(total_variation_prox(ahead - step, weight), 0)
        faster = (1 + (1 + 4 * momentum**2) ** 0.5) / 2
        ahead = after + (momentum - 1) / faster * (after - x)
        x, momentum = after, faster
        if watch:
            watch(x)
    return np.clip(x, 0, 1).astype(np.float32)


@functools.lru_cache(maxsize=4)
def _matrix(size: int, views: int) -> Any:
    """float32 CSR (views·size, size²): row view·size + detector holds the weights of one ray."""
    from scipy.sparse import csr_array, vstack

    centre = size // 2
    rows, columns = (axis.ravel() - centre for axis in np.indices((size, size)))
    detector = (columns + centre).astype(np.int32)
    parts = []
    for angle in np.deg2rad(Scan(views, 1.0).angles):
        x = np.cos(angle) * columns + np.sin(angle) * rows + centre
        y = -np.sin(angle) * columns + np.cos(angle) * rows + centre
        left, top = np.floor(x).astype(np.int32), np.floor(y).astype(np.int32)
        part = csr_array((size, size * size), dtype=np.float32)
        for dx, dy in ((0, 0), (1, 0), (0, 1), (1, 1)):
            weight = np.abs(1 - dx - (x - left)) * np.abs(1 - dy - (y - top))
            inside = (left + dx >= 0) & (left + dx < size) & (top + dy >= 0) & (top + dy < size)
            index = (top + dy) * size + left + dx
            part = part + csr_array(
                (weight[inside].astype(np.float32), (detector[inside], index[inside])), shape=part.shape
            )
        parts.append(part)
    return vstack(parts, format="csr")


@functools.lru_cache(maxsize=8)
def _norm(size: int, views: int) -> float:
    """‖AᵀA‖ by power iteration, and a little more, since it comes from below."""
    x = np.ones((size, size))
    for _ in range(15):
        x = back_project(project(x / np.linalg.norm(x), views))
    return 1.02 * float(np.linalg.norm(x))
