"""Classical speckle filters on float32 (H, W) images in [0, 1], the baselines of every comparison, and their tuning."""

from __future__ import annotations

from typing import Any

import cv2
import numpy as np

from edgerecon.core.errors import needed
from edgerecon.core.frame import Image
from edgerecon.quality.filters.filter import Filter
from edgerecon.stream.filters.smoothing import median_of

Pair = tuple[Image, Image]
"""(input, target), both float32 (H, W)."""


def median(image: Image, size: int) -> Image:
    """Median of a size×size window (odd), as a stream's."""
    return median_of(image, int(size))


def bilateral(image: Image, sigma_range: float, sigma_space: float) -> Image:
    """Bilateral filter (Tomasi & Manduchi 1998), OpenCV's; sigma_range in display values, sigma_space in pixels."""
    return np.asarray(cv2.bilateralFilter(image, -1, sigma_range, sigma_space), np.float32)


def non_local_means(image: Image, h: float, patch: int = 7, search: int = 10) -> Image:
    """Non-local means (Buades, Coll & Morel 2005), scikit-image's float version.

    The defaults are the paper's own 7×7 patches in a 21×21 search window, the largest in ``FILTERS``.

    Args:
        h: filter strength in display values.
        patch: side of the compared patches in pixels, odd.
        search: how far patches are searched, in pixels.
    """
    filtered = _restoration().denoise_nl_means(
        image, patch_size=int(patch), patch_distance=int(search), h=h, fast_mode=True
    )
    return np.asarray(filtered, np.float32)


def total_variation(image: Image, weight: float) -> Image:
    """Total-variation denoising (Chambolle 2004), scikit-image's; a larger weight smooths more."""
    # The library's default tolerance stops long before the minimum; this one costs 4× and gives a better filter.
    filtered = _restoration().denoise_tv_chambolle(image, weight=weight, eps=2e-5, max_num_iter=400)
    return np.asarray(filtered, np.float32)


def srad(image: Image, iterations: int, quantile: float = 0.75, scale_db: float = 50.0, step: float = 0.2) -> Image:
    """Speckle-reducing anisotropic diffusion: Yu & Acton, IEEE Trans. Image Process. 11(11), 2002, eqs. 31-39, 57-61.

    The diffusion acts on positive, uncompressed values, so the display image is expanded first:
    I = 10^(display · scale_db / 20). The authors take the speckle scale q0 from a hand-drawn homogeneous region and
    let it decay exponentially; here it is a quantile of the instantaneous coefficient of variation over the image,
    taken anew at every iteration, which needs no region and, tuned, filters well.

    Args:
        iterations: number of explicit steps.
        quantile: share of the pixels that count as speckle rather than edge, in (0, 1).
        scale_db: dynamic range that [0, 1] stands for when expanding.
        step: time step, stable up to 0.25.
    """
    log_scale = np.float32(scale_db / 20 * np.log(10))
    level = np.exp(image * log_scale)
    for _ in range(int(iterations)):
        padded = cv2.copyMakeBorder(level, 1, 1, 1, 1, cv2.BORDER_REPLICATE)
        north, south = padded[:-2, 1:-1] - level, padded[2:, 1:-1] - level
        west, east = padded[1:-1, :-2] - level, padded[1:-1, 2:] - level
        gradient = (north**2 + south**2 + west**2 + east**2) / level**2
        laplacian = (north + south + west + east) / level
        q2 = np.maximum(0.5 * gradient - laplacian**2 / 16, 0) / (1 + 0.25 * laplacian) ** 2
        q02 = max(float(np.quantile(q2[::2, ::2], quantile)), 1e-8)  # every fourth pixel tells as much
        conduct = 1 / (1 + np.maximum((q2 - q02) / (q02 * (1 + q02)), -0.999))
        conduct = cv2.copyMakeBorder(np.clip(conduct, 0, 1), 0, 1, 0, 1, cv2.BORDER_REPLICATE)
        here, below, right = conduct[:-1, :-1], conduct[1:, :-1], conduct[:-1, 1:]
        level = level + np.float32(step) * (below * south + here * north + right * east + here * west)
    return np.clip(np.log(level) / log_scale, 0, 1).astype(np.float32)


def _restoration() -> Any:
    with needed("bench", "scikit-image"):
        from skimage import restoration
    return restoration


FILTERS = (
    Filter("median", median, tuple({"size": s} for s in (3, 5, 7, 9, 11))),
    Filter(
        "bilateral",
        bilateral,
        tuple({"sigma_range": r, "sigma_space": s} for s in (3.0, 5.0, 8.0) for r in (0.05, 0.1, 0.2, 0.4)),
    ),
    Filter(
        "non-local means",
        non_local_means,
        tuple(
            {"h": h, "patch": p, "search": s} for p, s in ((5, 7), (7, 10)) for h in (0.03, 0.05, 0.07, 0.1, 0.14, 0.2)
        ),
    ),
    Filter("SRAD", srad, tuple({"iterations": n, "quantile": q} for q in (0.5, 0.75, 0.9) for n in (20, 60, 150))),
    Filter(
        "total variation",
        total_variation,
        tuple({"weight": w} for w in (0.03, 0.06, 0.1, 0.15, 0.22, 0.32, 0.5)),
    ),
)
