"""Full-reference measures against scikit-image and torchmetrics."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from skimage.metrics import peak_signal_noise_ratio, structural_similarity

from edgerecon.quality.measures.full_reference import match_gain_offset, mse, psnr, ssim, ssim_map, vif


def images(seed: int, shape: tuple[int, int] = (90, 73)) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    target = cv2.GaussianBlur(rng.random(shape), (0, 0), 3)
    target = (target - target.min()) / np.ptp(target)
    return np.clip(target + 0.1 * rng.standard_normal(shape), 0, 1), target


@given(seed=st.integers(0, 999), height=st.integers(11, 60), width=st.integers(11, 60))
@settings(max_examples=25, deadline=None)
def test_psnr_and_ssim_equal_scikit_image(seed: int, height: int, width: int) -> None:
    image, target = images(seed, (height, width))
    expected, full = structural_similarity(
        image, target, gaussian_weights=True, sigma=1.5, use_sample_covariance=False, data_range=1, full=True
    )
    assert ssim(image, target) == pytest.approx(expected, abs=1e-6)
    np.testing.assert_allclose(ssim_map(image, target), full[5:-5, 5:-5], atol=1e-6)
    assert psnr(image, target) == pytest.approx(peak_signal_noise_ratio(target, image, data_range=1), abs=1e-9)


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_vif_equals_torchmetrics(seed: int) -> None:
    torch = pytest.importorskip("torch")
    visual = pytest.importorskip("torchmetrics.functional.image")
    image, target = images(seed)
    tensors = [torch.tensor(x * 255)[None, None] for x in (image, target)]
    assert vif(image, target) == pytest.approx(float(visual.visual_information_fidelity(*tensors)), abs=1e-6)


def test_equal_images_are_perfect() -> None:
    _, target = images(0)
    assert mse(target, target) == 0
    assert psnr(target, target) == np.inf
    assert ssim(target, target) == pytest.approx(1)
    assert vif(target, target) == pytest.approx(1)


@given(gain=st.floats(0.1, 5), offset=st.floats(-1, 1), seed=st.integers(0, 99))
@settings(max_examples=25, deadline=None)
def test_gain_and_offset_are_undone(gain: float, offset: float, seed: int) -> None:
    _, target = images(seed)
    np.testing.assert_allclose(match_gain_offset((target - offset) / gain, target), target, atol=1e-9)


def test_matching_is_least_squares() -> None:
    image, target = images(5)
    gain, offset = np.polyfit(image.ravel(), target.ravel(), 1)
    np.testing.assert_allclose(match_gain_offset(image, target), gain * image + offset, atol=1e-10)


def test_matching_a_constant_gives_the_mean() -> None:
    _, target = images(5)
    np.testing.assert_allclose(match_gain_offset(np.full_like(target, 0.3), target), target.mean())


def test_matching_uses_only_the_mask() -> None:
    image, target = images(6)
    mask = np.zeros(image.shape, bool)
    mask[:40] = True
    broken = target.copy()
    broken[40:] = 9
    np.testing.assert_allclose(match_gain_offset(2 * target, broken, mask)[:40], target[:40], atol=1e-9)


@pytest.mark.parametrize("measure", [mse, psnr, ssim, vif])
def test_unusable_images_are_refused(measure) -> None:
    with pytest.raises(ValueError):
        measure(np.zeros((50, 50)), np.zeros((50, 51)))
    with pytest.raises(ValueError):
        measure(np.zeros((0, 4)), np.zeros((0, 4)))


def test_small_images_are_refused() -> None:
    with pytest.raises(ValueError, match="11"):
        ssim(np.zeros((10, 50)), np.zeros((10, 50)))
    with pytest.raises(ValueError, match="41"):
        vif(np.zeros((40, 50)), np.zeros((40, 50)))
    assert vif(*images(1, (41, 41))) > 0
