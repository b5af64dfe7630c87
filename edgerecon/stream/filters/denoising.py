"""Filters against noise that keep edges: diffusion, guided, non-local means, and low rank in space and over time."""

from __future__ import annotations

import logging
from collections.abc import Callable

import cv2
import numpy as np

from edgerecon.core.errors import EngineError
from edgerecon.core.frame import Image, to_uint8
from edgerecon.cpu.diffusion import CpuDiffusion
from edgerecon.cpu.frame_filter import CpuFrameFilter
from edgerecon.cpu.library import Library, load_library
from edgerecon.cpu.non_local_means import CpuNonLocalMeans
from edgerecon.stream.filters.filter import Parameter, Run, StreamFilter

_log = logging.getLogger(__name__)
_SPARE, _ROUNDS = 8, 3
"""Directions beyond the rank that are followed, and power iterations on a first frame."""


def diffusion(iterations: int, kappa: float, step: float) -> Run:
    """Diffusion that stops at gradients: Perona & Malik, IEEE Trans. Pattern Anal. Mach. Intell. 12(7), 1990, with the
    conductance exp(−(gradient / kappa)²): our kernels, else OpenCV's arithmetic.

    Args:
        iterations: explicit steps. kappa: gradient in levels a pixel. step: of time, stable up to 0.25.
    """

    def make(library: Library, shape: tuple[int, int]) -> CpuFrameFilter:
        return CpuDiffusion(library, shape, iterations, kappa, step, cv2.getNumThreads())

    return _with_kernels("diffusion", make, lambda: _opencv_diffusion(iterations, kappa, step))


def _opencv_diffusion(iterations: int, kappa: float, step: float) -> Run:
    scale = -1 / kappa**2

    def run(image: Image) -> Image:
        level = image.copy()
        down, right = np.empty_like(level[1:]), np.empty_like(level[:, 1:])
        # Memory that is freed and taken again costs more than the arithmetic: its pages are cleared each time.
        pairs = [
            (down, np.empty_like(down), level[1:], level[:-1]),
            (right, np.empty_like(right), level[:, 1:], level[:, :-1]),
        ]
        for _ in range(iterations):
            for flow, passed, ahead, behind in pairs:
                cv2.subtract(ahead, behind, dst=flow)
                cv2.exp(cv2.multiply(flow, flow, dst=passed, scale=scale), dst=passed)
                cv2.multiply(flow, passed, dst=flow, scale=step)
            level[:-1] += down
            level[1:] -= down
            level[:, :-1] += right
            level[:, 1:] -= right
        return np.clip(level, 0, 1, out=level)

    return run


def guided_by_itself(image: Image, epsilon: float, radius: int) -> Image:
    """See ``guided``."""
    return guided(radius, epsilon)(image)


def guided(radius: int, epsilon: float) -> Run:
    """Guided filter with the image as its own guide: He, Sun & Tang, IEEE Trans. Pattern Anal. 35(6), 2013, eqs. 5, 6.

    In every window the output is a·x + b with a = variance / (variance + epsilon); four box filters in all.

    Args:
        radius: of the window in pixels. epsilon: variance in squared levels below which a window is smoothed.
    """
    memory = np.empty((4, 0, 0), np.float32)

    def mean(x: Image, out: Image) -> Image:
        cv2.boxFilter(x, -1, (2 * radius + 1,) * 2, dst=out, borderType=cv2.BORDER_REFLECT)
        return out

    def run(image: Image) -> Image:
        nonlocal memory
        if memory.shape[1:] != image.shape:
            memory = np.empty((4, *image.shape), np.float32)
        spare, average, variance, gain = memory
        mean(image, average)
        mean(np.multiply(image, image, out=spare), variance)
        variance -= np.multiply(average, average, out=spare)
        np.maximum(variance, 0, out=variance)
        np.divide(variance, np.add(variance, np.float32(epsilon), out=spare), out=gain)
        average -= np.multiply(gain, average, out=spare)
        found = mean(gain, spare) * image
        found += mean(average, variance)
        return np.clip(found, 0, 1, out=found)

    return run


def non_local_means(h: float, patch: int, search: int) -> Run:
    """Non-local means (Buades, Coll & Morel, CVPR 2005): our kernels, else OpenCV's at 8 bits.

    Args:
        h: strength in levels. patch, search: sides of the compared patches and of the window, in pixels, made odd.
    """

    def make(library: Library, shape: tuple[int, int]) -> CpuFrameFilter:
        return CpuNonLocalMeans(library, shape, patch | 1, search | 1, h, cv2.getNumThreads())

    return _with_kernels("non-local-means", make, lambda: _opencv_non_local_means(h, patch | 1, search | 1))


def _with_kernels(
    name: str, make: Callable[[Library, tuple[int, int]], CpuFrameFilter], without: Callable[[], Run]
) -> Run:
    """Of the CPU kernels, made anew for frames of another size; ``without`` them where they are not built."""
    try:
        library = load_library()
    except EngineError as error:
        _log.warning("%s runs on OpenCV, which takes several times as long: %s", name, error)
        return without()
    made: list[CpuFrameFilter] = []

    def run(image: Image) -> Image:
        height, width = image.shape
        if not made or made[0].shape != (height, width):
            made[:] = [make(library, (height, width))]
        return made[0].run(image)

    return run


def _opencv_non_local_means(h: float, patch: int, search: int) -> Run:
    def run(image: Image) -> Image:
        found = cv2.fastNlMeansDenoising(to_uint8(image), None, 255 * h, patch, search)
        return np.asarray(found, np.uint8) * np.float32(1 / 255)

    return run


def low_rank(rank: int) -> Run:
    """The frame's best approximation of a rank, by subspace iteration (Halko, Martinsson & Tropp, SIAM Rev. 53(2),
    2011) that starts from the directions of the frame before: a tenth of what a whole decomposition takes."""
    held: list[Image] = []

    def run(image: Image) -> Image:
        count = min(rank + _SPARE, *image.shape)
        warm = bool(held) and held[0].shape == (image.shape[0], count)
        basis = (
            held[0] if warm else image @ np.random.default_rng(0).standard_normal((image.shape[1], count), np.float32)
        )
        for _ in range(1 if warm else _ROUNDS):
            basis = np.linalg.qr(image @ (image.T @ basis))[0]
        held[:] = [basis]
        small = basis.T @ image
        _, turns = np.linalg.eigh(small @ small.T)
        kept = basis @ turns[:, -min(rank, count) :]
        return np.clip(kept @ (kept.T @ image), 0, 1)

    return run


def temporal_low_rank(history: int, rank: int) -> Run:
    """The newest of some frames, in their best approximation of a rank: what flickers goes. Starts anew on another
    size."""
    frames = np.empty((history, 0), np.float32)
    products = np.empty((history, history), np.float32)
    turn, shape = 0, (0, 0)

    def run(image: Image) -> Image:
        nonlocal frames, turn, shape
        newest, flat = turn % history, image.ravel()
        if image.shape != shape:
            shape, frames = (image.shape[0], image.shape[1]), np.tile(flat, (history, 1))
            products[:] = flat @ flat
        frames[newest] = flat
        products[newest] = products[:, newest] = frames @ flat
        turn += 1
        _, turns = np.linalg.eigh(products)
        kept = turns[:, -min(rank, history) :]
        weights = np.asarray(kept @ kept[newest], np.float32)
        found = weights @ frames
        return np.clip(found, 0, 1, out=found).reshape(shape)

    return run


FILTERS = (
    StreamFilter(
        "diffusion",
        "diffusion that stops at edges",
        (
            Parameter("iterations", 10, 1, 100, whole=True),
            Parameter("kappa", 0.1, 0.001, 1),
            Parameter("step", 0.1, 0.01, 0.25),
        ),
        diffusion,
    ),
    StreamFilter(
        "guided",
        "guided by the frame itself",
        (Parameter("radius", 5, 1, 50, whole=True), Parameter("epsilon", 0.01, 1e-6, 1)),
        guided,
    ),
    StreamFilter(
        "non-local-means",
        "averages patches that look alike",
        (
            Parameter("h", 0.1, 0.001, 1),
            Parameter("patch", 7, 1, 15, whole=True),
            Parameter("search", 23, 3, 51, whole=True),
        ),
        non_local_means,
    ),
    StreamFilter("low-rank", "the frame's strongest patterns", (Parameter("rank", 32, 1, 512, whole=True),), low_rank),
    StreamFilter(
        "temporal-low-rank",
        "what the last frames have in common",
        (Parameter("history", 5, 2, 32, whole=True), Parameter("rank", 3, 1, 32, whole=True)),
        temporal_low_rank,
    ),
)
