"""Filters of fine detail: median, Gaussian, bilateral, edge enhancement; and persistence over time."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from functools import partial

import cv2
import numpy as np

from edgerecon.core.frame import Image, to_uint8
from edgerecon.stream.filters.filter import Parameter, Run, StreamFilter

_FLOAT_MEDIAN = 5
"""The largest window of OpenCV's median of floats."""


def median(size: int) -> Run:
    """Median of a size×size window, made odd; see ``median_of``."""
    return lambda image: median_of(image, size | 1)


def median_of(image: Image, side: int) -> Image:
    """Median of a window with an odd side; above 5×5 at 8-bit levels, which is all that OpenCV has."""
    if side <= _FLOAT_MEDIAN:
        return np.asarray(cv2.medianBlur(image, side), np.float32)
    return np.asarray(cv2.medianBlur(to_uint8(image), side) / np.float32(255), np.float32)


def gaussian(sigma: float) -> Run:
    """Gaussian of so many pixels; the border is repeated."""
    return lambda image: np.asarray(cv2.GaussianBlur(image, (0, 0), sigma, borderType=cv2.BORDER_REPLICATE), np.float32)


def bilateral(size: int, levels: float, space: float) -> Run:
    """Bilateral filter (Tomasi & Manduchi 1998): window in pixels, spread in grey levels of [0, 1] and in pixels.

    Floats: bytes take OpenCV half as long, but rounding to them is a mean error of 0.001 by itself. OpenCV takes one
    thread for a frame; here each band of rows has its own, with the rows around it that its windows reach."""
    reach, bands = max(1, size // 2), max(1, min(cv2.getNumThreads(), 4))
    threads = ThreadPoolExecutor(bands, thread_name_prefix="bilateral")

    def band(image: Image, top: int, bottom: int) -> Image:
        above = min(reach, top)
        found = cv2.bilateralFilter(image[top - above : bottom + reach], size, levels, space)
        return np.asarray(found[above : above + bottom - top], np.float32)

    def run(image: Image) -> Image:
        rows = np.linspace(0, len(image), (bands if len(image) > 4 * size else 1) + 1, dtype=int)
        return np.concatenate(list(threads.map(partial(band, image), rows[:-1], rows[1:])))

    return run


def edges(amount: float, sigma: float) -> Run:
    """Unsharp masking: x + amount · (x − Gaussian(x)), within [0, 1]."""

    def run(image: Image) -> Image:
        blurred = cv2.GaussianBlur(image, (0, 0), sigma, borderType=cv2.BORDER_REPLICATE)
        sharp = cv2.addWeighted(image, 1 + amount, blurred, -amount, 0.0)
        return np.asarray(np.clip(sharp, 0.0, 1.0, out=sharp), np.float32)

    return run


def persistence(alpha: float) -> Run:
    """Recursive frame averaging: y = alpha · y of the frame before + (1 − alpha) · x. Starts anew on another size."""
    before: list[Image] = []

    def run(image: Image) -> Image:
        if not before or before[0].shape != image.shape:
            before[:] = [image.copy()]
        cv2.addWeighted(before[0], alpha, image, 1 - alpha, 0.0, dst=before[0])
        return before[0].copy()

    return run


_SIGMA = Parameter("sigma", 1, 0.1, 20)
FILTERS = (
    StreamFilter("median", "median of a window", (Parameter("size", 3, 1, 31, whole=True),), median),
    StreamFilter("gaussian", "Gaussian of a width in pixels", (_SIGMA,), gaussian),
    StreamFilter(
        "bilateral",
        "smooths within edges",
        (
            Parameter("size", 5, 1, 31, whole=True),
            Parameter("levels", 0.1, 0.001, 1),
            Parameter("space", 2, 0.1, 20),
        ),
        bilateral,
    ),
    StreamFilter("edges", "edge enhancement by unsharp masking", (Parameter("amount", 0.5, 0, 10), _SIGMA), edges),
    StreamFilter("persistence", "average with the frames before", (Parameter("alpha", 0.5, 0, 0.99),), persistence),
)
