"""Launches kernels/cuda/das.cu: delay-and-sum of IQ, one thread a pixel."""

from __future__ import annotations

import ctypes
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from edgerecon.cuda.kernels.load import Module

Array = NDArray[np.floating]

BLOCK = 256


class Geometry(Protocol):
    """What the kernel needs of ``edgerecon.cpu.das.Job``, which describes it."""

    @property
    def x(self) -> Array: ...
    @property
    def element_x(self) -> Array: ...
    @property
    def element_z(self) -> Array: ...
    @property
    def element_sine(self) -> Array: ...
    @property
    def element_cosine(self) -> Array: ...
    @property
    def element_lens(self) -> Array: ...
    @property
    def transmit(self) -> Array: ...
    @property
    def samples(self) -> int: ...
    @property
    def cycles(self) -> float: ...
    @property
    def slope(self) -> float: ...
    @property
    def level(self) -> float: ...
    @property
    def swing(self) -> float: ...
    @property
    def flat(self) -> float: ...


class DelayAndSum:
    """One geometry; all arrays lie on the GPU, addressed by numbers.

    Args:
        job: of IQ, by delay-and-sum.
    """

    def __init__(self, module: Module, job: Geometry) -> None:
        self._function, self._job = module.function("das_iq"), job

    @property
    def elements(self) -> np.ndarray:
        """What lies at ``elements`` of ``run``: x, z, sine, cosine and lens, (5, N) float32."""
        job = self._job
        facts = [job.element_x, job.element_z, job.element_sine, job.element_cosine, job.element_lens]
        return np.stack(facts).astype(np.float32)

    def run(
        self,
        rows: int,
        x: int,
        z: int,
        elements: int,
        transmit: int,
        turns: int,
        out: int,
        *,
        scale: float,
        stream: int,
    ) -> None:
        """From samples to a picture.

        Args:
            rows: (waves, N, margins and samples, 2) int16. x, z: (H, W) float32, as all that follow.
            transmit: (waves, H, W). turns: (waves,). elements: see there. out: (H, W) complex64. scale: from 16 bits.
        """
        job, pixels = self._job, self._job.x.size
        pointers = [ctypes.c_void_p(address) for address in (rows, x, z, elements, transmit, turns)]
        counts = [ctypes.c_int(one) for one in (pixels, job.element_x.size, len(job.transmit), job.samples)]
        reals = (job.cycles, job.slope, job.level, job.swing, job.flat, scale)
        arguments = [*pointers, *counts, *(ctypes.c_float(one) for one in reals), ctypes.c_void_p(out)]
        shape = (
            f"{job.x.shape[0]}×{job.x.shape[1]} pixels, {job.element_x.size} elements, {len(job.transmit)} transmits"
        )
        self._function.launch((-(-pixels // BLOCK), 1, 1), (BLOCK, 1, 1), arguments, stream, shape)
