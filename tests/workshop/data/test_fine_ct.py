"""The finer scanner against line integrals in closed form, and against the coarse one where they must agree."""

from __future__ import annotations

import numpy as np
import pytest

from edgerecon.workshop.data import ct, fine_ct

SIZE, VIEWS = 64, 12
ANGLES = ct.Scan(VIEWS, 1.0).angles


def positions(size: int, finer: int) -> tuple[np.ndarray, np.ndarray]:
    """x and y of every pixel, in coarse pixels from the axis of rotation."""
    axis = (np.arange(size * finer) - (finer - 1) / 2) / finer - size // 2
    x, y = np.meshgrid(axis, axis)
    return x, y


def blob(size: int, finer: int, at: tuple[float, float], width: float) -> np.ndarray:
    x, y = positions(size, finer)
    return np.exp(-((x - at[0]) ** 2 + (y - at[1]) ** 2) / (2 * width**2))


def test_a_blob_is_projected_as_its_integral_says() -> None:
    """Of a Gaussian: another one, √(2π)·w high, at x cos θ + y·(−sin θ)… on the detector."""
    at, width = (9.0, -5.0), 4.0
    found = fine_ct.project(blob(SIZE, fine_ct.FINER, at, width), ANGLES)
    detector = np.arange(SIZE) - SIZE // 2
    for view, angle in enumerate(np.deg2rad(ANGLES)):
        centre = at[0] * np.cos(angle) - at[1] * np.sin(angle)
        expected = np.sqrt(2 * np.pi) * width * np.exp(-((detector - centre) ** 2) / (2 * width**2))
        np.testing.assert_allclose(found[:, view], expected, atol=0.02 * width)


def test_a_disc_is_projected_as_its_chords() -> None:
    radius = 20.0
    x, y = positions(SIZE, fine_ct.FINER)
    found = fine_ct.project((np.hypot(x, y) < radius).astype(np.float32), ANGLES)
    inside = np.abs(np.arange(SIZE) - SIZE // 2) < radius - 2
    chords = 2 * np.sqrt(radius**2 - (np.arange(SIZE) - SIZE // 2)[inside] ** 2)
    assert np.abs(found[inside] - chords[:, None]).mean() < 0.25


def test_both_scanners_agree_on_what_is_smooth() -> None:
    fine = blob(SIZE, fine_ct.FINER, (-7.0, 11.0), 5.0)
    coarse = fine_ct.coarse(fine)
    np.testing.assert_allclose(coarse, blob(SIZE, 1, (-7.0, 11.0), 5.0), atol=0.01)
    np.testing.assert_allclose(fine_ct.project(fine, ANGLES), ct.project(coarse, VIEWS), atol=0.1)


def test_photons_make_the_noise_that_they_must() -> None:
    """Var y ≈ e^{μp} / (I₀ μ²), the variance of the logarithm of a Poisson count."""
    fine, scan = blob(32, fine_ct.FINER, (0.0, 0.0), 6.0), ct.Scan(2, 4e4)
    draws = np.stack([fine_ct.measure(fine, scan, np.random.default_rng(index)) for index in range(200)])
    p, mu = fine_ct.project(fine, scan.angles), ct.ATTENUATION / 32
    assert np.mean(draws.var(axis=0) * mu**2 * scan.photons / np.exp(mu * p)) == pytest.approx(1, rel=0.05)
    assert np.abs(draws.mean(axis=0) - p).max() < 0.3


def test_iterations_come_closer() -> None:
    fine = blob(32, fine_ct.FINER, (3.0, -4.0), 5.0)
    sinogram = fine_ct.project(fine, ct.Scan(16, 1.0).angles)
    errors = [np.mean((fine_ct.sart(sinogram, 0.15, count) - fine_ct.coarse(fine)) ** 2) for count in (1, 4)]
    assert errors[1] < errors[0] < 0.01
