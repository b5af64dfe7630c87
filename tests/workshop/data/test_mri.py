from __future__ import annotations

import numpy as np
import pytest

from edgerecon.quality.measures.full_reference import psnr
from edgerecon.workshop.data import mri
from edgerecon.workshop.data.anatomy import subject
from edgerecon.workshop.data.proximal import total_variation_prox


@pytest.fixture(scope="module")
def brain() -> np.ndarray:
    return subject(np.random.default_rng(1), "brain", 64, 1)[0]


def _mask(size: int, keep: int) -> np.ndarray:
    mask = np.zeros(size, bool)
    mask[size // 2 - keep // 2 : size // 2 + keep // 2] = True
    return mask


@pytest.mark.parametrize("shape", [(16, 16), (15, 18)])
def test_the_transform_is_unitary(rng: np.random.Generator, shape: tuple[int, int]) -> None:
    x, y = (rng.standard_normal(shape) + 1j * rng.standard_normal(shape) for _ in range(2))
    assert np.linalg.norm(mri.fourier(x)) == pytest.approx(np.linalg.norm(x))
    assert np.vdot(y, mri.fourier(x)) == pytest.approx(np.vdot(mri.inverse_fourier(y), x))
    np.testing.assert_allclose(mri.inverse_fourier(mri.fourier(x)), x, atol=1e-12)


def test_zero_frequency_lies_in_the_middle() -> None:
    found = mri.fourier(np.ones((8, 8)))
    assert found[4, 4] == pytest.approx(8) and np.abs(found).sum() == pytest.approx(8)


def test_measuring_everything_gives_the_slice_back(rng: np.random.Generator, brain: np.ndarray) -> None:
    np.testing.assert_allclose(mri.zero_filled(mri.measure(brain, np.ones(64, bool), 0, rng)), brain, atol=1e-6)


def test_only_chosen_lines_are_measured_with_noise_of_its_size(rng: np.random.Generator) -> None:
    mask = _mask(64, 16)
    found = mri.measure(np.zeros((64, 64)), mask, 0.02, rng)
    assert not found[:, ~mask].any()
    assert np.sqrt(np.mean(np.abs(found[:, mask]) ** 2)) == pytest.approx(0.02, rel=0.08)


def test_the_phase_leaves_no_symmetry_and_the_magnitude_as_it_is(rng: np.random.Generator, brain: np.ndarray) -> None:
    turned = mri.with_phase(brain, rng)
    np.testing.assert_allclose(np.abs(turned), brain, atol=1e-6)
    k_space = mri.fourier(turned)[1:, 1:]
    assert np.linalg.norm(k_space - k_space[::-1, ::-1].conj()) > 0.1 * np.linalg.norm(k_space)


def test_compressed_sensing_lowers_its_objective_and_the_error(rng: np.random.Generator, brain: np.ndarray) -> None:
    mask = _mask(64, 12) | (rng.random(64) < 0.3)
    y, weight = mri.measure(brain, mask, 0.005, rng), 3e-3

    def objective(z: np.ndarray) -> float:
        tv = sum(
            np.sum(np.hypot(np.diff(part, axis=1)[:-1], np.diff(part, axis=0)[:, :-1])) for part in (z.real, z.imag)
        )
        return float(0.5 * np.sum(np.abs(mask * mri.fourier(z) - y) ** 2) + weight * tv)

    seen: list[float] = []
    found = mri.compressed_sensing(y, mask, weight, 25, watch=lambda z: seen.append(objective(z)))
    assert seen[-1] < 0.9 * objective(mri.inverse_fourier(y)) and seen[-1] < seen[0]
    assert psnr(found, brain) > psnr(mri.zero_filled(y), brain) + 1


def test_data_consistency_keeps_what_was_measured(rng: np.random.Generator, brain: np.ndarray) -> None:
    """The true slice stays true; a spoilt one comes closer, since the measured lines are put back."""
    mask = _mask(64, 32)
    y = mri.measure(brain, mask, 0, rng)
    spoilt = np.clip(brain + rng.normal(0, 0.1, brain.shape), 0, 1)
    assert psnr(mri.data_consistent(spoilt, y, mask), brain) > psnr(spoilt, brain) + 1
    np.testing.assert_allclose(
        mri.data_consistent(spoilt, mri.measure(brain, np.ones(64, bool), 0, rng), np.ones(64, bool)), brain, atol=1e-6
    )


def test_the_proximal_map_is_the_least_of_its_objective(rng: np.random.Generator) -> None:
    """No small change of the result, and neither input nor mean, has a lower objective (float64)."""
    image, weight = rng.random((12, 12)), 0.1

    def objective(u: np.ndarray) -> float:
        across, down = np.zeros_like(u), np.zeros_like(u)
        across[:, :-1], down[:-1] = np.diff(u, axis=1), np.diff(u, axis=0)
        return float(0.5 * np.sum((u - image) ** 2) + weight * np.sum(np.hypot(across, down)))

    found = total_variation_prox(image, weight)
    least = objective(found)
    others = [
        image,
        np.full_like(image, image.mean()),
        *(found + 0.05 * rng.standard_normal(image.shape) for _ in range(20)),
    ]
    assert all(least < objective(other) for other in others)
    complex_one = total_variation_prox(image + 2j * image, weight)
    np.testing.assert_allclose(complex_one.real, found)
    np.testing.assert_allclose(complex_one.imag, total_variation_prox(2 * image, weight))
