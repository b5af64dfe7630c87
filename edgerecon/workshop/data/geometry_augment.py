"""Rotation, translation, scaling and flips of slices, the same for all images of a sample."""

from __future__ import annotations

import math
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

Image = NDArray[Any]


def random_affine(
    images: tuple[Image, ...],
    rng: np.random.Generator,
    turn: float = 15.0,
    shift: float = 0.05,
    zoom: tuple[float, float] = (0.9, 1.05),
    flip: bool = True,
    moved: float = 0.5,
) -> tuple[Image, ...]:
    """One random affine map of images (H, W) of one shape in [0, 1], cubic, zero outside.

    Args:
        turn: greatest rotation either way, in degrees. shift: greatest translation, as a share of the side.
        zoom: least and greatest scaling. flip: mirror left and right in half of the draws.
        moved: share of the draws that turn, move or scale. Resampling blurs a little, and what a network meets later
            is sharp: some of what it learns from must be so too.
    """
    height, width = images[0].shape
    centre = ((width - 1) / 2, (height - 1) / 2)
    angle, scale = rng.uniform(-turn, turn), math.exp(rng.uniform(*np.log(zoom)))
    matrix = cv2.getRotationMatrix2D(centre, angle, scale)
    matrix[:, 2] += rng.uniform(-shift, shift, 2) * np.array([width, height])
    mirrored = flip and rng.random() < 0.5
    found = list(images)
    if rng.random() < moved:
        found = [
            np.clip(cv2.warpAffine(image, matrix, (width, height), flags=cv2.INTER_CUBIC), 0, 1) for image in images
        ]
    return tuple(np.ascontiguousarray(image[:, ::-1]) if mirrored else np.asarray(image) for image in found)
