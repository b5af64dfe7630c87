"""What spoils a frame: noise, speckle, interference, reverberation, lost contrast, lost lines and lost regions.

Each function takes a frame, float32 (H, W) in [0, 1] with rows being depth, and returns one of the same kind. Frames
are log-compressed, 20·log10 of the envelope over a dynamic range of R dB: what multiplies the echo adds to the frame.
"""

from __future__ import annotations

import math

import cv2
import numpy as np

from edgerecon.core.frame import Image

RANGE_DB = 60.0
"""Dynamic range that [0, 1] stands for where a formula needs one."""
LEAST = np.float32(1 / 255)


def electronic_noise(image: Image, sigma: float, rng: np.random.Generator) -> Image:
    """y = x + σ·n, n white and Gaussian, σ in display values."""
    return _clipped(image + sigma * rng.standard_normal(image.shape, np.float32))


def speckle(image: Image, grain: float, rng: np.random.Generator) -> Image:
    """y = x + 20·log10(r)/R, r = |g ∗ n| of unit power: fully developed speckle on a frame that has none.

    n is complex white Gaussian noise and g a Gaussian of σ = ``grain`` pixels, so that r is Rayleigh (Wagner et al.,
    IEEE Trans. Sonics Ultrason. 30(3), 1983).
    """
    parts = [cv2.GaussianBlur(part, (0, 0), grain) for part in rng.standard_normal((2, *image.shape), np.float32)]
    power = parts[0] ** 2 + parts[1] ** 2
    return _clipped(image + 10 * np.log10(power / power.mean() + 1e-6) / RANGE_DB)


def interference(image: Image, lines: int, level: float, rng: np.random.Generator) -> Image:
    """y(z, c) = max(x(z, c), level·u) with u uniform in [0.5, 1], on ``lines`` columns c: noise in single lines."""
    columns = rng.choice(image.shape[1], lines, replace=False)
    spoilt = image.copy()
    received = level * rng.uniform(0.5, 1, (image.shape[0], lines)).astype(np.float32)
    spoilt[:, columns] = np.maximum(image[:, columns], received)
    return spoilt


def weak_lines(image: Image, lines: int, loss_db: float, rng: np.random.Generator) -> Image:
    """y(·, c) = x(·, c) − loss/R on ``lines`` columns c: elements of the probe that receive too little."""
    spoilt = image.copy()
    spoilt[:, rng.choice(image.shape[1], lines, replace=False)] -= loss_db / RANGE_DB
    return _clipped(spoilt)


def reverberation(image: Image, period: int, decay_db: float) -> Image:
    """y(z) = max_k x(z − k·period) − k·decay/R, k = 0, 1, 2, …: echoes that go back and forth, each weaker.

    The greatest stands for the sum of powers: on a frame in dB the two differ by at most 3 dB.
    """
    spoilt = image.copy()
    for k in range(1, math.ceil(image.shape[0] / period)):
        weaker = image[: -k * period] - np.float32(k * decay_db / RANGE_DB)
        np.maximum(spoilt[k * period :], weaker, out=spoilt[k * period :])
    return spoilt


def lost_contrast(image: Image, gain: float, slope: float, gamma: float, haze: float) -> Image:
    """y(z) = haze + gain·(1 − slope·z/H)·x(z)^γ: too narrow a grey scale, the wrong time gain, and clutter over all.

    It stays in [0, 1] when haze + gain ≤ 1 and slope is in [0, 1].
    """
    depth = np.arange(len(image), dtype=np.float32)[:, None] / len(image)
    return _clipped(haze + gain * (1 - slope * depth) * image**gamma)


def known(image: Image) -> Image:
    """max(x, 1/255): 0 then means a hole and nothing else."""
    return np.maximum(image, LEAST)


def lost_lines(image: Image, share: float, widest: int, rng: np.random.Generator) -> Image:
    """0 on runs of 1 to ``widest`` columns until ``share`` of the columns is lost; ``known`` elsewhere."""
    spoilt, width = known(image), image.shape[1]
    lost = np.zeros(width, bool)
    while lost.mean() < share:
        start = int(rng.integers(width))
        lost[start : start + int(rng.integers(1, widest + 1))] = True
    spoilt[:, lost] = 0
    return spoilt


def lost_regions(image: Image, count: int, radius: tuple[float, float], rng: np.random.Generator) -> Image:
    """0 in ``count`` ellipses whose half axes are drawn from ``radius`` in pixels; ``known`` elsewhere."""
    spoilt = known(image)
    for _ in range(count):
        row, column = (int(rng.integers(side)) for side in image.shape)
        axes = tuple(int(round(a)) for a in rng.uniform(*radius, 2))
        cv2.ellipse(spoilt, (column, row), axes, float(rng.uniform(0, 180)), 0, 360, 0.0, -1)
    return spoilt


def _clipped(image: np.ndarray) -> Image:
    return np.clip(image, 0, 1).astype(np.float32, copy=False)
