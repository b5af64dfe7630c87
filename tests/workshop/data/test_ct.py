from __future__ import annotations

import math

import numpy as np
import pytest
from skimage.transform import radon

from edgerecon.quality.measures.full_reference import psnr
from edgerecon.workshop.data import ct
from edgerecon.workshop.data.anatomy import subject


@pytest.fixture(scope="module")
def chest() -> np.ndarray:
    return subject(np.random.default_rng(1), "chest", 64, 1)[0]


@pytest.mark.parametrize(("size", "views"), [(64, 20), (47, 7)])
def test_projection_is_scikit_images_radon(size: int, views: int) -> None:
    image = subject(np.random.default_rng(1), "chest", size, 1)[0]
    image *= np.hypot(*np.meshgrid(*[np.arange(size) - size // 2] * 2)) < size // 2
    expected = radon(image.astype(np.float64), ct.Scan(views, 1).angles, circle=True)
    np.testing.assert_allclose(ct.project(image, views), expected, atol=2e-4)


def test_back_projection_is_the_adjoint(rng: np.random.Generator) -> None:
    x, y = rng.standard_normal((40, 40)), rng.standard_normal((40, 9))
    assert np.vdot(ct.project(x, 9), y) == pytest.approx(np.vdot(x, ct.back_project(y)), rel=1e-5)


def test_a_disc_projects_to_its_chords() -> None:
    """p(s) = 2 √(r² − s²), from every side."""
    axis = np.arange(128) - 64
    disc = np.clip(30 - np.hypot(*np.meshgrid(axis, axis)) + 0.5, 0, 1)
    chord = 2 * np.sqrt(np.maximum(30.0**2 - axis**2, 0))
    inner = np.abs(axis) < 25
    for view in ct.project(disc, 6).T:
        np.testing.assert_allclose(view[inner], chord[inner], rtol=0.02)


def test_every_view_holds_the_mass_of_the_slice(chest: np.ndarray) -> None:
    """The slice at frequency 0 of the Fourier slice theorem."""
    np.testing.assert_allclose(ct.project(chest, 15).sum(0), chest.sum(), rtol=1e-3)


def test_photon_noise_has_its_variance(rng: np.random.Generator) -> None:
    """Var p ≈ e^{μp} / (I_0 μ²) for many photons."""
    image = np.zeros((32, 32), np.float32)
    image[8:24, 8:24] = 0.8
    exact, mu = ct.project(image, 4), ct.ATTENUATION / 32
    draws = np.stack([ct.measure(image, ct.Scan(4, 1e5), rng) for _ in range(300)])
    expected = np.exp(mu * exact) / (1e5 * mu**2)
    assert np.mean(draws.var(0) / expected) == pytest.approx(1, abs=0.02)
    np.testing.assert_allclose(draws.mean(0), exact, atol=0.02)


def test_without_photons_it_stays_finite(rng: np.random.Generator, chest: np.ndarray) -> None:
    found = ct.measure(chest, ct.Scan(5, 1.0), rng)
    assert np.isfinite(found).all() and found.max() <= 1e-9 + math.log(10) * 64 / ct.ATTENUATION


def test_more_views_reconstruct_better(chest: np.ndarray) -> None:
    few, many = (ct.filtered_back_projection(ct.project(chest, views)) for views in (12, 90))
    assert psnr(many, chest) > psnr(few, chest) + 3


def test_total_variation_lowers_its_objective_and_the_error(rng: np.random.Generator, chest: np.ndarray) -> None:
    """The objective in float64, written out: FISTA's 20th iterate is far below its start."""
    y, weight = ct.measure(chest, ct.Scan(20, 1e5), rng), 1e-3
    scale = float(np.linalg.norm(ct.back_project(ct.project(chest, 20))) / np.linalg.norm(chest))

    def objective(x: np.ndarray) -> float:
        across, down = np.diff(x, axis=1)[:-1], np.diff(x, axis=0)[:, :-1]
        data = 0.5 * np.sum((ct.project(x, 20) - y) ** 2) / scale
        return float(data + weight * np.sum(np.hypot(across, down)))

    start = ct.filtered_back_projection(y)
    seen: list[float] = []
    found = ct.total_variation(y, start, weight, 20, watch=lambda x: seen.append(objective(x)))
    assert seen[-1] < 0.8 * objective(start.astype(np.float64)) and seen[-1] <= min(seen[:10])
    assert psnr(found, chest) > psnr(start, chest) + 2
