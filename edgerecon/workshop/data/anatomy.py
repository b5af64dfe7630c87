"""Procedural anatomy for CT and MRI: subjects drawn at random, slices that belong together.

Brain-like (T1-weighted MRI) and chest-like (CT) slices in the spirit of Shepp & Logan (IEEE Trans. Nucl. Sci. 21(3),
1974), whose phantom is the special case of ten still ellipses: organs are ellipses with folded edges in a warped body,
with vessels, lesions, texture of tissue and, in MRI, the shading of a receive coil. Nothing is read from a file, hence
no licence but ours. Grey levels are display values in [0, 1], not tissue constants.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Literal

import cv2
import numpy as np
from numpy.typing import NDArray

Image = NDArray[np.float32]
Kind = Literal["brain", "chest"]


def subject(rng: np.random.Generator, kind: Kind, size: int, slices: int) -> Image:
    """Slices of one subject, from bottom to top.

    Args:
        rng: the only source of chance. size: side in pixels.

    Returns:
        float32 (slices, size, size) in [0, 1]; nothing but 0 lies outside the circle that touches the sides.
    """
    draw = _DRAWERS[kind](rng, size)
    heights = np.linspace(-0.6, 0.6, slices) + rng.uniform(-0.1, 0.1)
    return np.stack([np.clip(draw(float(z)), 0, 1).astype(np.float32) for z in heights])


class _Canvas:
    """One slice in the making: x to the right and y downwards, both from −1 to 1, bent by a subject's own warp."""

    def __init__(self, size: int, warp: NDArray[np.float64]) -> None:
        axis = (np.arange(size) - (size - 1) / 2) / (size / 2)
        x, y = np.meshgrid(axis, axis)
        bent = [sum(a * np.sin(k * along + p) for a, k, p in waves) for waves, along in zip(warp, (y, x), strict=True)]
        self.x, self.y, self.size = x + bent[0], y + bent[1], size
        self.image = np.zeros((size, size))

    def ellipse(
        self,
        at: tuple[float, float],
        radii: tuple[float, float],
        level: float,
        turn: float = 0.0,
        folds: NDArray[np.float64] | None = None,
    ) -> NDArray[np.float64]:
        """Paint one, its edge a pixel wide; returns its opacity. folds: rows (amplitude, count, phase) of the edge."""
        opacity = np.zeros_like(self.image)
        box = self._around(at, radii, 0.0 if folds is None else float(np.abs(folds[:, 0]).sum()))
        dx, dy = self.x[box] - at[0], self.y[box] - at[1]
        u = (dx * math.cos(turn) + dy * math.sin(turn)) / radii[0]
        v = (dy * math.cos(turn) - dx * math.sin(turn)) / radii[1]
        radius = np.hypot(u, v)
        if folds is not None:
            angle = np.arctan2(v, u)
            radius = radius * (1 + sum(a * np.sin(k * angle + p) for a, k, p in folds))
        opacity[box] = np.clip((1 - radius) * min(radii) * self.size / 2 + 0.5, 0, 1)
        self.image[box] += opacity[box] * (level - self.image[box])
        return opacity

    def _around(self, at: tuple[float, float], radii: tuple[float, float], fold: float) -> tuple[slice, slice]:
        """Rows and columns outside of which an ellipse has no opacity: most are small, and a slice has a hundred."""
        reach = max(radii) * (1 + 1 / (min(radii) * self.size)) / max(1 - fold, 1e-3)
        near = (np.abs(self.x - at[0]) <= reach) & (np.abs(self.y - at[1]) <= reach)
        rows, columns = (np.flatnonzero(near.any(axis=axis)) for axis in (1, 0))
        if not rows.size:
            return slice(0), slice(0)
        return slice(rows[0], rows[-1] + 1), slice(columns[0], columns[-1] + 1)


def _brain(rng: np.random.Generator, size: int) -> Callable[[float], NDArray[np.float64]]:
    warp = _warp(rng)
    wide, tall = rng.uniform(0.62, 0.72), rng.uniform(0.76, 0.86)
    grey, white, fluid = rng.uniform(0.42, 0.58), rng.uniform(0.68, 0.85), rng.uniform(0.08, 0.22)
    scalp, bone = rng.uniform(0.6, 0.95), rng.uniform(0.03, 0.12)
    gyri = _folds(rng, 7, 0.022, (9, 34))
    sulci = _folds(rng, 8, 0.075, (5, 26))
    ventricle, nuclei = rng.uniform(0.06, 0.13), rng.uniform(0.1, 0.16)
    spots = rng.uniform(-0.45, 0.45, (rng.integers(2, 7), 3))
    sizes, levels = rng.uniform(0.012, 0.07, len(spots)), rng.uniform(0.05, 1.0, len(spots))
    coil = rng.uniform(-0.5, 0.5, 2)
    seed = int(rng.integers(2**31))

    def draw(z: float) -> NDArray[np.float64]:
        c, k = _Canvas(size, warp), math.sqrt(1 - (0.7 * z) ** 2)
        a, b = wide * k, tall * k
        head = c.ellipse((0, 0), (a * 1.18, b * 1.14), scalp)
        c.ellipse((0, 0), (a * 1.1, b * 1.075), bone)
        c.ellipse((0, 0), (a * 1.02, b * 1.01), fluid)
        c.ellipse((0, 0), (a * 0.98, b * 0.97), grey, folds=_shifted(gyri, z))
        c.ellipse((0, 0), (a * 0.82, b * 0.84), white, folds=_shifted(sulci, z))
        c.ellipse((0, -b * 0.02), (0.012, b * 0.9), fluid)  # the fissure between the halves
        for side in (-1, 1):
            c.ellipse((side * a * 0.36, 0.02), (nuclei * k, nuclei * 1.6 * k), grey, turn=side * 0.3)
            c.ellipse((side * a * 0.14, -0.12 * k), (ventricle * k, 0.26 * k), fluid, turn=side * (0.25 + 0.2 * z))
            c.ellipse((side * a * 0.55, -b * 0.1), (0.02, b * 0.28), grey, turn=side * 0.2)
        for (x, y, height), radius, level in zip(spots, sizes, levels, strict=True):
            shown = radius * (1 - 4 * (height - z) ** 2)
            if shown > 0.004:
                c.ellipse((x, y), (shown, shown * 1.3), level, turn=6 * x)
        tissue = c.image * (1 + _texture(seed, z, size, 0.05))
        return np.asarray(tissue * head * (1 + 0.18 * (coil[0] * c.x + coil[1] * c.y)))

    return draw


def _chest(rng: np.random.Generator, size: int) -> Callable[[float], NDArray[np.float64]]:
    warp = _warp(rng) * 0.6
    wide, tall = rng.uniform(0.8, 0.88), rng.uniform(0.55, 0.68)
    fat, muscle, air = rng.uniform(0.3, 0.38), rng.uniform(0.45, 0.53), rng.uniform(0.02, 0.1)
    bone, blood = rng.uniform(0.75, 1.0), rng.uniform(0.5, 0.68)
    rind = rng.uniform(0.03, 0.09)
    lung = _folds(rng, 5, 0.05, (2, 9))
    heart = (rng.uniform(0.02, 0.16), rng.uniform(0.02, 0.14)), rng.uniform(0.2, 0.28)
    vessels = np.column_stack([rng.uniform(-1, 1, (70, 3)), rng.exponential(0.012, 70) + 0.004])
    nodules = np.column_stack([rng.uniform(-1, 1, (4, 3)), rng.uniform(0.015, 0.05, 4)])
    ribs = np.linspace(0, 2 * math.pi, 18, endpoint=False) + rng.uniform(0, 0.35)
    seed = int(rng.integers(2**31))

    def draw(z: float) -> NDArray[np.float64]:
        c, k = _Canvas(size, warp), 1 - 0.12 * z**2
        a, b = wide * k, tall * k
        body = c.ellipse((0, 0), (a, b), fat)
        c.ellipse((0, 0), (a - rind, b - rind), muscle)
        inner = (a - rind - 0.09, b - rind - 0.09)
        lungs = np.zeros_like(body)
        for side in (-1, 1):
            at, radii = (side * inner[0] * 0.53, 0.02), (inner[0] * 0.43, inner[1] * (0.92 - 0.2 * z))
            lungs = np.maximum(lungs, c.ellipse(at, radii, air, turn=side * 0.12, folds=_shifted(lung, z * side)))
        painted = c.image.copy()
        for x, y, phase, radius in (*vessels, *nodules):
            shown = radius * (0.55 + 0.45 * math.cos(3 * (phase - z)))
            c.ellipse((x * inner[0] + 0.15 * z * phase, y * inner[1]), (shown * 1.2, shown), muscle, turn=3 * phase)
        c.image = painted + lungs * (c.image - painted)  # they branch in the lungs alone
        (x, y), radius = heart
        c.ellipse((x, y), (radius * (1 - z / 3), radius * 0.85), muscle * 1.04, turn=0.6)
        c.ellipse((x + 0.05, y), (radius * 0.45, radius * 0.32), blood, turn=0.8 + z)
        c.ellipse((0.07, inner[1] * 0.62), (0.07, 0.07), blood)  # the aorta
        c.ellipse((0, inner[1] * 0.42 - 0.4), (0.045, 0.05), air)  # the windpipe
        for angle in ribs + 0.5 * z:
            at = ((a - rind - 0.045) * math.cos(angle), (b - rind - 0.045) * math.sin(angle))
            turn = math.atan2(b * math.cos(angle), -a * math.sin(angle))
            c.ellipse(at, (0.085, 0.024), bone, turn=turn)
            c.ellipse(at, (0.06, 0.009), bone * 0.7, turn=turn)
        c.ellipse((0, inner[1] * 0.95), (0.13, 0.1), bone)
        c.ellipse((0, inner[1] * 0.95), (0.1, 0.07), bone * 0.75)
        c.ellipse((0, inner[1] * 0.95 + 0.13), (0.045, 0.04), muscle)
        return np.asarray(c.image * (1 + _texture(seed, z, size, 0.05)) * body)

    return draw


_DRAWERS: dict[Kind, Callable[[np.random.Generator, int], Callable[[float], NDArray[np.float64]]]] = {
    "brain": _brain,
    "chest": _chest,
}


def _warp(rng: np.random.Generator) -> NDArray[np.float64]:
    """(2, 3, 3): for x and y three waves of (amplitude, frequency, phase)."""
    return np.stack(
        [np.column_stack([rng.uniform(-0.02, 0.02, 3), rng.uniform(1, 5, 3), rng.uniform(0, 6.3, 3)]) for _ in range(2)]
    )


def _folds(rng: np.random.Generator, waves: int, depth: float, count: tuple[int, int]) -> NDArray[np.float64]:
    amplitudes = rng.uniform(0.3, 1, waves) * depth
    return np.column_stack([amplitudes, rng.integers(*count, waves), rng.uniform(0, 2 * math.pi, waves)])


def _shifted(folds: NDArray[np.float64], z: float) -> NDArray[np.float64]:
    """Folds run on from slice to slice."""
    return folds + np.outer(np.linspace(-4, 4, len(folds)), (0, 0, z))


def _texture(seed: int, z: float, size: int, strength: float) -> NDArray[np.float64]:
    """Grain of two sizes, standard deviation ``strength``; fixed in millimetres, whatever the size in pixels."""
    rng = np.random.default_rng([seed, round(1000 * (z + 2))])
    total = np.zeros((size, size))
    for grain in (0.01, 0.04):
        sigma = max(0.6, grain * size / 2)
        blurred = cv2.GaussianBlur(rng.standard_normal((size, size)), (0, 0), sigma)
        total += blurred / blurred.std()
    return total * strength / 2**0.5
