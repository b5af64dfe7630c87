"""Speckle measures against closed forms."""

from __future__ import annotations

from math import erf, sqrt

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edgerecon.quality.measures.speckle import cnr, edge_preservation, fwhm, gcnr, laplacian_of_gaussian, speckle_snr


def test_rayleigh_speckle_has_the_textbook_snr(rng) -> None:
    assert speckle_snr(rng.rayleigh(size=(400, 400))) == pytest.approx(sqrt(np.pi / (4 - np.pi)), rel=0.01)
    assert speckle_snr(np.ones((4, 4))) == np.inf


def test_cnr(rng) -> None:
    assert cnr(rng.normal(1, 3, 200_000), rng.normal(6, 4, 200_000)) == pytest.approx(1, abs=0.01)
    assert cnr([1, 1], [1, 1]) == 0
    assert cnr([1, 1], [2, 2]) == np.inf


@pytest.mark.parametrize("distance", [0.0, 0.5, 1.0, 2.0, 4.0])
def test_gcnr_of_two_gaussians_is_one_minus_their_overlap(rng, distance: float) -> None:
    a, b = rng.normal(0, 1, 1_000_000), rng.normal(distance, 1, 1_000_000)
    overlap = 1 - erf(distance / 2 / sqrt(2))
    assert gcnr(a, b) == pytest.approx(1 - overlap, abs=0.01)


def test_gcnr_is_blind_to_monotone_grey_levels() -> None:
    a, b = np.array([1.0, 2.0, 3.0]), np.array([3.0, 4.0, 5.0])
    assert gcnr(a, b) == pytest.approx(2 / 3)
    assert gcnr(a**2, b**2) == pytest.approx(2 / 3)


@given(seed=st.integers(0, 999), shift=st.floats(-2, 2))
@settings(max_examples=30, deadline=None)
def test_gcnr_is_symmetric_and_bounded(seed: int, shift: float) -> None:
    rng = np.random.default_rng(seed)
    a, b = rng.random(300), rng.random(200) + shift
    assert 0 <= gcnr(a, b) <= 1
    assert gcnr(a, b) == pytest.approx(gcnr(b, a))


def test_gcnr_edge_cases() -> None:
    assert gcnr([0.5], [0.5]) == 0
    assert gcnr([0.0], [1.0]) == 1
    # Beyond the limits everything falls into the outer bins.
    assert gcnr([-3.0, 0.0], [0.0, -1.0], limits=(0.0, 1.0)) == 0


def test_laplacian_of_gaussian_finds_the_curvature() -> None:
    x = np.arange(64, dtype=np.float32)
    parabola = np.tile((x - 32) ** 2 / 2, (64, 1))
    np.testing.assert_allclose(laplacian_of_gaussian(parabola)[20:44, 20:44], 1, atol=1e-2)


def test_edge_preservation(rng) -> None:
    image = rng.random((80, 90)).astype(np.float32)
    blurred = cv2.GaussianBlur(image, (0, 0), 2)
    assert edge_preservation(image, image) == pytest.approx(1)
    assert edge_preservation(0.3 * image + 0.2, image) == pytest.approx(1, abs=1e-5)
    assert edge_preservation(1 - image, image) == pytest.approx(-1, abs=1e-5)
    assert 0.3 < edge_preservation(blurred, image) < 1
    assert edge_preservation(np.zeros_like(image), image) == 0
    assert edge_preservation(image, image, np.zeros(image.shape, bool)) == 0


def test_edge_preservation_counts_only_the_mask(rng) -> None:
    image = rng.random((80, 90)).astype(np.float32)
    other = image.copy()
    other[:, 60:] = 0
    mask = np.zeros(image.shape, bool)
    mask[:, :40] = True
    assert edge_preservation(other, image, mask) == pytest.approx(1)
    assert edge_preservation(other, image) < 0.95


@given(width=st.floats(3, 12), centre=st.floats(45, 55), spacing=st.floats(0.05, 2))
@settings(max_examples=50, deadline=None)
def test_fwhm_of_a_gaussian_is_2_355_sigma(width: float, centre: float, spacing: float) -> None:
    x = np.arange(101)
    sigma = width / 2.3548200450309493
    profile = np.exp(-((x - centre) ** 2) / (2 * sigma**2))
    # The sampled maximum lies up to half a pixel beside the true one, which widens a narrow peak.
    assert fwhm(profile, spacing) == pytest.approx(width * spacing, rel=0.02 + 0.7 / width**2)


def test_fwhm_of_a_triangle_is_exact_and_of_nothing_is_nan() -> None:
    assert fwhm([0, 1, 2, 3, 4, 3, 2, 1, 0]) == 4
    assert fwhm([0, 0, 1, 0, 0], spacing=0.5) == 0.5
    assert np.isnan(fwhm([]))
    assert np.isnan(fwhm([0.0, 0.0]))
    assert np.isnan(fwhm([1.0, 2.0, 3.0, 4.0]))
