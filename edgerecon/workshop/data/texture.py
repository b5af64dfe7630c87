"""Texture of tissue for procedural anatomy: grain of every size, so that nothing is flat.

Images of tissue have amplitude spectra that fall as a power of the frequency (Burgess, J. Opt. Soc. Am. A 16(3), 1999,
on mammograms: 1.4 to 1.5; Field, 4(12), 1987, on natural images: 1). Anatomy of flat regions is what total variation
assumes; this is not, the less so the smaller the power.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

SLOPE = 1.4
"""Of the amplitude over the frequency, both as logarithms."""


def textured(
    image: NDArray[Any], strength: float, rng: np.random.Generator, slope: float = SLOPE
) -> NDArray[np.float32]:
    """image·(1 + strength·n) in [0, 1]; n has mean 0, standard deviation 1 and an amplitude spectrum 1/f^slope.

    Args:
        image: (H, W) in [0, 1]; what is 0 stays 0.
    """
    return np.clip(image * (1 + strength * grain(image.shape, rng, slope)), 0, 1).astype(np.float32)


def grain(shape: tuple[int, ...], rng: np.random.Generator, slope: float = SLOPE) -> NDArray[np.float64]:
    """n, (H, W)."""
    height, width = shape
    frequency = np.hypot(np.fft.fftfreq(height)[:, None], np.fft.rfftfreq(width)[None])
    frequency[0, 0] = np.inf
    found = np.fft.irfft2(np.fft.rfft2(rng.standard_normal((height, width))) / frequency**slope, (height, width))
    return np.asarray(found / found.std())
