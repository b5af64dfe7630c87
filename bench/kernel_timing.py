"""How kernels are timed and checked on a GPU: CUDA-graph replay over more data than L2 holds, and float64 truth."""

from __future__ import annotations

import ctypes
import math
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from edgerecon.cuda.graph import Graph
from edgerecon.cuda.memory import Gpu

REPLAYS = 31
_LAUNCHES = 24
"""Of a graph at least, so that the events' half microsecond does not count."""


@dataclass(frozen=True)
class Timing:
    """One measured kernel. ``us``: median of a launch; ``floor_us``: bytes over the measured copy bandwidth."""

    kernel: str
    shape: str
    us: float
    floor_us: float

    def to_json(self) -> dict[str, Any]:
        """With the ratio to the floor."""
        return asdict(self) | {"ratio": self.us / self.floor_us}

    def __str__(self) -> str:
        return f"{self.kernel:28} {self.shape:24} {self.us:9.2f} µs  {self.us / self.floor_us:6.2f} × floor"


def relative(found: np.ndarray, expected: np.ndarray) -> float:
    """‖found − expected‖ / ‖expected‖ in float64; NaN where anything was not written."""
    expected = expected.astype(np.float64)
    return float(np.linalg.norm(found.astype(np.float64) - expected) / max(float(np.linalg.norm(expected)), 1e-30))


def sets_beyond(l2: int, bytes_a_set: int) -> int:
    """How many sets of data are together more than twice what L2 holds."""
    return max(2, math.ceil(2 * l2 / bytes_a_set))


class Bench:
    """A GPU that is current, and a stream of it."""

    def __init__(self, gpu: Gpu) -> None:
        self.driver = gpu.driver
        self.stream = gpu.driver.Stream()
        device = gpu.driver.Context.get_device()
        self.l2 = int(device.get_attribute(gpu.driver.device_attribute.L2_CACHE_SIZE))

    def upload(self, array: np.ndarray) -> Any:
        """A copy on the GPU."""
        return self.driver.to_device(np.ascontiguousarray(array))

    def poisoned(self, size: int) -> Any:
        """So many bytes, all 0xFF: NaN as a float."""
        memory = self.driver.mem_alloc(size)
        self.driver.memset_d8(memory, 0xFF, size)
        return memory

    def download(self, memory: Any, shape: Sequence[int], dtype: Any = np.float32) -> np.ndarray:
        """What is in a piece of memory, once the stream has done everything."""
        self.stream.synchronize()
        host = np.empty(shape, dtype)
        self.driver.memcpy_dtoh(host, memory)
        return host

    def median_us(self, launches: Sequence[Callable[[], None]]) -> float:
        """Median time of one launch: all of them in one graph, each on its own data, replayed."""
        turns = list(launches) * math.ceil(_LAUNCHES / len(launches))

        def queue() -> None:
            for launch in turns:
                launch()

        graph = Graph(self.stream.handle, queue)
        start, end = self.driver.Event(), self.driver.Event()
        times = []
        for _ in range(REPLAYS + 3):
            start.record(self.stream)
            graph.launch()
            end.record(self.stream)
            self.stream.synchronize()
            times.append(1000 * float(start.time_till(end)) / len(turns))
        graph.close()
        return float(np.median(times[3:]))

    def copy_bandwidth(self) -> float:
        """Bytes a microsecond, read and written ones, of a copy from the GPU to itself."""
        size = 1 << 29
        source, target = self.poisoned(size), self.poisoned(size)
        return 2 * size / self.median_us([lambda: self.driver.memcpy_dtod_async(target, source, size, self.stream)])


def address(memory: Any) -> int:
    """Of a piece of memory on the GPU."""
    return ctypes.c_void_p(int(memory)).value or 0


# SSIM in float64, without torch.


def _filtered(x: np.ndarray, pad: int) -> np.ndarray:
    offsets = np.arange(11) - 5.0
    taps = np.exp(-(offsets**2) / (2 * 1.5**2))
    taps /= taps.sum()
    x = np.pad(x.astype(np.float64), [(0, 0), (pad, pad), (pad, pad)])
    rows, columns = x.shape[1] - 10, x.shape[2] - 10
    down = sum(tap * x[:, index : index + rows] for index, tap in enumerate(taps))
    return np.asarray(sum(tap * down[:, :, index : index + columns] for index, tap in enumerate(taps)))


def ssim_truth(a: np.ndarray, b: np.ndarray, border: str, flow: np.ndarray | None = None) -> tuple[Any, Any]:
    """Map of planes (N, H, W) and the gradient of a when ``flow`` (1) flows into the map."""
    pad = 5 if border == "same" else 0
    a, b = a.astype(np.float64), b.astype(np.float64)
    mean_a, mean_b, aa, bb, ab = (_filtered(x, pad) for x in (a, b, a * a, b * b, a * b))
    a1, a2 = 2 * mean_a * mean_b + 1e-4, 2 * (ab - mean_a * mean_b) + 9e-4
    b1, b2 = mean_a**2 + mean_b**2 + 1e-4, aa + bb - mean_a**2 - mean_b**2 + 9e-4
    value = a1 * a2 / (b1 * b2)
    g = np.ones_like(value) if flow is None else flow.astype(np.float64)
    by_mean = 2 * mean_b * (a2 - a1) / (b1 * b2) - 2 * mean_a * value * (1 / b1 - 1 / b2)
    first, second, third = (_filtered(g * by, 10 - pad) for by in (by_mean, -value / b2, 2 * a1 / (b1 * b2)))
    return value, first + 2 * a * second + b * third
