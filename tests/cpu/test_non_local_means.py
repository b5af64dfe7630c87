"""Non-local means against its formula in float64 and against scikit-image."""

from __future__ import annotations

import numpy as np
import pytest
from skimage.restoration import denoise_nl_means

from edgerecon.core.errors import EngineError
from edgerecon.core.frame import Image
from edgerecon.cpu.library import Library
from edgerecon.cpu.non_local_means import CpuNonLocalMeans

LEVEL = 1 / 255


def frame(height: int, width: int) -> Image:
    rng = np.random.default_rng(0)
    waves = np.sin(np.arange(height)[:, None] / 9) * np.sin(np.arange(width)[None] / 11)
    return np.clip(0.5 + 0.3 * waves + 0.08 * rng.standard_normal((height, width)), 0, 1).astype(np.float32)


def formula(image: Image, patch: int, search: int, h: float) -> np.ndarray:
    """Every pixel of every window, in float64; the border is mirrored."""
    reach, half = search // 2, patch // 2
    height, width = image.shape
    padded = np.pad(image.astype(float), reach + half, mode="reflect")
    here = padded[reach : reach + height + 2 * half, reach : reach + width + 2 * half]
    total, weights = np.zeros(image.shape), np.zeros(image.shape)
    for down, right in np.ndindex(search, search):
        there = padded[down : down + here.shape[0], right : right + here.shape[1]]
        patches = np.lib.stride_tricks.sliding_window_view((there - here) ** 2, (patch, patch))
        weight = np.exp(-patches.mean((2, 3)) / h**2)
        total += weight * there[half : half + height, half : half + width]
        weights += weight
    return total / weights


@pytest.mark.parametrize(
    ("shape", "patch", "search", "h", "levels"),
    [
        ((40, 52), 7, 23, 0.1, 0.2),
        ((33, 31), 5, 11, 0.05, 2),  # all weights are small there: what is nothing beyond exp(−8) counts
        ((30, 37), 1, 3, 0.02, 0.2),
        ((24, 24), 15, 9, 1.0, 0.2),
        ((20, 20), 9, 5, 0.002, 0.2),  # levels are doubled: more than 16 bits
    ],
)
def test_pictures_are_those_of_the_formula(
    library: Library, shape: tuple[int, int], patch: int, search: int, h: float, levels: float
) -> None:
    image = frame(*shape)
    found = CpuNonLocalMeans(library, shape, patch, search, h, 1).run(image)
    assert np.abs(found - formula(image, patch, search, h)).max() < levels * LEVEL


def test_pictures_are_those_of_scikit_image(library: Library) -> None:
    """It gives a patch's middle more weight and keeps its window within the frame."""
    image = frame(40, 48)
    expected = denoise_nl_means(image, patch_size=7, patch_distance=5, h=0.1, fast_mode=False)
    found = CpuNonLocalMeans(library, image.shape, 7, 11, 0.1, 1).run(image)
    assert np.abs(found - expected).mean() < 2 * LEVEL


@pytest.mark.parametrize("shape", [(1, 1), (1, 70), (70, 1), (3, 5), (130, 17)])
def test_sets_and_threads_give_the_same_bits(library: Library, shape: tuple[int, int]) -> None:
    image = frame(*shape)
    first, *others = (
        CpuNonLocalMeans(library, shape, 7, 9, 0.1, threads, name).run(image)
        for name in library.instruction_sets()
        for threads in (1, 3)
    )
    assert others and all(np.array_equal(first, one) for one in others)


def test_impossible_values_are_clipped(library: Library) -> None:
    image = np.array([[np.nan, np.inf, -np.inf, 2, -1]], np.float32)
    found = CpuNonLocalMeans(library, (1, 5), 3, 3, 0.1, 1).run(image)
    assert np.all((found >= 0) & (found <= 1))


def test_what_cannot_be_filtered_is_said(library: Library) -> None:
    with pytest.raises(EngineError, match="sides of patch and window are odd"):
        CpuNonLocalMeans(library, (8, 8), 4, 5, 0.1, 1)
    with pytest.raises(EngineError, match="frames of 8×8"):
        CpuNonLocalMeans(library, (8, 8), 3, 5, 0.1, 1).run(frame(9, 8))
