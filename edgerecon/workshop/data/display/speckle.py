"""Speckle of any grain: filtered complex noise, and its exact expectation.

Diffuse scatterers in one resolution cell add up to a circular complex Gaussian whose variance is the echogenicity seen
through the squared point-spread function (Wagner et al., IEEE Trans. Sonics Ultrason. 30, 1983). White noise times the
root of the echogenicity, filtered by the point-spread function, has exactly that distribution. Electronic noise adds
to the variance, a mirror adds a mean (Rice), and looks are averaged as compounding scanners do.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np

from edgerecon.workshop.data.display.fields import Map, log_uniform

NOTHING = 1e-9
_ONE = np.ones((1, 1), np.float32)
LOOKS = (1, 1, 1, 1, 2, 2, 3, 4, 6, 9, 16)


@dataclass(frozen=True)
class Grain:
    """The point-spread function's amplitude: a Gaussian whose lateral width grows with depth.

    Attributes:
        axial, lateral: σ in display pixels, the lateral one at the top. growth: its ratio from bottom to top.
        looks: independent realisations whose intensities are averaged.
        noise_db: electronic noise at the top against the median echogenicity. noise_growth_db: more at the bottom.
    """

    axial: float
    lateral: float
    growth: float
    looks: int
    noise_db: float
    noise_growth_db: float


def random_grain(rng: np.random.Generator, looks: Sequence[int] = LOOKS) -> Grain:
    """From nearly white (σ 0.2 px) to grains more than 12 px wide, as scanners show them: wider than high.

    Args:
        looks: what the number of looks is drawn from.
    """
    axial = rng.uniform(0.2, 0.7) if rng.random() < 0.25 else log_uniform(rng, 0.5, 3)
    return Grain(
        axial,
        min(axial * log_uniform(rng, 0.9, 6), 7.0),
        log_uniform(rng, 1, 2.2) if rng.random() < 0.6 else 1.0,
        int(rng.choice(looks)),
        rng.uniform(-55, -14),
        rng.uniform(0, 22) if rng.random() < 0.6 else 0.0,
    )


def sampling(rng: np.random.Generator, grain: Grain) -> tuple[float, float]:
    """Samples per display pixel along a beam, and beams per display pixel: a grain has about one or more of each."""
    along, across = log_uniform(rng, 0.6, 2.2) / grain.axial, log_uniform(rng, 0.5, 1.8) / grain.lateral
    return min(max(along, 0.35), 1.6), min(max(across, 0.2), 1.4)


@dataclass(frozen=True)
class Echoes:
    """What speckle is made from, on samples of beams.

    Attributes:
        mean: expected intensity. coherent: the part of it that mirrors contribute, in [0, 1].
        amplitude, mirror: roots of the diffuse echogenicity and of the mirrors' intensity.
        along: the point-spread function's column. across: its rows, each with its weight at every depth, (samples, 1).
        noise: root of the noise's variance at every depth, (samples, 1).
    """

    mean: Map
    coherent: Map
    amplitude: Map
    mirror: Map
    along: Map
    across: tuple[tuple[Map, Map], ...]
    noise: Map

    def realise(self, rng: np.random.Generator, looks: int) -> Map:
        """Intensity averaged over ``looks`` independent realisations."""
        total = np.zeros_like(self.mean)
        for _ in range(looks):
            white = rng.standard_normal((*self.mean.shape, 2), np.float32)
            echo = white * self.amplitude[..., None]
            # Farther away than any grain is wide, the same white noise is independent.
            noise = np.roll(white, (len(white) // 2, white.shape[1] // 2), (0, 1))
            field = self.noise[..., None] * cv2.sepFilter2D(noise, -1, _ONE, self.along)
            for row, weight in self.across:
                field += weight[..., None] * cv2.sepFilter2D(echo, -1, row, self.along)
            field[..., 0] += self.mirror
            total += field[..., 0] ** 2 + field[..., 1] ** 2
        return np.asarray(total / np.float32(looks), np.float32)


def echoes(diffuse: Map, specular: Map, grain: Grain, density: tuple[float, float]) -> Echoes:
    """Tissue as beams see it.

    Args:
        diffuse, specular: echogenicity on samples of beams, linear. density: see ``scan.Scan``.
    """
    depth = np.linspace(0, 1, len(diffuse), dtype=np.float32)[:, None]
    along = _gaussian(grain.axial * density[0])
    width = grain.lateral * density[1]
    across: tuple[tuple[Map, Map], ...]
    if grain.growth > 1:  # a narrow and a wide row, from one to the other with depth
        across = ((_gaussian(width, width * grain.growth), 1 - depth), (_gaussian(width * grain.growth), depth))
    else:
        across = ((_gaussian(width), np.ones_like(depth)),)
    pairs = [(a * b, s * t) for a, s in across for b, t in across]  # |Σ weight·row|² in all its products
    power = sum(np.sum(along**2) * np.sum(row) * weight for row, weight in pairs)

    def seen(echogenicity: Map) -> Map:
        found = sum(weight * cv2.sepFilter2D(echogenicity, -1, row, along**2) for row, weight in pairs)
        return np.asarray(found / power, np.float32)

    spread = seen(diffuse)
    mirror = seen(specular) if specular.max() > NOTHING else np.zeros_like(spread)
    noise = np.median(spread) * 10 ** ((grain.noise_db + grain.noise_growth_db * depth) / 10)
    mean = (spread + mirror + noise).astype(np.float32) + np.float32(NOTHING)
    scale = np.sqrt(0.5 / power).astype(np.float32)  # real and imaginary part carry half the power each
    return Echoes(
        mean,
        mirror / mean,
        np.sqrt(diffuse),
        np.sqrt(mirror),
        along,
        tuple((row, scale * weight) for row, weight in across),
        np.sqrt(0.5 * noise / np.sum(along**2)).astype(np.float32),
    )


def _gaussian(sigma: float, reach: float = 0.0) -> Map:
    """Samples of a Gaussian, sum 1, as a column; ``reach``: σ of the widest kernel that it is multiplied with."""
    radius = max(1, math.ceil(3 * max(sigma, reach)))
    offsets = np.arange(-radius, radius + 1)
    kernel = np.exp(-(offsets**2) / (2 * max(sigma, 0.05) ** 2))
    return (kernel / kernel.sum()).astype(np.float32)[:, None]
