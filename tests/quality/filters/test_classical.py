"""Classical filters: they smooth speckle, keep edges better than a blur, and tuning finds the best strength."""

from __future__ import annotations

import sys

import cv2
import numpy as np
import pytest

from edgerecon.core.errors import DependencyError
from edgerecon.quality.filters import classical
from edgerecon.quality.filters.classical import srad
from edgerecon.quality.filters.filter import filters
from edgerecon.quality.filters.tuning import matched_psnr, tune
from edgerecon.quality.measures.full_reference import psnr


def speckled(rng: np.random.Generator, size: int = 96) -> tuple[np.ndarray, np.ndarray]:
    """A log-compressed (40 dB) Rayleigh image of a two-level object, and its level."""
    target = np.full((size, size), 0.5, np.float32)
    target[:, size // 2 :] = 0.8
    field = rng.standard_normal((2, size, size)).astype(np.float32)
    field = np.stack([cv2.GaussianBlur(part, (0, 0), 1.0) for part in field])
    envelope = np.hypot(*field) / np.sqrt((np.hypot(*field) ** 2).mean())
    return np.clip(target + 20 * np.log10(envelope + 1e-3) / 40, 0, 1).astype(np.float32), target


@pytest.mark.parametrize("name", filters())
def test_filters_smooth_and_keep_shape_type_and_range(rng, name: str) -> None:
    image, target = speckled(rng)
    strong = filters()[name].grid[-2]
    output = filters()[name].run(image, **strong)
    assert output.shape == image.shape and output.dtype == np.float32
    assert 0 <= output.min() and output.max() <= 1
    assert matched_psnr(output, target) > matched_psnr(image, target) + 1
    np.testing.assert_array_equal(filters()[name].run(image, **strong), output)


@pytest.mark.parametrize("name", filters())
@pytest.mark.parametrize("value", [0.0, 0.5, 1.0])
def test_constant_images_pass_unchanged(name: str, value: float) -> None:
    image = np.full((40, 50), value, np.float32)
    np.testing.assert_allclose(filters()[name].run(image, **filters()[name].grid[0]), image, atol=2.1e-3)


def test_srad_keeps_an_edge_that_an_equal_blur_destroys(rng) -> None:
    image, _ = speckled(rng)
    filtered = srad(image, iterations=100)
    # A Gaussian that leaves the same deviation in the homogeneous left half.
    sigmas = np.linspace(0.5, 8, 40)
    blurs = [cv2.GaussianBlur(image, (0, 0), s) for s in sigmas]
    inside = np.s_[16:80, 8:32]
    equal = min(blurs, key=lambda b: abs(b[inside].std() - filtered[inside].std()))

    def slope(x: np.ndarray) -> float:
        return float(np.abs(np.diff(x.mean(axis=0)))[40:56].max())

    assert slope(filtered) > 1.2 * slope(equal)


def test_srad_diffuses_more_with_more_iterations(rng) -> None:
    image, _ = speckled(rng)
    deviations = [srad(image, iterations=n)[16:80, 8:32].std() for n in (0, 10, 40, 160)]
    assert deviations == sorted(deviations, reverse=True)
    np.testing.assert_allclose(srad(image, iterations=0), image, atol=1e-5)


def test_srad_without_gradient_threshold_is_the_heat_equation() -> None:
    """On an image whose coefficient of variation is below q0 nearly everywhere the diffusion is isotropic."""
    x = np.linspace(0, 1, 64, dtype=np.float32)
    ramp = np.tile(0.4 + 0.2 * x, (64, 1))
    np.testing.assert_allclose(srad(ramp, iterations=5)[8:-8, 8:-8], ramp[8:-8, 8:-8], atol=2e-3)


def test_tuning_finds_the_strength_that_suits_the_noise(rng) -> None:
    target = np.tile(np.repeat([0.2, 0.8], 32), (64, 1)).astype(np.float32)
    for noise, weights in ((0.02, (0.0, 0.12)), (0.3, (0.2, 1.0))):
        pairs = [
            (np.clip(target + noise * rng.standard_normal(target.shape), 0, 1).astype(np.float32), target)
            for _ in range(2)
        ]
        parameters, score = tune("total variation", pairs)
        assert weights[0] < parameters["weight"] < weights[1]
        for other in filters()["total variation"].grid:
            scores = [matched_psnr(classical.total_variation(image, **other), target) for image, target in pairs]
            assert score >= np.mean(scores) - 1e-9


def test_tuning_takes_any_score(rng) -> None:
    image, target = speckled(rng)
    parameters, score = tune("median", [(image, target)], score=lambda output, target: -float(output.std()))
    assert parameters == {"size": 11}
    assert score < 0


def test_matched_psnr_ignores_gain_and_offset(rng) -> None:
    image, target = speckled(rng)
    assert matched_psnr(0.5 * image + 0.1, target) == pytest.approx(matched_psnr(image, target))
    assert matched_psnr(image, target) >= psnr(image, target)


@pytest.mark.parametrize("name", ["non-local means", "total variation"])
def test_without_scikit_image_the_extra_is_named(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    monkeypatch.setitem(sys.modules, "skimage", None)
    with pytest.raises(DependencyError, match=r"edgerecon\[bench\]"):
        filters()[name].run(np.zeros((20, 20), np.float32), **filters()[name].grid[0])
