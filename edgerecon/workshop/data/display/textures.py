"""Textures that fill a region: maps of echogenicity in dB, mean about 0, shape (side, side)."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import cv2
import numpy as np

from edgerecon.workshop.data.display.fields import (
    Map,
    fractal_noise,
    log_uniform,
    rotated_and_curved,
    smooth_noise,
    soft_mask,
)

Texture = Callable[[np.random.Generator, int], Map]
"""(rng, side) → the map."""


def fibres(rng: np.random.Generator, side: int) -> Map:
    """Muscle and tendon: bundles far longer than wide, in one direction that bends slowly."""
    large = int(1.6 * side)
    width = log_uniform(rng, 1.2, 9)
    field = smooth_noise(rng, (large, large), width, width * rng.uniform(5, 30))
    if rng.random() < 0.7:  # finer bundles within the bundles
        finer = max(1.0, width * rng.uniform(0.25, 0.6))
        field += np.float32(rng.uniform(0.3, 0.9)) * smooth_noise(
            rng, (large, large), finer, finer * rng.uniform(4, 20)
        )
    kind = rng.random()
    if kind < 0.3:  # bright septa between dark bundles
        field = np.maximum(field, np.float32(rng.uniform(-0.6, 0.8)))
    elif kind < 0.55:  # thin bright lines where the field crosses zero
        sharp = np.float32(rng.uniform(2, 6))
        field = np.float32(2) * np.exp(-sharp * field * field) - np.float32(0.7)
    elif kind < 0.8:  # single streaks that taper off
        field = np.float32(rng.uniform(1.5, 3)) * np.maximum(field - np.float32(rng.uniform(0.4, 1.4)), 0)
    angle = rng.uniform(-0.6, 0.6) if rng.random() < 0.8 else rng.uniform(-math.pi / 2, math.pi / 2)
    bent = rotated_and_curved(rng, field, side, angle, rng.uniform(0, 0.12) * side)
    return np.asarray(np.float32(rng.uniform(2, 9)) * bent, np.float32)


def layers(rng: np.random.Generator, side: int) -> Map:
    """Skin, fat, fascia and bowel wall: bands of constant echogenicity along wavy lines, thin bright ones between."""
    large = int(1.6 * side)
    edges = np.sort(rng.uniform(0, large, int(rng.integers(2, 16))))
    level = rng.normal(0, rng.uniform(3, 8), edges.size + 1)
    profile = level[np.searchsorted(edges, np.arange(large))]
    for edge in edges[rng.random(edges.size) < rng.uniform(0.2, 0.9)]:
        profile += rng.uniform(4, 18) * np.exp(-(((np.arange(large) - edge) / log_uniform(rng, 0.6, 2.5)) ** 2))
    column = cv2.GaussianBlur(profile.astype(np.float32)[:, None], (0, 0), rng.uniform(0.5, 1.5))
    field = np.repeat(np.asarray(column, np.float32), large, axis=1)
    angle = rng.normal(0, 0.2) if rng.random() < 0.8 else rng.uniform(-math.pi / 2, math.pi / 2)
    return rotated_and_curved(rng, field, side, angle, rng.uniform(0, 0.08) * side)


def dead_leaves(rng: np.random.Generator, side: int) -> Map:
    """Shapes of every size that cover one another (Matheron's dead-leaves model): edges of every scale."""
    levels = np.zeros((side, side), np.float32)
    least, spread = rng.uniform(2, 6), rng.uniform(3, 8)
    for _ in range(int(rng.integers(60, 350))):
        radius = min(least * rng.pareto(1.6) + least, side * 0.6)
        centre = rng.integers(-20, side + 20, 2)
        level = float(rng.normal(0, spread))
        if rng.random() < 0.5:
            axes = (max(1, int(radius)), max(1, int(radius * rng.uniform(0.2, 1))))
            cv2.ellipse(levels, centre.tolist(), axes, float(rng.uniform(0, 180)), 0, 360, level, -1)
        else:
            turns = np.sort(rng.uniform(0, 2 * math.pi, int(rng.integers(3, 7))))
            corners = centre + radius * np.stack([np.cos(turns), np.sin(turns)], 1)
            cv2.fillPoly(levels, [corners.astype(np.int32)], level)
    return cv2.GaussianBlur(levels, (0, 0), rng.uniform(0.5, 1.5))  # type: ignore[return-value]


def fractal(rng: np.random.Generator, side: int) -> Map:
    """Glandular and connective tissue: variation of every scale."""
    field = fractal_noise(rng, (side, side), rng.uniform(0.5, 0.95), log_uniform(rng, 1, 3), log_uniform(rng, 2, 12))
    return np.asarray(np.float32(rng.uniform(1.5, 6)) * field, np.float32)


def parenchyma(rng: np.random.Generator, side: int) -> Map:
    """Liver, thyroid and phantoms: even, at most with a slow variation."""
    return np.asarray(np.float32(rng.uniform(0, 1.2)) * smooth_noise(rng, (side, side), 40, 40), np.float32)


TEXTURES = (fibres, layers, dead_leaves, fractal, parenchyma)
CHANCES = (0.3, 0.12, 0.14, 0.1, 0.34)


def texture(rng: np.random.Generator, side: int, chances: Sequence[float] = CHANCES) -> Map:
    """One of ``TEXTURES``, each with its chance."""
    return TEXTURES[int(rng.choice(len(TEXTURES), p=chances))](rng, side)


def patchwork(rng: np.random.Generator, side: int, chances: Sequence[float] = CHANCES) -> Map:
    """One texture, or two or three in neighbouring regions of different echogenicity."""
    levels = texture(rng, side, chances)
    for _ in range(int(rng.choice([0, 1, 2], p=[0.25, 0.5, 0.25]))):
        scale = rng.uniform(0.15, 0.8) * side
        border = smooth_noise(rng, (side, side), scale * rng.uniform(0.3, 1), scale) > rng.normal(0, 0.7)
        region = soft_mask(np.where(border, np.uint8(255), np.uint8(0)), rng.uniform(0.5, 3))
        other = texture(rng, side, chances) + np.float32(rng.normal(0, 7))
        levels = levels + region * (other - levels)
    return levels
