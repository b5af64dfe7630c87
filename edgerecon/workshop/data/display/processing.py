"""What a scanner and a recorder do to a displayed frame: the same linear steps to the shown and to the expected one."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from edgerecon.workshop.data.display.fields import Map, log_uniform


@dataclass(frozen=True)
class PostProcessing:
    """Steps after the grey map.

    Attributes:
        blur: σ in pixels, 0 for none. sharpen: how much of what ``radius`` (σ) blurs away is added.
        gain, offset: of the monitor or the grabber.
    """

    blur: float
    sharpen: float
    radius: float
    gain: float
    offset: float

    def __call__(self, shown: Map) -> Map:
        if self.blur:
            shown = np.asarray(cv2.GaussianBlur(shown, (0, 0), self.blur), np.float32)
        if self.sharpen:
            detail = shown - np.asarray(cv2.GaussianBlur(shown, (0, 0), self.radius), np.float32)
            shown = shown + np.float32(self.sharpen) * detail
        return np.clip(shown * np.float32(self.gain) + np.float32(self.offset), 0, 1)


def random_post_processing(rng: np.random.Generator) -> PostProcessing:
    """Smoothing, edge enhancement and a monitor's settings, each in some of the frames."""
    return PostProcessing(
        rng.uniform(0.3, 1.0) if rng.random() < 0.4 else 0.0,
        rng.uniform(0.2, 1.3) if rng.random() < 0.45 else 0.0,
        rng.uniform(0.7, 2.0),
        rng.uniform(0.45, 1.1) if rng.random() < 0.4 else 1.0,
        rng.uniform(-0.05, 0.12) if rng.random() < 0.25 else 0.0,
    )


def random_zoom(rng: np.random.Generator) -> tuple[float, float]:
    """Vertical and horizontal factor by which a recorder resamples the screen; 1 for most."""
    if rng.random() < 0.6:
        return 1.0, 1.0
    zoom = log_uniform(rng, 0.76, 1.8)
    aspect = rng.uniform(0.9, 1.1) if rng.random() < 0.4 else 1.0
    return max(zoom, 0.76), max(zoom * aspect, 0.76)


def resample(frame: Map, zoom: tuple[float, float]) -> Map:
    """``frame`` at other sides: by area where it shrinks, linearly where it grows."""
    if zoom == (1.0, 1.0):
        return frame
    method = cv2.INTER_AREA if min(zoom) < 1 else cv2.INTER_LINEAR
    return cv2.resize(frame, None, fx=zoom[1], fy=zoom[0], interpolation=method)  # type: ignore[return-value]


@dataclass(frozen=True)
class Coding:
    """Lossy coding: JPEG, or WebP, whose intra coding is a video codec's.

    Attributes:
        jpeg, webp: chance of each; the rest is not coded. jpeg_quality, webp_quality: least and greatest, the latter
            left out.
    """

    jpeg: float = 0.2
    webp: float = 0.13
    jpeg_quality: tuple[int, int] = (45, 96)
    webp_quality: tuple[int, int] = (40, 96)


def coded(rng: np.random.Generator, frame: NDArray[np.uint8], coding: Coding) -> NDArray[np.uint8]:
    """The frame after lossy coding, where chance has it."""
    chance = rng.random()
    if chance < coding.jpeg:
        return _through(".jpg", frame, [cv2.IMWRITE_JPEG_QUALITY, int(rng.integers(*coding.jpeg_quality))])
    if chance < coding.jpeg + coding.webp:
        return _through(".webp", frame, [cv2.IMWRITE_WEBP_QUALITY, int(rng.integers(*coding.webp_quality))])
    return frame


def _through(kind: str, frame: NDArray[np.uint8], options: list[int]) -> NDArray[np.uint8]:
    coded_bytes = cv2.imencode(kind, frame, options)[1]
    return np.asarray(cv2.imdecode(coded_bytes, cv2.IMREAD_GRAYSCALE), np.uint8)
