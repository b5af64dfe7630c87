from __future__ import annotations

import numpy as np
import pytest
import torch
from skimage.metrics import peak_signal_noise_ratio, structural_similarity

from edgerecon.workshop.train.ssim import SSIM
from edgerecon.workshop.train.validate import psnr


def _pair(rng: np.random.Generator, shape: tuple[int, int]) -> tuple[np.ndarray, np.ndarray]:
    a = rng.random(shape, dtype=np.float32)
    return a, np.clip(0.7 * a + 0.3 * rng.random(shape, dtype=np.float32), 0, 1)


@pytest.mark.parametrize("shape", [(11, 11), (32, 47), (128, 64)])
def test_ssim_is_that_of_skimage(shape: tuple[int, int], rng: np.random.Generator) -> None:
    pairs = [_pair(rng, shape) for _ in range(3)]
    a, b = (torch.from_numpy(np.stack(part))[:, None] for part in zip(*pairs, strict=True))
    expected = [
        structural_similarity(x, y, gaussian_weights=True, sigma=1.5, use_sample_covariance=False, data_range=1.0)
        for x, y in pairs
    ]
    np.testing.assert_allclose(SSIM()(a, b), expected, atol=2e-5)


def test_the_gradient_is_right(rng: np.random.Generator) -> None:
    a, b = (torch.from_numpy(part)[None, None] for part in _pair(rng, (14, 13)))
    similarity = SSIM()
    a.requires_grad_()
    similarity(a, b).sum().backward()
    assert a.grad is not None
    for row, column in ((0, 0), (7, 5), (13, 12)):
        step = torch.zeros_like(a)
        step[0, 0, row, column] = 3e-3
        slope = (similarity(a + step, b) - similarity(a - step, b)).item() / 6e-3
        assert slope == pytest.approx(a.grad[0, 0, row, column].item(), rel=0.05, abs=2e-5)


def test_ssim_stays_in_float32_under_autocast(rng: np.random.Generator) -> None:
    a, b = (torch.from_numpy(part)[None, None] for part in _pair(rng, (32, 32)))
    with torch.autocast("cpu", dtype=torch.bfloat16):
        assert torch.equal(SSIM()(a, b), SSIM()(a, b)) and SSIM()(a, b).dtype == torch.float32
        assert float(SSIM()(a, a)) == pytest.approx(1, abs=1e-6)


def test_psnr_against_skimage_counts_a_wrong_brightness(rng: np.random.Generator) -> None:
    a, b = _pair(rng, (40, 30))
    for image in (a, 0.4 * a + 0.3):
        found = psnr(torch.from_numpy(image)[None, None], torch.from_numpy(b)[None, None])
        assert float(found) == pytest.approx(peak_signal_noise_ratio(b, image, data_range=1.0), abs=1e-3)
