"""The arithmetic of ssim.cu, run block by block on the CPU, against the plain formula in float64."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pytest
import torch

from edgerecon.quality.measures.full_reference import ssim_map
from edgerecon.workshop.train.ssim_kernel import ssim_reference
from tests.cuda.conftest import HostRun

COLUMNS = 128


@dataclass(frozen=True)
class Run:
    map: np.ndarray
    derivatives: np.ndarray
    mean: float
    gradient: np.ndarray


def run(on_host: HostRun, a: np.ndarray, b: np.ndarray, same: bool, rows: int, flow: np.ndarray | None = None) -> Run:
    planes, height, width = a.shape
    size = (height, width) if same else (height - 10, width - 10)
    kind = {"float16": "f16", "float32": "f32"}[str(a.dtype)]
    arguments = [planes, height, width, 5 if same else 0, rows, kind]
    flat = on_host("ssim", arguments, [a, b, np.empty(0, np.float32) if flow is None else flow])
    count, strips = planes * size[0] * size[1], planes * -(-size[0] // rows) * -(-size[1] // COLUMNS)
    assert len(flat) == 4 * count + strips + a.size and flat.min() > -1e29  # everything was written
    windows, derivatives, totals, gradient = np.split(flat, np.cumsum([count, 3 * count, strips]))
    shape = (planes, *size)
    return Run(
        windows.reshape(shape),
        derivatives.reshape(3, *shape),
        totals.sum(dtype=np.float64) / count,
        gradient.reshape(a.shape),
    )


def truth(a: np.ndarray, b: np.ndarray, same: bool, flow: np.ndarray | None) -> tuple[np.ndarray, np.ndarray]:
    x = torch.tensor(a.astype(np.float64)[:, None], requires_grad=True)
    found = ssim_reference(x, torch.tensor(b.astype(np.float64)[:, None]), "same" if same else "valid")
    found.backward(torch.ones_like(found) if flow is None else torch.tensor(flow.astype(np.float64)[:, None]))
    assert x.grad is not None
    return found.detach().numpy()[:, 0], x.grad.numpy()[:, 0]


def relative(found: np.ndarray, expected: np.ndarray) -> float:
    return float(np.linalg.norm(found - expected) / np.linalg.norm(expected))


@pytest.mark.parametrize("same", [False, True])
@pytest.mark.parametrize(
    ("shape", "rows"),
    [((1, 11, 11), 16), ((2, 12, 127), 4), ((1, 33, 138), 16), ((1, 31, 139), 7), ((3, 17, 128), 5), ((1, 16, 271), 1)],
)
def test_map_mean_and_gradient(
    on_host: HostRun, rng: np.random.Generator, shape: tuple[int, int, int], rows: int, same: bool
) -> None:
    a, b = (rng.random(shape, dtype=np.float32) for _ in range(2))
    size = shape if same else (shape[0], shape[1] - 10, shape[2] - 10)
    flow = rng.standard_normal(size).astype(np.float32)
    found = run(on_host, a, b, same, rows, flow)
    expected, gradient = truth(a, b, same, flow)
    assert relative(found.map, expected) < 5e-6 and abs(found.mean - expected.mean()) < 1e-6
    assert relative(found.gradient, gradient) < 1e-5


@pytest.mark.parametrize("shape", [(2, 1, 1), (1, 1, 129), (1, 9, 2), (1, 10, 10)])
def test_images_smaller_than_the_window(
    on_host: HostRun, rng: np.random.Generator, shape: tuple[int, int, int]
) -> None:
    a, b = (rng.random(shape, dtype=np.float32) for _ in range(2))
    found = run(on_host, a, b, True, 8)
    expected, gradient = truth(a, b, True, None)
    assert relative(found.map, expected) < 5e-6 and relative(found.gradient, gradient) < 1e-5


def test_fp16_images_are_read_exactly(on_host: HostRun, rng: np.random.Generator) -> None:
    a, b = (rng.random((1, 20, 40)).astype(np.float16) for _ in range(2))
    a[0, 0, :4] = [0, 6e-8, 1, -0.5]  # zero, subnormal, one, negative
    found = run(on_host, a, b, True, 8)
    expected, gradient = truth(a, b, True, None)
    assert relative(found.map, expected) < 5e-6 and relative(found.gradient, gradient) < 1e-5


@pytest.mark.parametrize(("first", "second"), [(1.0, 1.0), (0.0, 0.0), (0.0, 1.0), (1.0, 0.0)])
def test_flat_images(on_host: HostRun, first: float, second: float) -> None:
    a, b = (np.full((1, 24, 24), value, np.float32) for value in (first, second))
    found = run(on_host, a, b, False, 32)
    expected, gradient = truth(a, b, False, None)
    # Variances that are nothing but rounding, 1e-7, against C₂ = 9e-4.
    assert np.abs(found.map - expected).max() < 5e-4 and np.abs(found.gradient - gradient).max() < 2e-3
    assert np.isfinite(found.derivatives).all()


def test_equal_images_and_the_toolkits_own_metric(on_host: HostRun, rng: np.random.Generator) -> None:
    a, b = (rng.random((1, 40, 50), dtype=np.float32) for _ in range(2))
    same = run(on_host, a, a, False, 16)
    assert np.abs(same.map - 1).max() < 1e-5 and np.abs(same.gradient).max() < 1e-4
    assert relative(run(on_host, a, b, False, 16).map[0], ssim_map(a[0], b[0])) < 5e-6


def test_gradient_by_the_strips_does_not_depend_on_their_height(on_host: HostRun, rng: np.random.Generator) -> None:
    a, b = (rng.random((1, 45, 140), dtype=np.float32) for _ in range(2))
    first, second = (run(on_host, a, b, True, rows) for rows in (3, 64))
    assert np.array_equal(first.map, second.map) and np.array_equal(first.gradient, second.gradient)
