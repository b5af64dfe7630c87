"""Contrast enhancement against scikit-image and the formulas."""

from __future__ import annotations

import numpy as np
import pytest
from skimage import exposure

from edgerecon.core.frame import to_uint8
from edgerecon.quality.filters import contrast
from edgerecon.quality.filters.contrast import CONTRASTS, GRIDS
from edgerecon.quality.filters.tuning import tune
from edgerecon.quality.measures.full_reference import psnr, snr


@pytest.fixture
def faint(rng: np.random.Generator) -> np.ndarray:
    return (0.3 + 0.2 * rng.beta(2, 4, (64, 80))).astype(np.float32)


@pytest.mark.parametrize("name", CONTRASTS)
def test_contrast_rises_and_the_frame_stays_one(faint: np.ndarray, name: str) -> None:
    for parameters in GRIDS[name]:
        found = CONTRASTS[name](faint, **parameters)
        assert found.shape == faint.shape and found.dtype == np.float32
        assert 0 <= found.min() and found.max() <= 1 and found.std() > faint.std()


@pytest.mark.parametrize("percent", [0.0, 2.0])
def test_stretching_is_that_of_scikit_image(faint: np.ndarray, percent: float) -> None:
    limits = tuple(np.percentile(faint, (percent, 100 - percent)))
    expected = exposure.rescale_intensity(faint.astype(np.float64), in_range=limits, out_range=(0, 1))
    np.testing.assert_allclose(contrast.stretching(faint, percent), expected, atol=1e-6)


def test_stretching_leaves_an_image_without_contrast() -> None:
    flat = np.full((20, 20), 0.4, np.float32)
    assert np.array_equal(contrast.stretching(flat, 1.0), flat)


def test_equalisation_is_the_formula(faint: np.ndarray) -> None:
    levels = to_uint8(faint)
    below = np.array([(levels <= level).mean() for level in range(256)])
    least = below[levels.min()]
    expected = (below[levels] - least) / (1 - least)
    np.testing.assert_allclose(contrast.equalisation(faint), expected, atol=0.51 / 255)
    # scikit-image leaves out the subtraction of the least level, which is small here.
    np.testing.assert_allclose(contrast.equalisation(faint), exposure.equalize_hist(levels, 256), atol=0.01)


def test_clahe_of_one_tile_without_limit_is_equalisation(faint: np.ndarray) -> None:
    """But for the least level, whose share OpenCV's does not subtract."""
    found = contrast.clahe(faint, 1e6, 1)
    np.testing.assert_allclose(found, exposure.equalize_hist(to_uint8(faint), 256), atol=0.01)


def test_clahe_limits_noise_and_acts_locally(rng: np.random.Generator) -> None:
    noise = (0.5 + 0.01 * rng.standard_normal((64, 64))).astype(np.float32)
    assert contrast.clahe(noise, 2.0, 2).std() < 0.4 * contrast.equalisation(noise).std()
    two = np.concatenate([noise - 0.4, noise + 0.4], axis=1)
    local, whole = (found[:, :32].std() for found in (contrast.clahe(two, 1e6, 2), contrast.equalisation(two)))
    assert local > 1.2 * whole


def test_tuning_finds_contrast_methods(faint: np.ndarray) -> None:
    wanted = contrast.stretching(faint, 2.0)
    parameters, score = tune("contrast stretching", [(faint, wanted)], psnr)
    assert parameters == {"percent": 2.0} and score == np.inf


def test_snr_is_the_formula(rng: np.random.Generator) -> None:
    target = rng.random((30, 40))
    noisy = target + 0.1 * rng.standard_normal(target.shape)
    decibels = 20 * np.log10(np.linalg.norm(target) / np.linalg.norm(target - noisy))
    assert snr(noisy, target) == pytest.approx(decibels)
    assert snr(target, target) == np.inf and snr(noisy, 0 * target) == -np.inf
