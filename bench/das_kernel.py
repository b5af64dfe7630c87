"""das.cu on the GPU that is here: against the CPU's formulas, and its time at mach's published geometry.

mach's benchmark (github.com/Forest-Neurotech/mach): PyMUST's rotating disk, 63 001 pixels, 128 elements, 32 frames;
here one frame a launch. Samples lie on the GPU: transfers are the rows ``… + transfers``.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from bench.beamformer import CARRIER, RATE, SAMPLES, WIDE_OPEN, acquisition, grid
from bench.kernel_timing import Bench, Timing, address, relative
from edgerecon.beamform.fallback import NumpyBeamformer
from edgerecon.beamform.job import make_job
from edgerecon.cpu.das import MARGIN, Job
from edgerecon.cuda.kernels.das import DelayAndSum
from edgerecon.cuda.kernels.load import load

LIMIT = 1e-3
"""−60 dB."""


def das_job(edge: int = 251) -> Job:
    made = acquisition(iq=True)
    return make_job(made, made.transmits, grid(edge), WIDE_OPEN, SAMPLES, RATE, CARRIER, "das")


def uploaded(bench: Bench, kernel: DelayAndSum, job: Job) -> tuple[np.ndarray, list[Any]]:
    """Random rows, and everything the kernel reads on the GPU, then its output."""
    shape = (len(job.transmit), job.element_x.size, job.samples + 2 * MARGIN, 2)
    rows = np.random.default_rng().integers(-20000, 20000, shape).astype(np.int16)
    rows[:, :, :MARGIN] = rows[:, :, -MARGIN:] = 0
    single = [np.asarray(one, np.float32) for one in (job.x, job.z, kernel.elements, job.transmit, job.turns)]
    return rows, [bench.upload(rows), *(bench.upload(one) for one in single), bench.poisoned(8 * job.x.size)]


def check_das(bench: Bench) -> Iterator[tuple[str, float, float]]:
    """Against NumPy in float32, which the tests hold to float64."""
    module, job = load("das"), das_job(64)
    kernel = DelayAndSum(module, job)
    rows, memory = uploaded(bench, kernel, job)
    kernel.run(*(address(one) for one in memory), scale=1.0, stream=bench.stream.handle)
    module.wait(bench.stream)
    reference, expected = NumpyBeamformer(job), np.empty(job.shape, np.complex64)
    held = reference.rows()
    held[..., : rows.shape[2]] = rows[..., 0] + 1j * rows[..., 1]
    reference.run(held, 1.0, expected)
    found = bench.download(memory[-1], job.shape, np.complex64)
    yield "das 64×64", relative(found.view(np.float32), expected.view(np.float32)), LIMIT


def time_das(bench: Bench, bandwidth: float) -> Iterator[Timing]:
    """The kernel alone, and with its samples' way there and the picture's way back."""
    job = das_job()
    kernel, stream = DelayAndSum(load("das"), job), bench.stream.handle
    rows, memory = uploaded(bench, kernel, job)
    addresses = [address(one) for one in memory]
    moved = rows.nbytes + 8 * job.x.size
    us = bench.median_us([lambda: kernel.run(*addresses, scale=1.0, stream=stream)])
    shape = f"{job.shape[0]}×{job.shape[1]}×{job.element_x.size}"
    yield Timing("das", shape, us, moved / bandwidth)
    driver = bench.driver
    there, back = driver.pagelocked_zeros(rows.shape, rows.dtype), driver.pagelocked_zeros(job.shape, np.complex64)
    np.copyto(there, rows)

    def with_transfers() -> None:
        driver.memcpy_htod_async(memory[0], there, bench.stream)
        kernel.run(*addresses, scale=1.0, stream=stream)
        driver.memcpy_dtoh_async(back, memory[-1], bench.stream)

    yield Timing("das + transfers", shape, bench.median_us([with_transfers]), moved / bandwidth)
