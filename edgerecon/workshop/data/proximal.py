"""The proximal map of total variation, which every iterative baseline of the study is built on."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray


def total_variation_prox(image: NDArray[Any], weight: float) -> NDArray[Any]:
    """argmin_u ½‖u − image‖² + weight·TV(u), isotropic TV: scikit-image's dual iteration (Chambolle, JMIV 20, 2004).

    Args:
        image: (H, W), real or complex; the real and the imaginary part are taken one by one.
    """
    from skimage.restoration import denoise_tv_chambolle

    if np.iscomplexobj(image):
        return np.asarray(total_variation_prox(image.real, weight) + 1j * total_variation_prox(image.imag, weight))
    # The library's weight is that of the data term's inverse as here, but its dual step wants a positive one.
    return np.asarray(denoise_tv_chambolle(image, weight=max(weight, 1e-8), eps=1e-5, max_num_iter=30))
