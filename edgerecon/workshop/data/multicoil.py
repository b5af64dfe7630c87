"""MRI with several receive coils and missing phase-encoding lines, and what undoes it without a network.

    y_c = M (F (S_c x) + n_c),   A x = (M F S_c x)_c

x is complex (H, W), S_c the sensitivity of coil c, F the unitary Fourier transform along W (phase encoding), M whole
columns, n_c complex Gaussian noise. The readout, along H, is measured in full: its transform is undone at once, which
leaves noise white and makes every row a problem of its own. Σ_c |S_c|² = 1 wherever there is signal.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edgerecon.workshop.data.mri import Mask
from edgerecon.workshop.data.proximal import total_variation_prox

Array = NDArray[Any]
Complex = NDArray[np.complex64]
WAVELET, LEVELS = "db4", 4


def coil_maps(size: int, coils: int, rng: np.random.Generator) -> Complex:
    """S, (coils, size, size): coils around the body whose reach falls off smoothly, each with a phase that turns."""
    axis = np.linspace(-1, 1, size)
    x, y = np.meshgrid(axis, axis)
    turn, found = rng.uniform(0, 2 * np.pi), []
    for index in range(coils):
        angle = turn + 2 * np.pi * (index + rng.uniform(-0.2, 0.2)) / coils
        dx, dy = x - 1.25 * np.cos(angle), y - 1.25 * np.sin(angle)
        reach = 1 / (0.35 + dx**2 + dy**2) ** rng.uniform(1.0, 1.4)
        phase = rng.uniform(-np.pi, np.pi) + rng.uniform(-1, 1) * x + rng.uniform(-1, 1) * y + np.arctan2(dy, dx)
        found.append(reach * np.exp(1j * phase))
    maps = np.stack(found)
    return np.asarray(maps / np.sqrt(np.sum(np.abs(maps) ** 2, axis=0)), np.complex64)


def transform(image: Array) -> Array:
    """F along the last axis, zero frequency in the middle; unitary."""
    return np.asarray(np.fft.fftshift(np.fft.fft(np.fft.ifftshift(image, -1), axis=-1, norm="ortho"), -1))


def inverse(k_space: Array) -> Array:
    """F⁻¹, the adjoint of ``transform``."""
    return np.asarray(np.fft.fftshift(np.fft.ifft(np.fft.ifftshift(k_space, -1), axis=-1, norm="ortho"), -1))


def forward(image: Array, maps: Array, mask: Mask) -> Array:
    """A x: (H, W) → (coils, H, W)."""
    return np.asarray(mask * transform(maps * image))


def adjoint(k_space: Array, maps: Array, mask: Mask) -> Array:
    """Aᴴ y: (coils, H, W) → (H, W); of what was measured, the zero-filled image."""
    return np.asarray(np.sum(np.conj(maps) * inverse(mask * k_space), axis=0))


def measure(image: Array, maps: Array, mask: Mask, noise: float, rng: np.random.Generator) -> Complex:
    """y of a complex image. noise: standard deviation, a display value of 1 being 1."""
    parts = rng.standard_normal((2, *maps.shape)) * noise / 2**0.5
    return np.asarray(forward(image, maps, mask) + mask * (parts[0] + 1j * parts[1]), np.complex64)


def estimated_maps(k_space: Array, middle: int) -> Complex:
    """S from the ``middle`` central lines, which must be measured: blurred images of the coils over their root sum of
    squares (Roemer et al., Magn. Reson. Med. 16(2), 1990; McKenzie et al., 47(3), 2002)."""
    coils, height, width = k_space.shape
    window = _window(width, middle)
    along = np.fft.fftshift(np.fft.fft(np.fft.ifftshift(k_space * window, 1), axis=1), 1)
    along = along * _window(height, middle)[:, None]
    blurred = inverse(np.fft.fftshift(np.fft.ifft(np.fft.ifftshift(along, 1), axis=1), 1))
    total = np.sqrt(np.sum(np.abs(blurred) ** 2, axis=0))
    return np.asarray(blurred / np.maximum(total, 1e-12), np.complex64)


def _window(size: int, middle: int) -> NDArray[np.float64]:
    window = np.zeros(size)
    start = size // 2 - middle // 2
    window[start : start + middle] = np.hanning(middle + 2)[1:-1]
    return window


def cg_sense(k_space: Array, maps: Array, mask: Mask, weight: float, iterations: int = 15) -> Array:
    """argmin ‖A x − y‖² + weight·‖x‖² by conjugate gradients (Pruessmann et al., Magn. Reson. Med. 46(4), 2001)."""
    from scipy.sparse.linalg import LinearOperator, cg

    shape = k_space.shape[1:]

    def normal(flat: Array) -> Array:
        image = flat.reshape(shape)
        return np.asarray(adjoint(forward(image, maps, mask), maps, mask) + weight * image).ravel()

    size = shape[0] * shape[1]
    operator = LinearOperator((size, size), matvec=normal, dtype=np.complex128)
    found, _ = cg(operator, adjoint(k_space, maps, mask).ravel(), rtol=1e-6, maxiter=iterations)
    return np.asarray(found.reshape(shape))


def total_variation(k_space: Array, maps: Array, mask: Mask, weight: float, iterations: int = 40) -> Array:
    """argmin ½‖A x − y‖² + weight·TV(x), see ``sparse``."""
    return sparse(k_space, maps, mask, partial(total_variation_prox, weight=weight), iterations)


def wavelet(k_space: Array, maps: Array, mask: Mask, weight: float, iterations: int = 40) -> Array:
    """argmin ½‖A x − y‖² + weight·‖W x‖₁ over all but the coarsest coefficients, see ``sparse``."""
    return sparse(k_space, maps, mask, partial(shrunk, weight=weight), iterations)


def shrunk(image: Array, weight: float) -> Array:
    """The proximal map of weight·‖W x‖₁: soft thresholds in an orthogonal wavelet basis, complex."""
    import pywt

    coarse, *details = pywt.wavedec2(image, WAVELET, mode="periodization", level=_levels(image.shape))
    kept = [tuple(pywt.threshold(part, weight, "soft") for part in level) for level in details]
    return np.asarray(pywt.waverec2([coarse, *kept], WAVELET, mode="periodization"))


def _levels(shape: tuple[int, ...]) -> int:
    """As deep as the sides can be halved without getting shorter than the wavelet, at most ``LEVELS``."""
    fits = (
        level for level in range(LEVELS, 0, -1) if all(side % 2**level == 0 and side >> level >= 8 for side in shape)
    )
    return next(fits, 0)


def sparse(k_space: Array, maps: Array, mask: Mask, prox: Callable[[Array], Array], iterations: int) -> Array:
    """Compressed sensing by FISTA (Lustig et al., Magn. Reson. Med. 58(6), 2007); ‖A‖ ≤ 1, so the step is 1."""
    x = ahead = adjoint(k_space, maps, mask)
    momentum = 1.0
    for _ in range(iterations):
        after = prox(ahead - adjoint(forward(ahead, maps, mask) - k_space, maps, mask))
        faster = (1 + (1 + 4 * momentum**2) ** 0.5) / 2
        ahead = after + (momentum - 1) / faster * (after - x)
        x, momentum = after, faster
    return x


def data_consistent(magnitude: Array, k_space: Array, maps: Array, mask: Mask) -> Array:
    """|x| of a network made to agree with what was measured: its phase is that of the zero-filled image, its measured
    lines are those of y, coil by coil (Schlemper et al., IEEE TMI 37(2), 2018)."""
    phase = np.exp(1j * np.angle(adjoint(k_space, maps, mask)))
    whole = transform(maps * (magnitude * phase))
    return np.asarray(np.sum(np.conj(maps) * inverse(np.where(mask, k_space, whole)), axis=0))
