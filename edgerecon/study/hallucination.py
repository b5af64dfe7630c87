"""What a reconstruction adds that is not there, and what it keeps of what is.

    C(p) = mean over a disc around p − mean over the ring around it,   spurious = max_p |C(image − clean)(p)|

C is the contrast that a lesion at p would have, C(image − clean) what of it the tissue does not have. Discs are of the
radii that lesions have.
"""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np
from numpy.typing import NDArray

from edgerecon.workshop.data.lesions import AROUND, INSIDE, contrast

RADII = (0.1, 0.16, 0.25)
"""Radii of the lesions, as shares of the frame's side."""
LEAST_CONTRAST = 0.05
"""Grey levels in [0, 1]: below it the clean image has no lesion to speak of, and a ratio would mean nothing."""
Image = NDArray[np.floating]


def spurious_contrast(image: Image, clean: Image) -> float:
    """Greatest contrast, in grey levels, of a lesion-sized disc that the clean image does not have; both (H, W)."""
    difference = (image - clean).astype(np.float32)
    greatest = 0.0
    for radius in RADII:
        kernel = _disc_less_ring(radius * min(image.shape))
        border = kernel.shape[0] // 2
        found = cv2.filter2D(difference, cv2.CV_32F, kernel)[border:-border, border:-border]
        greatest = max(greatest, float(np.abs(found).max())) if found.size else greatest
    return greatest


def _disc_less_ring(radius: float) -> NDArray[np.float32]:
    low, high = AROUND
    reach = int(np.ceil(high * radius))
    y, x = np.mgrid[-reach : reach + 1, -reach : reach + 1]
    distance = np.hypot(x, y) / radius
    disc, ring = distance < INSIDE, (distance > low) & (distance < high)
    return np.asarray(disc / disc.sum() - ring / ring.sum(), np.float32)


def contrast_kept(images: Sequence[Image], cleans: Sequence[Image], radii: Sequence[Image]) -> list[float]:
    """Lesion contrast over that of the clean image, a value a scene; nan where the latter is below LEAST_CONTRAST."""
    kept = []
    for image, clean, radius in zip(images, cleans, radii, strict=True):
        true = contrast(clean, radius)
        kept.append(contrast(image, radius) / true if abs(true) >= LEAST_CONTRAST else float("nan"))
    return kept
