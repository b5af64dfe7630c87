"""Real frames to try a network on: of the cine that ships, or of the user's own recording."""

from __future__ import annotations

from functools import cache
from pathlib import Path

import cv2
import numpy as np

from edgerecon.core.errors import DataError
from edgerecon.core.frame import Image, to_unit
from edgerecon.stream.sources.still_frames import read_frames

FRAMES = 2
_LOOKED_AT = 64
"""Captures of a recording among which the frames are chosen."""
_SPREAD = 0.02
"""Standard deviation of a frame that shows something."""


def trial_frames(data: Path | None = None) -> list[Image]:
    """Evenly spread frames with something on them, float32 (H, W) in [0, 1].

    Args:
        data: a recording, an image or a folder of images; None: the built-in cine.

    Raises:
        SourceError: it cannot be read. DataError: its frames are all of one grey level.
    """
    images = _sample() if data is None else _images(str(data))
    telling = [image for image in images if float(image.std()) > _SPREAD]
    if not telling:
        raise DataError(f"{data or 'the built-in cine'} shows one grey level: give --data with pictures on it")
    return [telling[at] for at in np.unique(np.linspace(0, len(telling) - 1, FRAMES).astype(int))]


@cache
def _sample() -> list[Image]:
    """The built-in cine, which takes longer to decode than a small network to adopt."""
    return _images("sample")


def _images(source: str) -> list[Image]:
    return list(map(to_unit, read_frames(source, _LOOKED_AT)))


def centre_crop(frame: Image, size: tuple[int, int]) -> Image:
    """The middle of a frame at a size; a smaller frame is enlarged first."""
    rows, columns = size
    factor = max(rows / frame.shape[0], columns / frame.shape[1])
    if factor > 1:
        wanted = (max(columns, round(frame.shape[1] * factor)), max(rows, round(frame.shape[0] * factor)))
        frame = np.asarray(cv2.resize(frame, wanted, interpolation=cv2.INTER_LINEAR), np.float32)
    top, left = (frame.shape[0] - rows) // 2, (frame.shape[1] - columns) // 2
    return np.ascontiguousarray(frame[top : top + rows, left : left + columns])
