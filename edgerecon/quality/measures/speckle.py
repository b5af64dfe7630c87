"""Ultrasound image measures on regions: speckle SNR, CNR, gCNR, edge preservation and FWHM. float64 inside."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import ArrayLike, NDArray

from edgerecon.core.frame import Image


def speckle_snr(region: ArrayLike) -> float:
    """Mean over standard deviation of a region.

    1.91 for the envelope of fully developed speckle (Rayleigh): Wagner et al., IEEE Trans. Sonics Ultrason. 30(3),
    1983. On a log-compressed display image the value differs; compare only images of the same compression.

    Returns:
        inf for a constant region.
    """
    values = np.asarray(region, np.float64)
    deviation = values.std()
    return float(values.mean() / deviation) if deviation > 0 else float("inf")


def cnr(target: ArrayLike, background: ArrayLike) -> float:
    """Contrast-to-noise ratio |μt − μb| / √(σt² + σb²); inf or 0 for two constant regions."""
    a, b = np.asarray(target, np.float64), np.asarray(background, np.float64)
    difference = abs(a.mean() - b.mean())
    noise = np.sqrt(a.var() + b.var())
    if noise == 0:
        return float("inf") if difference else 0.0
    return float(difference / noise)


def gcnr(target: ArrayLike, background: ArrayLike, bins: int = 256, limits: tuple[float, float] | None = None) -> float:
    """Generalised CNR: 1 − overlap of the two histograms, in [0, 1].

    Rodriguez-Molares et al., IEEE Trans. UFFC 67(4), 2020.

    Args:
        target, background: samples of any shape.
        limits: range of the histogram; default: of all samples. Samples beyond it count in the outer bins. A fixed
            range keeps the bins, and so the finite-sample bias, equal for images that are compared.
    """
    a, b = np.asarray(target, np.float64).ravel(), np.asarray(background, np.float64).ravel()
    low, high = limits if limits is not None else (min(a.min(), b.min()), max(a.max(), b.max()))
    if low == high:
        return 0.0
    edges = np.linspace(low, high, bins + 1)
    counts = [np.histogram(np.clip(values, low, high), edges)[0] / values.size for values in (a, b)]
    return float(1.0 - np.minimum(*counts).sum())


def laplacian_of_gaussian(image: Image, sigma: float = 2.5) -> NDArray[np.float32]:
    """Five-point Laplacian of the Gaussian-smoothed image, σ in pixels, mirrored borders; float32 (H, W)."""
    return np.asarray(cv2.Laplacian(cv2.GaussianBlur(image, (0, 0), sigma), cv2.CV_32F, ksize=1), np.float32)


def edge_preservation(
    filtered: Image, original: Image, mask: NDArray[np.bool_] | None = None, sigma: float = 2.5
) -> float:
    """Pearson correlation of the Laplacians of Gaussian of a filtered image and its input, in [−1, 1].

    After Sattar et al., IEEE Trans. Image Process. 6(6), 1997 (their β), with a Gaussian first so that edges wider than
    the speckle count, not the speckle itself. Blind to gain and offset.

    Args:
        filtered, original: float32 (H, W).
        mask: pixels that count; default: all.

    Returns:
        0 when one of them has no edge at all.
    """
    a, b = laplacian_of_gaussian(filtered, sigma), laplacian_of_gaussian(original, sigma)
    x = (a[mask] if mask is not None else a.ravel()).astype(np.float64)
    y = (b[mask] if mask is not None else b.ravel()).astype(np.float64)
    if x.size == 0:
        return 0.0
    x -= x.mean()
    y -= y.mean()
    power = np.sqrt((x @ x) * (y @ y))
    return float(x @ y / power) if power > 0 else 0.0


def fwhm(profile: ArrayLike, spacing: float = 1.0) -> float:
    """Full width at half maximum of a single peak, by linear interpolation between samples.

    Args:
        profile: (N,) linear amplitudes through a wire; on a log-compressed display image the "half" is not −6 dB, so
            convert first or compare only images of the same compression.
        spacing: distance of two samples, e.g. in mm.

    Returns:
        Width in units of ``spacing``; nan when a side does not fall to half the maximum inside the profile.
    """
    values = np.asarray(profile, np.float64)
    if values.size == 0 or values.max() <= 0:
        return float("nan")
    peak = int(values.argmax())
    half = values[peak] / 2

    def crossing(step: int) -> float:
        i = peak
        while 0 <= i + step < values.size:
            if values[i + step] <= half:
                return i + step * (values[i] - half) / (values[i] - values[i + step])
            i += step
        return float("nan")

    return float((crossing(1) - crossing(-1)) * spacing)
