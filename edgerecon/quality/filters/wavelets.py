"""Wavelet shrinkage."""

from __future__ import annotations

import numpy as np

from edgerecon.core.errors import needed
from edgerecon.core.frame import Image
from edgerecon.quality.filters.filter import Filter


def wavelet_shrinkage(image: Image, sigma: float) -> Image:
    """BayesShrink with soft thresholds (Chang, Yu & Vetterli, IEEE Trans. Image Process. 9(9), 2000), scikit-image's.

    The wavelet is Daubechies' db2.

    Args:
        sigma: deviation of the noise that is taken out, in display values.

    Raises:
        DependencyError: scikit-image or PyWavelets is absent.
    """
    with needed("bench", "scikit-image"):
        from skimage.restoration import denoise_wavelet
    with needed("bench", "PyWavelets"):
        found = denoise_wavelet(image, sigma=sigma, wavelet="db2", method="BayesShrink", mode="soft")
    return np.clip(found, 0, 1).astype(np.float32)


FILTERS = (Filter("wavelet shrinkage", wavelet_shrinkage, tuple({"sigma": s} for s in (0.03, 0.06, 0.1, 0.15, 0.25))),)
