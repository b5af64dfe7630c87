"""Structures that stand in tissue: each changes a map of echogenicity in place of what was there.

``Tissue.diffuse`` is what scatters in all directions and shows as speckle; ``Tissue.specular`` is what reflects as a
mirror does, the same in every look, and shows without speckle.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from edgerecon.workshop.data.display.fields import Map, log_uniform, smooth_noise, soft_mask

NOTHING_DB = -90.0


@dataclass
class Tissue:
    """Echogenicity in dB of what scatters and of what mirrors, float32 (side, side) both."""

    diffuse: Map
    specular: Map

    @property
    def side(self) -> int:
        """Height and width in pixels."""
        return len(self.diffuse)


def specular_lines(rng: np.random.Generator, tissue: Tissue) -> None:
    """Fascia, septa and interfaces: thin bright curves, most of them along one direction, fading along their length."""
    side = tissue.side
    common = rng.normal(0, 0.22) if rng.random() < 0.8 else rng.uniform(-math.pi / 2, math.pi / 2)
    spread = rng.uniform(0.02, 0.25)
    drawn = np.zeros((side, side), np.float32)
    for _ in range(int(log_uniform(rng, 1, 30))):
        curve = _curve(rng, side, common + rng.normal(0, spread), log_uniform(rng, 0.1, 2.5) * side)
        width = int(rng.choice([1, 1, 2, 3], p=[0.45, 0.2, 0.2, 0.15]))
        cv2.polylines(drawn, [curve], False, rng.uniform(5, 26), width, cv2.LINE_AA, shift=3)
    drawn = np.asarray(cv2.GaussianBlur(drawn, (0, 0), rng.uniform(0.45, 1.2)), np.float32)
    drawn *= np.clip(0.7 + rng.uniform(0.2, 0.8) * smooth_noise(rng, (side, side), 25, 25), 0, 1.3)
    kind = rng.random()
    if kind < 0.35:
        tissue.diffuse += drawn
    elif kind < 0.65:
        tissue.diffuse = np.maximum(tissue.diffuse, drawn + np.float32(rng.uniform(-5, 5)))
    else:
        lines = np.where(drawn > 0.5, tissue.diffuse + drawn, NOTHING_DB).astype(np.float32)
        tissue.specular = np.maximum(tissue.specular, lines)


def vessels(rng: np.random.Generator, tissue: Tissue) -> None:
    """Tubes with dark blood and a bright wall on either side, cut lengthwise."""
    for _ in range(int(rng.integers(1, 3))):
        width = log_uniform(rng, 4, 50)
        wall, blood = log_uniform(rng, 1, 4), rng.uniform(-45, -12)
        curve = _curve(rng, tissue.side, rng.normal(0, 0.5), rng.uniform(0.6, 2) * tissue.side)
        outer, inner = (_stroke(tissue.side, curve, across) for across in (width + 2 * wall, width))
        softness = rng.uniform(0.4, 1)
        tissue.diffuse += soft_mask(outer, softness) * np.float32(rng.uniform(0, 14))
        _fill(tissue, soft_mask(inner, softness), blood)


def cysts(rng: np.random.Generator, tissue: Tissue) -> None:
    """Round pools of fluid: nearly black, brighter tissue behind them, sometimes a bright rim."""
    side = tissue.side
    for _ in range(int(rng.integers(1, 4))):
        shape, centre, axes = _blob(rng, side, log_uniform(rng, 3, 55))
        inside = soft_mask(shape, rng.uniform(0.4, 1.5))
        if rng.random() < 0.5:
            behind = np.zeros((side, side), np.uint8)
            left, right = centre[0] - axes[0], centre[0] + axes[0]
            cv2.rectangle(behind, (left, centre[1]), (right, side), 255, -1)
            tissue.diffuse += np.float32(rng.uniform(1, 7)) * soft_mask(behind, max(1.0, axes[0] / 3))
        if rng.random() < 0.4:
            rim = cv2.morphologyEx(shape, cv2.MORPH_GRADIENT, np.ones((3, 3), np.uint8))
            tissue.diffuse += np.float32(rng.uniform(3, 12)) * soft_mask(np.asarray(rim, np.uint8), 0.7)
        _fill(tissue, inside, rng.uniform(-50, -14))


def lesions(rng: np.random.Generator, tissue: Tissue) -> None:
    """Regions with ragged borders, −15 to +10 dB against what surrounds them, with its texture or one of their own."""
    side = tissue.side
    for _ in range(int(rng.integers(1, 5))):
        shape, _, _ = _blob(rng, side, log_uniform(rng, 2.5, 50))
        inside = soft_mask(shape, rng.uniform(0.4, 2.5))
        tissue.diffuse += inside * np.float32(rng.uniform(-15, 10))


def small_lesions(rng: np.random.Generator, tissue: Tissue) -> None:
    """Regions of 4 to 30 pixels with sharp rims, each at least 3 dB darker or brighter than its surroundings."""
    for _ in range(int(rng.integers(2, 8))):
        shape, _, _ = _blob(rng, tissue.side, log_uniform(rng, 4, 30))
        level = -rng.uniform(3, 15) if rng.random() < 0.6 else rng.uniform(3, 12)
        inside = soft_mask(shape, rng.uniform(0.4, 1.5))
        if rng.random() < 0.5:  # with an evenness of its own
            mean = np.float32((tissue.diffuse * inside).sum() / max(float(inside.sum()), 1e-6))
            tissue.diffuse += inside * (mean - tissue.diffuse) * np.float32(rng.uniform(0.3, 1))
        tissue.diffuse += inside * np.float32(level)


def calcifications(rng: np.random.Generator, tissue: Tissue) -> None:
    """Small bright spots; the larger ones cast a shadow to the bottom of the map."""
    side = tissue.side
    for _ in range(int(rng.integers(1, 14))):
        x, y = rng.uniform(0, side, 2)
        radius = log_uniform(rng, 0.5, 5)
        spot = np.zeros((side, side), np.uint8)
        centre = (int(x * 16), int(y * 16))
        axes = (int(radius * rng.uniform(1, 2) * 16), int(radius * 16))
        cv2.ellipse(spot, centre, axes, float(rng.normal(0, 20)), 0, 360, 255, -1, cv2.LINE_AA, shift=4)
        bright = soft_mask(spot, 0.5) * np.float32(rng.uniform(8, 30))
        if rng.random() < 0.5:
            tissue.diffuse += bright
        else:
            tissue.specular = np.maximum(tissue.specular, np.where(bright > 1, tissue.diffuse + bright, NOTHING_DB))
        if radius > 2 and rng.random() < 0.6:
            cast_shadow(tissue, x, y, radius * rng.uniform(0.8, 2), rng.uniform(6, 35))


def shadows(rng: np.random.Generator, tissue: Tissue) -> None:
    """Columns that gas, bone or a poor contact darken."""
    for _ in range(int(rng.integers(1, 4))):
        depth = rng.uniform(-0.5, 0.7) * tissue.side
        cast_shadow(tissue, rng.uniform(0, tissue.side), depth, rng.uniform(4, 40), rng.uniform(4, 30))


def cast_shadow(tissue: Tissue, x: float, y: float, half_width: float, depth_db: float) -> None:
    """Darken what lies below (x, y) by ``depth_db`` in the middle, less towards the sides."""
    across = (np.arange(tissue.side, dtype=np.float32) - np.float32(x)) / np.float32(half_width)
    below = np.clip((np.arange(tissue.side, dtype=np.float32) - np.float32(y)) / 4, 0, 1)
    shade = np.outer(below, np.float32(depth_db) * np.exp(-(across**4)))
    tissue.diffuse -= shade
    tissue.specular -= shade


def _blob(
    rng: np.random.Generator, side: int, radius: float
) -> tuple[NDArray[np.uint8], tuple[int, int], tuple[int, int]]:
    """A filled ellipse whose border is ragged, with its centre and its half axes."""
    centre = (int(rng.uniform(0, side)), int(rng.uniform(0, side)))
    axes = (max(1, int(radius)), max(1, int(radius * rng.uniform(0.35, 1.2))))
    turns = np.linspace(0, 2 * math.pi, 48, endpoint=False)
    ragged = np.ones_like(turns)
    if rng.random() < 0.7:
        for wave in range(2, 7):
            ragged += rng.normal(0, 0.16 / wave) * np.cos(wave * turns + rng.uniform(0, 2 * math.pi))
    tilt = rng.uniform(0, math.pi)
    u, v = axes[0] * ragged * np.cos(turns), axes[1] * ragged * np.sin(turns)
    x = centre[0] + u * math.cos(tilt) - v * math.sin(tilt)
    y = centre[1] + u * math.sin(tilt) + v * math.cos(tilt)
    shape = np.zeros((side, side), np.uint8)
    cv2.fillPoly(shape, [np.rint(np.stack([x, y], 1) * 8).astype(np.int32)], 255, cv2.LINE_AA, shift=3)
    return shape, centre, axes


def _curve(rng: np.random.Generator, side: int, angle: float, length: float) -> NDArray[np.int32]:
    """A gently bent open line of 24 points, in eighths of a pixel."""
    t = np.linspace(0, 1, 24)
    start = np.array([rng.uniform(-0.3, 1.1), rng.uniform(0, 1)]) * side
    bend = rng.normal(0, 0.05) * length * np.sin(math.pi * t)
    ripple = rng.normal(0, 1) * np.sin(2 * math.pi * t * rng.uniform(0.5, 3))
    x = start[0] + t * length * math.cos(angle)
    y = start[1] + t * length * math.sin(angle) + bend + ripple
    return np.rint(np.stack([x, y], 1) * 8).astype(np.int32)


def _stroke(side: int, curve: NDArray[np.int32], width: float) -> NDArray[np.uint8]:
    drawn = np.zeros((side, side), np.uint8)
    cv2.polylines(drawn, [curve], False, 255, max(1, round(width)), cv2.LINE_AA, shift=3)
    return drawn


def _fill(tissue: Tissue, inside: Map, level: float) -> None:
    tissue.diffuse += inside * (np.float32(level) - tissue.diffuse)
    tissue.specular = np.where(inside > 0.5, np.float32(NOTHING_DB), tissue.specular).astype(np.float32)
