"""What is launched for SSIM, on a stand-in for the GPU whose kernels are NumPy."""

from __future__ import annotations

import ctypes
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from edgerecon.core.errors import EngineError, UsageError
from edgerecon.cuda import driver as cuda_driver
from edgerecon.cuda.kernels.load import Module
from edgerecon.cuda.kernels.ssim import Images, Ssim, strip
from edgerecon.cuda.kernels.store import Stored
from edgerecon.quality.measures.full_reference import ssim, ssim_map
from tests.support import fake_gpu


def read(pointers: Any, *kinds: Any) -> list[Any]:
    return [ctypes.cast(pointer, ctypes.POINTER(kind))[0] for pointer, kind in zip(pointers, kinds, strict=True)]


@pytest.fixture
def fake(monkeypatch: pytest.MonkeyPatch) -> Iterator[fake_gpu.FakeGpu]:
    made = fake_gpu.FakeGpu(capability="9.0")

    def forward(grid: tuple[int, ...], block: tuple[int, ...], pointers: Any, shared: int) -> None:
        integers, addresses = [ctypes.c_int] * 4, [ctypes.c_void_p] * 5
        height, width, border, rows, a, b, windows, derivatives, totals = read(pointers, *integers, *addresses)
        assert block == (128, 1, 1) and border == 0 and windows is None and derivatives is None
        images = [made.memory[address].reshape(height, width) for address in (a, b)]
        assert grid == (-(-(width - 10) // 128), -(-(height - 10) // rows), 1)
        made.memory[totals][:] = 0
        made.memory[totals][0] = ssim_map(*images).sum()

    def mean(grid: tuple[int, ...], block: tuple[int, ...], pointers: Any, shared: int) -> None:
        totals, count, factor, means = read(pointers, ctypes.c_void_p, ctypes.c_int, ctypes.c_double, ctypes.c_void_p)
        assert grid == (1, 1, 1) and block == (256, 1, 1) and len(made.memory[totals]) == count
        made.memory[means][0] = factor * made.memory[totals].sum()

    nothing = lambda grid, block, pointers, shared: None  # noqa: E731
    made.kernels = {
        "ssim_forward_f32": forward,
        "ssim_mean": mean,
        "ssim_forward_f16": nothing,
        "ssim_backward_f32": nothing,
        "ssim_backward_f16": nothing,
    }
    monkeypatch.setattr(cuda_driver, "_library", made.library)
    yield made
    assert not made.memory and not made.modules and not made.stack, "something was left on the GPU"


def mean_ssim(fake: fake_gpu.FakeGpu, a: np.ndarray, b: np.ndarray) -> float:
    """As a trainer launches it: the sums of the blocks, then their mean."""
    images, gpu = Images((1, 1, *a.shape), False, "valid"), fake.gpu
    with gpu.current():
        module = Module(Stored("ssim", b"code", "13.0.88", Path("ssim")))
        kernels, stream = Ssim(module), gpu.driver.Stream()
        buffers = [gpu.buffer(size) for size in (a.shape, b.shape, (kernels.totals(images),), (1,))]
        for index, pixels in enumerate((a, b)):  # no buffer is held by a name of its own: it would outlive the GPU
            buffers[index].host[...] = pixels
            buffers[index].upload(stream)
        first, second, totals, mean = (buffer.address for buffer in buffers)
        try:
            kernels.forward(images, first, second, totals=totals, stream=stream.handle)
            kernels.mean(images, totals, mean, stream=stream.handle)
            buffers[-1].download(stream)
            return float(buffers[-1].host[0])
        finally:
            buffers.clear()
            module.close()


def test_the_launches_give_the_metric_of_a_pair(fake: fake_gpu.FakeGpu, rng: np.random.Generator) -> None:
    a, b = (rng.random((40, 300)) for _ in range(2))
    assert mean_ssim(fake, a, b) == pytest.approx(ssim(a, b), abs=1e-5)
    fake.failing["cuLaunchKernel"] = 700
    with pytest.raises(EngineError, match="1×1×40×300 float32, valid borders: cuLaunchKernel failed"):
        mean_ssim(fake, a, b)
    with pytest.raises(UsageError, match="at least 11×11"):
        Images((1, 1, 40, 10), False, "valid")


def test_strips_are_tall_on_large_batches_only() -> None:
    assert strip((4096, 4096), 1, 132) == (128, (32, 32, 1))
    assert strip((512, 512), 1, 132) == (16, (4, 32, 1))
    assert strip((1, 1), 1, 132) == (16, (1, 1, 1))
    rows, grid = strip((4_000_000, 1), 1, 4)
    assert rows * grid[1] >= 4_000_000 and grid[1] <= 65_535
    with pytest.raises(UsageError, match="65535 planes"):
        Images((70_000, 1, 16, 16), False, "same")
