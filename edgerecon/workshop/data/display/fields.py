"""Smooth random fields, the raw material of textures, masks and deformations."""

from __future__ import annotations

import math

import cv2
import numpy as np
from numpy.typing import NDArray

Map = NDArray[np.float32]

_UNIT = 1 / 0.479
"""Over the standard deviation that the cubic B-spline leaves of white noise, on average over a cell."""


def log_uniform(rng: np.random.Generator, low: float, high: float) -> float:
    """A random number between ``low`` and ``high`` whose logarithm is uniform."""
    return math.exp(rng.uniform(math.log(low), math.log(high)))


def smooth_noise(rng: np.random.Generator, shape: tuple[int, int], scale_y: float, scale_x: float) -> Map:
    """Gaussian noise on a coarse grid, interpolated by cubics: mean 0, standard deviation about 1.

    Args:
        shape: (H, W) in pixels. scale_y, scale_x: distance between nodes in pixels, at least 1.
    """
    sides = [math.ceil(side / max(scale, 1.0)) + 5 for side, scale in zip(shape, (scale_y, scale_x), strict=True)]
    nodes = rng.standard_normal(sides, dtype=np.float32)
    rows = _sample_points(rng, shape[0], max(scale_y, 1.0))
    columns = _sample_points(rng, shape[1], max(scale_x, 1.0))
    field = _cubic_matrix(rows, sides[0]) @ nodes @ _cubic_matrix(columns, sides[1]).T
    return np.asarray(_UNIT * field, np.float32)


def fractal_noise(
    rng: np.random.Generator, shape: tuple[int, int], persistence: float, stretch: float = 1.0, finest: float = 2.0
) -> Map:
    """Octaves of smooth noise from the whole side down to ``finest`` pixels, each ``persistence`` times the one before.

    Args:
        persistence: amplitude ratio of neighbouring octaves; 0.5 is smooth, 1 is rough.
        stretch: how much longer structures are along a row than along a column.
    """
    total = np.zeros(shape, np.float32)
    scale, weight, power = max(shape) / 2.0, 1.0, 0.0
    while scale >= finest:
        total += np.float32(weight) * smooth_noise(rng, shape, scale, scale * stretch)
        power += weight * weight
        scale, weight = scale / 2, weight * persistence
    return np.asarray(total / math.sqrt(power), np.float32)


def rotated_and_curved(rng: np.random.Generator, field: Map, side: int, angle: float, bend: float) -> Map:
    """The middle ``side`` × ``side`` of a larger field, turned by ``angle`` radians and bent by ``bend`` pixels."""
    y, x = np.indices((side, side), np.float32) - np.float32(side / 2)
    sway = np.float32(bend) * smooth_noise(rng, (side, side), side / 2.5, side / 2.5)
    cos, sin = np.float32(math.cos(angle)), np.float32(math.sin(angle))
    across = y * cos - x * sin + sway
    along = x * cos + y * sin
    height, width = field.shape
    return cv2.remap(  # type: ignore[return-value]
        field,
        along + np.float32(width / 2),
        across + np.float32(height / 2),
        cv2.INTER_LINEAR,
        borderMode=cv2.BORDER_REFLECT_101,
    )


def soft_mask(shape: NDArray[np.uint8], sigma: float) -> Map:
    """A drawn shape (255 inside) as opacity in [0, 1], its border softened by a Gaussian of ``sigma`` pixels."""
    opacity = shape.astype(np.float32) / 255
    return cv2.GaussianBlur(opacity, (0, 0), sigma) if sigma > 0 else opacity  # type: ignore[return-value]


def _sample_points(rng: np.random.Generator, side: int, scale: float) -> NDArray[np.float64]:
    """Positions of the pixels between the nodes, shifted at random by up to one node."""
    return 1 + rng.uniform(0, 0.999) + np.arange(side) / scale


def _cubic_matrix(points: NDArray[np.float64], nodes: int) -> Map:
    """Weights (points, nodes) of the cubic B-spline: smooth, without overshoot."""
    left = points.astype(np.intp)
    t = points - left
    weights = ((1 - t) ** 3 / 6, 2 / 3 - t**2 + t**3 / 2, 2 / 3 - (1 - t) ** 2 + (1 - t) ** 3 / 2, t**3 / 6)
    matrix = np.zeros((len(points), nodes), np.float32)
    for offset, weight in enumerate(weights, start=-1):
        matrix[np.arange(len(points)), left + offset] = weight
    return matrix
