"""What goes to a page: text messages are JSON; a frame is one binary message.

A frame: uint32 little-endian length of the header, the header as JSON, then the captured and the shown image, 8-bit
grey or RGB, row by row; their shapes in the header say which. Nothing is compressed: the processor that would do it is
the one the model needs.
"""

from __future__ import annotations

import json
import math
import struct
from dataclasses import asdict

import cv2
import numpy as np
from numpy.typing import NDArray

from edgerecon.stream.sinks.base import StreamInfo
from edgerecon.stream.sinks.viewer.latest import Shown

MAX_SIDE = 2048
"""Larger pictures are scaled down for display: no browser window shows more."""

TILE_SIDE = 320
"""The longest side of the pictures in the grid, in pixels."""


def describe(name: str, info: StreamInfo) -> str:
    """The first message to a page: what stands still during a stream."""
    return json.dumps(
        {
            "name": name,
            "source": info.source,
            "model": info.model,
            "backend": info.backend,
            "precision": info.precision,
            "period_ms": info.period_s * 1e3,
            "deadline_ms": info.deadline_ms if math.isfinite(info.deadline_ms) else None,
            "strength": info.controls.strength if info.controls else None,
            "sliders": [asdict(one) for one in info.controls.sliders()] if info.controls else [],
        }
    )


def frame(shown: Shown, counters: dict[str, object]) -> bytes:
    """Both pictures, as they are up to MAX_SIDE."""
    return _pack(shown, counters, _fit(shown.before, MAX_SIDE), _fit(shown.after, MAX_SIDE))


def tile(shown: Shown, counters: dict[str, object]) -> bytes:
    """The shown picture, small, for the grid."""
    return _pack(shown, counters, np.empty((0, 0), np.uint8), _fit(shown.after, TILE_SIDE))


def _pack(shown: Shown, counters: dict[str, object], before: NDArray[np.uint8], after: NDArray[np.uint8]) -> bytes:
    header = {
        "version": shown.version,
        "sequence": shown.sequence,
        "at_ms": shown.at_ms,
        "latency_ms": shown.latency_ms,
        "time_ms": shown.time_ms,
        "late": shown.late,
        "raw": shown.raw,
        "shape": shown.after.shape[:2],
        "spacing_mm": shown.spacing_mm,
        "before": before.shape,
        "after": after.shape,
        "counters": counters,
    }
    text = json.dumps(header).encode()
    return b"".join((struct.pack("<I", len(text)), text, before.data, after.data))


def _fit(image: NDArray[np.uint8], longest: int) -> NDArray[np.uint8]:
    """An image no longer than that on either side."""
    shrink = longest / max(image.shape[:2])
    if shrink >= 1:
        return image
    height, width = (max(1, round(side * shrink)) for side in image.shape[:2])
    return np.asarray(cv2.resize(image, (width, height), interpolation=cv2.INTER_AREA), np.uint8)
