"""An NVIDIA GPU through PyCUDA: its primary context, buffers on both sides, and transfers between them.

PyCUDA checks every call and its exceptions name the call that failed. It is imported here alone, and only when a GPU is
opened: it is linked to the driver's library.
"""

from __future__ import annotations

import atexit
import ctypes
import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np

from edgerecon.core.errors import DependencyError, EngineError, UsageError
from edgerecon.core.frame import Image

NO_DRIVER = "there is no NVIDIA GPU with a driver on this machine"


@dataclass
class Gpu:
    """One GPU.

    Attributes:
        name: e.g. "NVIDIA H200". compute_capability: e.g. "9.0".
        driver: ``pycuda.driver``.
    """

    name: str
    compute_capability: str
    driver: Any
    context: Any

    @contextmanager
    def current(self) -> Iterator[None]:
        """Make the GPU the one that CUDA calls of this thread go to.

        The context is the primary one, which TensorRT uses too. Whatever was current comes back afterwards.
        """
        self.context.push()
        try:
            yield
        finally:
            self.driver.Context.pop()

    def buffer(self, shape: tuple[int, ...]) -> Buffer:
        """A zeroed float32 buffer on both sides. Wants the GPU to be current, also when it is dropped."""
        host = self.driver.pagelocked_zeros(shape, np.float32)
        return Buffer(host, self.driver.mem_alloc(host.nbytes), self.driver)


@dataclass
class Buffer:
    """Pinned host memory, which the GPU reads and writes by itself, and its twin on the GPU."""

    host: Image
    device: Any
    driver: Any

    @property
    def address(self) -> int:
        """On the GPU."""
        return int(self.device)

    def upload(self, stream: Any) -> None:
        """Queue the copy to the GPU."""
        self.driver.memcpy_htod_async(self.device, self.host, stream)

    def download(self, stream: Any) -> None:
        """Queue the copy from the GPU."""
        self.driver.memcpy_dtoh_async(self.host, self.device, stream)


def open_gpu(device: str | None = None) -> Gpu:
    """The GPU "cuda" (the first, as None) or "cuda:N"; one object for all who ask, until the process ends.

    Raises:
        UsageError: another spelling, or no such GPU. DependencyError: PyCUDA is not installed.
        EngineError: no driver, or no GPU.
    """
    spelt = re.fullmatch(r"cuda(?::(\d+))?", device or "cuda")
    if not spelt:
        raise UsageError(f"an NVIDIA GPU is device 'cuda' or 'cuda:N', not '{device}'")
    return _open(int(spelt[1] or 0))


@lru_cache(maxsize=16)
def _open(index: int) -> Gpu:
    driver = _driver()
    try:
        driver.init()
        count = driver.Device.count()
        if count and index >= count:
            raise UsageError(f"there is no device 'cuda:{index}': the last one is cuda:{count - 1}")
        if not count:
            raise EngineError(NO_DRIVER)
        gpu = driver.Device(index)
        major, minor = gpu.compute_capability()
        context = gpu.retain_primary_context()
    except driver.Error as error:
        raise EngineError(f"{NO_DRIVER} ({error})") from None
    atexit.register(context.detach)  # when it just drops a context, PyCUDA calls cuCtxDetach, even on a primary one
    return Gpu(gpu.name(), f"{major}.{minor}", driver, context)


def _driver() -> Any:
    try:
        ctypes.CDLL("libcuda.so.1")
    except OSError as error:
        raise EngineError(f"{NO_DRIVER} ({error})") from None
    try:
        import pycuda.driver
    except ModuleNotFoundError:
        raise DependencyError("pycuda", "nvidia") from None
    except ImportError as error:
        raise EngineError(f"pycuda does not load, install it again: {error}") from None
    return pycuda.driver
