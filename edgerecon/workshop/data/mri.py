"""Single-coil Cartesian MRI of a slice: phase, k-space, masks of phase-encoding lines, noise, and what undoes them.

    y = M (F (x e^{iφ}) + n)

F is the unitary 2-D Fourier transform, n complex Gaussian noise, M whole columns of k-space (phase encoding). φ is
smooth, as field inhomogeneity makes it, so that k-space has no symmetry to exploit. Noise is relative to a display
value of 1. As fastMRI (Zbontar et al., arXiv:1811.08839, 2018), but simulated from magnitudes.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edgerecon.workshop.data.proximal import total_variation_prox

Array = NDArray[Any]
Mask = NDArray[np.bool_]
"""(size,): which columns of k-space, zero frequency at size // 2, are measured."""


def fourier(image: Array) -> NDArray[np.complex128]:
    """F, zero frequency in the middle: (…, H, W) → the same; unitary."""
    axes = (-2, -1)
    return np.asarray(np.fft.fftshift(np.fft.fft2(np.fft.ifftshift(image, axes), axes=axes, norm="ortho"), axes))


def inverse_fourier(k_space: Array) -> NDArray[np.complex128]:
    """F⁻¹, the adjoint of ``fourier``."""
    axes = (-2, -1)
    return np.asarray(np.fft.fftshift(np.fft.ifft2(np.fft.ifftshift(k_space, axes), axes=axes, norm="ortho"), axes))


def with_phase(image: Array, rng: np.random.Generator) -> NDArray[np.complex128]:
    """x e^{iφ}: φ a random quadratic of up to some 2 rad."""
    y, x = np.meshgrid(*(np.linspace(-1, 1, side) for side in image.shape), indexing="ij")
    a = rng.uniform(-1, 1, 6)
    phase = np.pi * a[0] + a[1] * x + a[2] * y + 0.5 * (a[3] * x * x + a[4] * x * y + a[5] * y * y)
    return np.asarray(image * np.exp(1j * phase))


def measure(image: Array, mask: Mask, noise: float, rng: np.random.Generator) -> NDArray[np.complex128]:
    """y of a magnitude image (H, W): k-space with zeros where it was not measured. noise: standard deviation."""
    k_space = fourier(with_phase(image, rng))
    parts = rng.standard_normal((2, *image.shape)) * noise / 2**0.5
    return np.asarray(mask * (k_space + parts[0] + 1j * parts[1]))


def zero_filled(k_space: Array) -> NDArray[np.float32]:
    """|F⁻¹ y|, clipped to [0, 1]."""
    return np.clip(np.abs(inverse_fourier(k_space)), 0, 1).astype(np.float32)


def compressed_sensing(
    k_space: Array, mask: Mask, weight: float, iterations: int = 60, watch: Callable[[Array], None] | None = None
) -> NDArray[np.float32]:
    """|argmin_z ½‖M F z − y‖² + weight·TV(z)| by FISTA, TV of the real and of the imaginary part.

    Lustig, Donoho & Pauly, Magn. Reson. Med. 58(6), 2007, without wavelets; M F has norm 1, so the step is 1.

    Args:
        watch: called with every iterate, complex (H, W).
    """
    z = ahead = inverse_fourier(k_space)
    momentum = 1.0
    for _ in range(iterations):
        gradient = inverse_fourier(mask * fourier(ahead) - k_space)
        after = total_variation_prox(ahead - gradient, weight)
        faster = (1 + (1 + 4 * momentum**2) ** 0.5) / 2
        ahead = after + (momentum - 1) / faster * (after - z)
        z, momentum = after, faster
        if watch:
            watch(z)
    return np.clip(np.abs(z), 0, 1).astype(np.float32)


def data_consistent(image: Array, k_space: Array, mask: Mask) -> NDArray[np.float32]:
    """A reconstructed magnitude (H, W) made to agree with what was measured (Schlemper et al., IEEE TMI 37(2), 2018).

    Its phase is taken from the zero-filled image, which the smooth φ survives.
    """
    phase = np.exp(1j * np.angle(inverse_fourier(k_space)))
    return zero_filled(np.where(mask, k_space, fourier(image * phase)))
