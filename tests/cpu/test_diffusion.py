"""Diffusion of the CPU kernels against its formula in float64."""

from __future__ import annotations

import numpy as np
import pytest

from edgerecon.core.errors import EngineError
from edgerecon.core.frame import Image
from edgerecon.cpu.diffusion import CpuDiffusion
from edgerecon.cpu.library import Library


def frame(shape: tuple[int, int]) -> Image:
    return np.random.default_rng(0).random(shape, np.float32)


def formula(image: Image, iterations: int, kappa: float, step: float) -> np.ndarray:
    level = image.astype(float)
    for _ in range(iterations):
        padded = np.pad(level, 1, mode="edge")
        sides = (padded[:-2, 1:-1], padded[2:, 1:-1], padded[1:-1, :-2], padded[1:-1, 2:])
        level = level + step * sum((side - level) * np.exp(-(((side - level) / kappa) ** 2)) for side in sides)
    return np.clip(level, 0, 1)


@pytest.mark.parametrize("shape", [(1, 1), (1, 70), (70, 1), (40, 48), (130, 17)])
@pytest.mark.parametrize(
    ("iterations", "kappa", "step"), [(1, 0.1, 0.1), (10, 0.1, 0.25), (4, 0.001, 0.1), (3, 1.0, 0.2)]
)
def test_pictures_are_those_of_the_formula(
    library: Library, shape: tuple[int, int], iterations: int, kappa: float, step: float
) -> None:
    image = frame(shape)
    expected = formula(image, iterations, kappa, step)
    for name in library.instruction_sets():
        for threads in (1, 3):
            found = CpuDiffusion(library, shape, iterations, kappa, step, threads, name).run(image)
            assert np.abs(found - expected).max() < 3e-6


def test_frames_do_not_depend_on_those_before(library: Library) -> None:
    run = CpuDiffusion(library, (40, 48), 5, 0.1, 0.1, 2).run
    first = run(frame((40, 48)))
    run(np.full((40, 48), np.nan, np.float32))
    assert np.array_equal(run(frame((40, 48))), first)


def test_what_cannot_be_filtered_is_said(library: Library) -> None:
    with pytest.raises(EngineError, match="kappa and the step are above 0"):
        CpuDiffusion(library, (8, 8), 1, 0.0, 0.1, 1)
    with pytest.raises(EngineError, match="frames of 8×8"):
        CpuDiffusion(library, (8, 8), 1, 0.1, 0.1, 1).run(frame((9, 8)))
