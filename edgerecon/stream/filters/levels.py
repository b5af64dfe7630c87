"""Filters of grey levels: gain, time gain, grey map, window and adaptive contrast.

Frames are log-compressed: a gain in decibels adds db/range to a level, ``range`` being the dynamic range of the
display.
"""

from __future__ import annotations

import cv2
import numpy as np

from edgerecon.core.frame import Image, to_uint8
from edgerecon.stream.filters.filter import Parameter, Run, StreamFilter

_RANGE = Parameter("range", 60, 10, 200)


def gain(db: float, range: float) -> Run:
    """x + db/range, within [0, 1]."""

    def run(image: Image) -> Image:
        return _clipped(image + np.float32(db / range))

    return run


def time_gain(near: float, far: float, range: float) -> Run:
    """As ``gain``, by decibels that go linearly from the first row to the last."""

    def run(image: Image) -> Image:
        along = np.linspace(near / range, far / range, len(image), dtype=np.float32)
        return _clipped(image + along[:, None])

    return run


def grey_map(gamma: float) -> Run:
    """x ** gamma: below 1 brightens the mid greys, above 1 darkens them."""
    return lambda image: np.asarray(cv2.pow(image, gamma), np.float32)


def window(low: float, high: float) -> Run:
    """(x − low) / (high − low), within [0, 1]; the two change places where low is above high, which inverts."""
    width = high - low
    width = width if abs(width) > 1e-6 else 1e-6

    def run(image: Image) -> Image:
        return _clipped(np.asarray(cv2.addWeighted(image, 1 / width, image, 0.0, -low / width), np.float32))

    return run


def clahe(clip: float, tiles: int) -> Run:
    """Contrast-limited adaptive histogram equalisation (Zuiderveld, Graphics Gems IV, 1994), OpenCV's at 8 bits.

    At 16 bits its histograms take a hundred times as long.

    Args:
        clip: how much steeper than the identity a tile's mapping may get. tiles: across the image, each way.
    """
    mapping = cv2.createCLAHE(clip, (tiles, tiles))

    def run(image: Image) -> Image:
        return mapping.apply(to_uint8(image)) * np.float32(1 / 255)

    return run


def local_levels(radius: int, beta: float) -> Run:
    """Draws pixels that stand out against their window towards the median: what is bright among dark ones, and dark
    among bright ones; the mean stays.

    With m the median of the frame, s the sum of the window's deviations from m on the pixel's own side and o of those
    on the other: x ← m + (1 − beta · max(0, (o − s) / (o + s))) · (x − m). As the adaptive grey map of HoloHub's
    ultrasound post-processing.

    Args:
        radius: of the window, pixels. beta: how strongly.
    """
    side = (2 * radius + 1,) * 2
    memory = np.empty((3, 0, 0), np.float32)

    def run(image: Image) -> Image:
        nonlocal memory
        if memory.shape[1:] != image.shape:
            memory = np.empty((3, *image.shape), np.float32)
        far, share, drawn = memory
        away = image - _median(image)
        np.abs(away, out=far)
        cv2.boxFilter(away, -1, side, dst=share, borderType=cv2.BORDER_REFLECT)
        cv2.boxFilter(far, -1, side, dst=drawn, borderType=cv2.BORDER_REFLECT)
        drawn += np.float32(1e-9)
        cv2.divide(share, drawn, dst=share)
        cv2.multiply(share, far, dst=drawn, scale=beta)
        drawn += away  # towards the median on one side of it, and from it on the other: there the pixel stays
        cv2.copyTo(drawn, cv2.compare(np.abs(drawn, out=share), far, cv2.CMP_LT), away)
        away += np.float32(cv2.mean(image)[0] - cv2.mean(away)[0])
        return _clipped(away)

    return run


def _median(image: Image) -> np.float32:
    """Within 1/8192, by a histogram: sorting takes ten times as long."""
    counts = cv2.calcHist([image], [0], None, [4096], [0, 1 + 1e-6])
    return np.float32((np.searchsorted(np.cumsum(counts), image.size / 2) + 0.5) / 4096)


def _clipped(image: Image) -> Image:
    return np.clip(image, 0.0, 1.0, out=image)


FILTERS = (
    StreamFilter("gain", "brighter or darker by decibels", (Parameter("db", 0, -60, 60), _RANGE), gain),
    StreamFilter(
        "time-gain",
        "decibels from the nearest row to the farthest",
        (Parameter("near", 0, -60, 60), Parameter("far", 0, -60, 60), _RANGE),
        time_gain,
    ),
    StreamFilter("grey-map", "a power of the grey level", (Parameter("gamma", 1, 0.1, 10),), grey_map),
    StreamFilter(
        "window",
        "levels that become black and white",
        (Parameter("low", 0, -1, 2), Parameter("high", 1, -1, 2)),
        window,
    ),
    StreamFilter(
        "clahe",
        "adaptive contrast, limited",
        (Parameter("clip", 2, 0.1, 100), Parameter("tiles", 8, 1, 64, whole=True)),
        clahe,
    ),
    StreamFilter(
        "local-levels",
        "draws what stands out against its window towards the median",
        (Parameter("radius", 5, 1, 50, whole=True), Parameter("beta", 1, 0, 1)),
        local_levels,
    ),
)
