"""Image quality against a target: MSE, PSNR, SNR, SSIM, VIF. Images in [0, 1] (data range 1); float64 inside."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import ArrayLike, NDArray

Array = NDArray[np.float64]

_SSIM_SIZE, _SSIM_SIGMA = 11, 1.5
_C1, _C2 = 0.01**2, 0.03**2  # (K·L)² with data range L = 1
SSIM_BORDER = _SSIM_SIZE // 2
"""Pixels on each side whose SSIM window would leave the image; they are not in the map."""


def _pair(image: ArrayLike, target: ArrayLike) -> tuple[Array, Array]:
    a, b = np.asarray(image, np.float64), np.asarray(target, np.float64)
    if a.shape != b.shape or a.ndim != 2 or a.size == 0:
        raise ValueError(f"two non-empty H×W images of one shape are needed, not {a.shape} and {b.shape}")
    return a, b


def mse(image: ArrayLike, target: ArrayLike) -> float:
    """Mean squared error of two images (H, W)."""
    a, b = _pair(image, target)
    return float(np.mean((a - b) ** 2))


def psnr(image: ArrayLike, target: ArrayLike) -> float:
    """Peak signal-to-noise ratio in dB, data range 1; inf for equal images."""
    error = mse(image, target)
    return float(-10.0 * np.log10(error)) if error > 0 else float("inf")


def snr(image: ArrayLike, target: ArrayLike) -> float:
    """10·log10(Σ t² / Σ (x − t)²) in dB, the target's power over the error's; inf for equal images."""
    a, b = _pair(image, target)
    power, error = float(np.sum(b**2)), float(np.sum((a - b) ** 2))
    if error == 0:
        return float("inf")
    return float(10 * np.log10(power / error)) if power > 0 else float("-inf")


def ssim_map(image: ArrayLike, target: ArrayLike) -> Array:
    """Structural similarity of every pixel whose 11×11 window lies inside the image ("valid" borders).

    Wang et al., IEEE Trans. Image Process. 13(4), 2004: Gaussian window σ = 1.5, K1 = 0.01, K2 = 0.03, population
    covariance. Equals skimage's ``structural_similarity(gaussian_weights=True, sigma=1.5, use_sample_covariance=False,
    data_range=1)``, which crops its mean in the same way.

    Args:
        image, target: (H, W) with H, W ≥ 11.

    Returns:
        (H − 10, W − 10), values in [−1, 1].
    """
    a, b = _pair(image, target)
    if min(a.shape) < _SSIM_SIZE:
        raise ValueError(f"SSIM needs images of at least {_SSIM_SIZE}×{_SSIM_SIZE} pixels, not {a.shape}")

    def local_mean(x: Array) -> Array:
        blurred = np.asarray(cv2.GaussianBlur(x, (_SSIM_SIZE, _SSIM_SIZE), _SSIM_SIGMA), np.float64)
        return blurred[SSIM_BORDER:-SSIM_BORDER, SSIM_BORDER:-SSIM_BORDER]

    mean_a, mean_b = local_mean(a), local_mean(b)
    var_a = local_mean(a * a) - mean_a**2
    var_b = local_mean(b * b) - mean_b**2
    covariance = local_mean(a * b) - mean_a * mean_b
    luminance = (2 * mean_a * mean_b + _C1) / (mean_a**2 + mean_b**2 + _C1)
    return luminance * (2 * covariance + _C2) / (var_a + var_b + _C2)


def ssim(image: ArrayLike, target: ArrayLike) -> float:
    """Mean of ``ssim_map``."""
    return float(ssim_map(image, target).mean())


def vif(image: ArrayLike, target: ArrayLike) -> float:
    """Visual information fidelity in the pixel domain (VIFp), 1 for equal images.

    Sheikh & Bovik, IEEE Trans. Image Process. 15(2), 2006, in the multi-scale pixel-domain form of the authors'
    ``vifp_mscale``: four scales, Gaussian windows of 17, 9, 5 and 3 pixels with σ = size/5, σn² = 2 at 8-bit levels.

    Args:
        image, target: (H, W) in [0, 1] with H, W ≥ 41 (all four scales need it).
    """
    a, b = (x * 255.0 for x in _pair(image, target))
    if min(a.shape) < 41:
        raise ValueError(f"VIF needs images of at least 41×41 pixels, not {a.shape}")
    seen = reference = 0.0
    for scale in range(4):
        size = 2 ** (4 - scale) + 1
        if scale:
            a, b = (_valid_blur(x, size)[::2, ::2] for x in (a, b))
        scale_seen, scale_reference = _vif_information(a, b, size)
        seen += scale_seen
        reference += scale_reference
    return seen / reference if reference > 0 else 1.0


def _valid_blur(x: Array, size: int) -> Array:
    border = size // 2
    return np.asarray(cv2.GaussianBlur(x, (size, size), size / 5)[border:-border, border:-border], np.float64)


def _vif_information(image: Array, target: Array, size: int) -> tuple[float, float]:
    """Information (nats) that image and target carry about the source at one scale."""
    noise, tiny = 2.0, 1e-10
    mean_t, mean_i = _valid_blur(target, size), _valid_blur(image, size)
    var_t = np.maximum(_valid_blur(target * target, size) - mean_t**2, 0)
    var_i = np.maximum(_valid_blur(image * image, size) - mean_i**2, 0)
    covariance = _valid_blur(target * image, size) - mean_t * mean_i
    gain = covariance / (var_t + tiny)
    residual = var_i - gain * covariance
    gain = np.where(var_t < tiny, 0.0, gain)
    residual = np.where(var_t < tiny, var_i, residual)
    var_t = np.where(var_t < tiny, 0.0, var_t)
    residual = np.where(var_i < tiny, 0.0, residual)
    residual = np.where(gain < 0, var_i, residual)
    gain = np.where((gain < 0) | (var_i < tiny), 0.0, gain)
    residual = np.maximum(residual, tiny)
    seen = np.log1p(gain**2 * var_t / (residual + noise)).sum()
    return float(seen), float(np.log1p(var_t / noise).sum())


def match_gain_offset(x: ArrayLike, reference: ArrayLike, mask: NDArray[np.bool_] | None = None) -> Array:
    """``gain·x + offset`` closest to the reference in least squares; a constant x becomes the reference's mean.

    Args:
        x, reference: (H, W).
        mask: pixels that decide gain and offset; default: all. They are applied everywhere.

    Returns:
        float64 (H, W), not clipped.
    """
    a, b = _pair(x, reference)
    u, v = (a[mask], b[mask]) if mask is not None else (a, b)
    centred = u - u.mean()
    power = float(np.sum(centred**2))
    gain = float(np.sum(centred * (v - v.mean()))) / power if power > 1e-12 * u.size else 0.0
    return gain * (a - u.mean()) + v.mean()
