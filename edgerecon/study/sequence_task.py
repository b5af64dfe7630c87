"""The task of the recurrent study: sequences of frames with noise and missing data, and the frames as they were."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch
from numpy.typing import NDArray

from edgerecon.workshop.train.steps import Batch

NOISE = (0.01, 0.04)
"""Standard deviation of the noise of a sequence, grey levels in [0, 1]."""
LINES = 0.12
"""Share of the scan lines (columns) that a frame lacks."""
BLOCKS, SIDES = 4.0, (8, 24)
"""Rectangles that a frame of 128×128 lacks, on the average, and their sides in pixels."""

Frames = NDArray[np.float32]


def degrade(frames: Frames, rng: np.random.Generator) -> tuple[Frames, NDArray[np.bool_]]:
    """Add noise, then lose scan lines and rectangles, other ones in every frame.

    Args:
        frames: (T, H, W) in [0, 1].

    Returns:
        The degraded frames in [0, 1], 0 where data is missing; and where that is.
    """
    noise = rng.standard_normal(frames.shape, dtype=np.float32) * np.float32(rng.uniform(*NOISE))
    missing = np.stack([_missing(rng, *frames.shape[1:]) for _ in frames])
    return np.where(missing, np.float32(0), np.clip(frames + noise, 0, 1)), missing


def _missing(rng: np.random.Generator, height: int, width: int) -> NDArray[np.bool_]:
    missing = np.repeat(rng.random((1, width)) < LINES, height, axis=0)
    for _ in range(rng.poisson(BLOCKS * height * width / 128**2)):
        tall, wide = rng.integers(*SIDES, 2)
        row, column = rng.integers(-tall + 1, height), rng.integers(-wide + 1, width)
        missing[max(row, 0) : row + tall, max(column, 0) : column + wide] = True
    return missing


def draw_from(
    sequences: NDArray[np.uint8], count: int, frames: int, crop: int
) -> Callable[[np.random.Generator], Batch]:
    """Batches of (degraded, whole), count×frames×crop×crop, cut, mirrored and turned in time at random.

    Args:
        sequences: (S, T, H, W), T ≥ frames.
    """

    def draw(rng: np.random.Generator) -> Batch:
        pairs = [_example(rng) for _ in range(count)]
        return tuple(torch.from_numpy(np.stack(part)) for part in zip(*pairs, strict=True))

    def _example(rng: np.random.Generator) -> tuple[Frames, Frames]:
        whole = sequences[rng.integers(len(sequences))]
        start, row, column = (
            rng.integers(side - size + 1) for side, size in zip(whole.shape, (frames, crop, crop), strict=True)
        )
        whole = whole[start : start + frames, row : row + crop, column : column + crop]
        whole = whole[:: rng.choice((1, -1)), :, :: rng.choice((1, -1))].astype(np.float32) / 255
        return degrade(whole, rng)[0], whole

    return draw
