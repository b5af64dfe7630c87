"""The parts of bench/gpu_kernels.py that need no GPU."""

from __future__ import annotations

import sys

import numpy as np
import pytest
import torch

from bench import gpu_kernels, kernel_rivals, kernel_timing, network_rivals
from edgerecon.core.errors import EngineError
from edgerecon.cuda.kernels.ssim import Images
from edgerecon.workshop.train.ssim_kernel import ssim_reference


@pytest.mark.parametrize("border", ["same", "valid"])
def test_the_truth_of_ssim_is_autograds(rng: np.random.Generator, border: str) -> None:
    a, b = (rng.random((2, 20, 23)) for _ in range(2))
    x = torch.tensor(a[:, None], requires_grad=True)
    found = ssim_reference(x, torch.tensor(b[:, None]), border)
    flow = rng.standard_normal(found[:, 0].shape)
    found.backward(torch.tensor(flow[:, None]))
    value, gradient = kernel_timing.ssim_truth(a, b, border, flow)
    assert x.grad is not None
    assert np.allclose(value, found.detach().numpy()[:, 0]) and np.allclose(gradient, x.grad.numpy()[:, 0])


def test_floors_and_rotation() -> None:
    assert gpu_kernels.ssim_bytes(Images((1, 1, 100, 200), False, "same")) == (20 * 20_000, 24 * 20_000)
    assert gpu_kernels.ssim_bytes(Images((1, 1, 100, 200), True, "valid")) == (
        4 * 20_000 + 12 * 90 * 190,
        6 * 20_000 + 12 * 90 * 190,
    )
    assert kernel_timing.sets_beyond(50_000_000, 1_000_000) == 100 and kernel_timing.sets_beyond(1, 1_000_000) == 2
    assert not kernel_timing.relative(np.array([np.nan, 1.0]), np.ones(2)) <= 1
    assert kernel_timing.Timing("a", "b", 6.0, 3.0).to_json()["ratio"] == 2.0


def test_without_a_gpu_it_says_so(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    def none() -> None:
        raise EngineError("there is no NVIDIA GPU")

    monkeypatch.setattr(gpu_kernels, "open_gpu", none)
    monkeypatch.setattr(sys, "argv", ["gpu_kernels.py", "--check"])
    assert gpu_kernels.main() == 1
    assert capsys.readouterr().err == "bench/gpu_kernels.py: there is no NVIDIA GPU\n"


def test_a_rival_that_is_not_there_is_named() -> None:
    (row,) = kernel_rivals.ssim_rivals([(1, 1, 16, 16)])
    assert row["status"].startswith("not compared with fused-ssim: ")


def test_rivals_of_the_networks_that_are_not_there_are_named() -> None:
    rows = list(network_rivals.network_rivals())
    assert all(
        "NVIDIA GPU" in row["status"] or "not installed" in row["status"] or "no GPU" in row["status"] for row in rows
    )
