"""SSIM as operators of torch, where there is no GPU: the formula, its gradients, and what is refused."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from edgerecon.core.errors import UsageError
from edgerecon.quality.measures.full_reference import ssim_map as metric_map
from edgerecon.workshop.train.ssim import SSIM
from edgerecon.workshop.train.ssim_kernel import ssim_map, ssim_mean

BORDERS = ("valid", "same")


def pair(shape: tuple[int, ...], dtype: torch.dtype, seed: int = 0) -> tuple[torch.Tensor, torch.Tensor]:
    random = torch.Generator().manual_seed(seed)
    a, b = (torch.rand(shape, generator=random, dtype=torch.float64).to(dtype) for _ in range(2))
    return a.requires_grad_(), b.requires_grad_()


@pytest.mark.parametrize("border", BORDERS)
def test_gradients_of_both_images_in_float64(border: str) -> None:
    a, b = pair((2, 2, 12, 13), torch.float64)
    for operator in (ssim_map, ssim_mean):
        assert torch.autograd.gradcheck(lambda x, y, f=operator: f(x, y, border), (a, b), fast_mode=True)


def test_it_is_the_metric_and_the_loss_of_the_toolkit() -> None:
    a, b = pair((3, 1, 25, 31), torch.float32)
    found = ssim_map(a, b).detach().numpy()
    for index in range(3):
        plain = metric_map(a[index, 0].detach().numpy(), b[index, 0].detach().numpy())
        assert np.abs(found[index, 0] - plain).max() < 1e-5
    assert torch.allclose(ssim_mean(a, b), SSIM()(a, b), atol=1e-6)
    ssim_mean(a, b).sum().backward()
    ours, a.grad = a.grad, None
    SSIM()(a, b).sum().backward()
    assert ours is not None and a.grad is not None and torch.allclose(ours, a.grad, atol=1e-7)


def test_half_images_have_gradients_of_their_type() -> None:
    a, b = pair((1, 1, 16, 16), torch.float16)
    found = ssim_mean(a, b, "same")
    found.sum().backward()
    assert found.dtype == torch.float32 and a.grad is not None and a.grad.dtype == torch.float16
    assert bool(a.grad.isfinite().all()) and float(a.grad.abs().max()) > 0


@pytest.mark.parametrize("border", BORDERS)
def test_what_torch_demands_of_an_operator(border: str) -> None:
    a, b = pair((1, 2, 12, 14), torch.float32)
    checks = ("test_schema", "test_autograd_registration", "test_faketensor")
    for operator in (torch.ops.edgerecon.ssim_map.default, torch.ops.edgerecon.ssim_mean.default):
        torch.library.opcheck(operator, (a, b, border, True), test_utils=checks)


def test_what_is_refused() -> None:
    a = torch.rand(1, 1, 16, 16)
    for wrong in (a[0], a[..., :15], a.double()):
        with pytest.raises(UsageError, match=r"two \(N, C, H, W\) tensors of one shape, type and device"):
            ssim_mean(a, wrong)
    with pytest.raises(UsageError, match="not torch.int64"):
        ssim_mean(a.long(), a.long())
    with pytest.raises(UsageError, match="contiguous"):
        ssim_map(a.transpose(2, 3), a)
    with pytest.raises(UsageError, match="'same' and 'valid', not 'full'"):
        ssim_map(a, a, "full")  # type: ignore[arg-type]
    with pytest.raises(UsageError, match="at least 11×11"):
        ssim_map(a[..., :10].contiguous(), a[..., :10].contiguous())
    with pytest.raises(UsageError, match="at least one pixel"):
        ssim_map(a[:0], a[:0], "same")
