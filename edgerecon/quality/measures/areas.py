"""Where a frame is measured: constant background, tissue, its calmest part, and graphics. Found on the input alone."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from edgerecon.core.frame import Image

Mask = NDArray[np.bool_]

CONSTANT = 1.5 / 255
"""Greatest range of grey levels in a window that counts as constant."""
TOO_FEW = 2000
"""Pixels of tissue below which a margin to the background is not asked for."""


def blur(image: NDArray[np.floating], sigma: float) -> Image:
    """Gaussian-weighted local mean, σ in pixels, mirrored borders."""
    return np.asarray(cv2.GaussianBlur(image, (0, 0), sigma), np.float32)


def constant_background(image: Image) -> Mask:
    """Pixels whose 9×9 surroundings span less than 1.5 grey levels of 255: black, grey or white surroundings."""
    window = np.ones((9, 9), np.uint8)
    return np.asarray(cv2.dilate(image, window) - cv2.erode(image, window) < CONSTANT)


def tissue(image: Image) -> Mask:
    """All that is no constant background, and 7 pixels away from it where that leaves enough."""
    constant = constant_background(image)
    away = cv2.dilate(constant.astype(np.uint8), np.ones((15, 15), np.uint8)) == 0
    return np.asarray(away if away.sum() >= TOO_FEW else ~constant)


def calm_tissue(image: Image) -> Mask:
    """The quarter of the tissue with the least relative gradient of the local mean (Gaussian, σ = 3 px).

    Tissue darker than 12 grey levels of 255 is left out where enough remains: rounding, not speckle, rules there.
    """
    mean, fine, area = blur(image, 6), blur(image, 3), tissue(image)
    bright = area & (mean > 12 / 255)
    area = bright if bright.sum() > 500 else area
    slope = np.hypot(cv2.Sobel(fine, cv2.CV_32F, 1, 0), cv2.Sobel(fine, cv2.CV_32F, 0, 1)) / (mean + 0.03)
    return area & (slope <= np.quantile(slope[area], 0.25)) if area.any() else area


def graphics(image: Image) -> Mask:
    """Strokes of text, rulers and symbols on constant background: more than 0.15 above it within 7 pixels."""
    constant = constant_background(image).astype(np.uint8)
    surroundings = cv2.morphologyEx(constant, cv2.MORPH_CLOSE, np.ones((25, 25), np.uint8)) > 0
    return np.asarray(surroundings & (image - background_level(image) > 0.15))


def background_level(image: Image) -> Image:
    """The level beneath bright strokes: a morphological opening by 15×15 pixels."""
    return np.asarray(cv2.morphologyEx(image, cv2.MORPH_OPEN, np.ones((15, 15), np.uint8)), np.float32)
