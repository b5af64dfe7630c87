"""Small videos, made for a test."""

from __future__ import annotations

import struct
from pathlib import Path
from typing import Any

import av
import numpy as np

SHAPE = (48, 64)


def pattern(count: int, shape: tuple[int, int] = SHAPE) -> np.ndarray:
    """Smooth frames (T, H, W) that tell left from right, top from bottom, and one from the next."""
    y, x = np.mgrid[: shape[0], : shape[1]]
    return np.array([(60 + x + y + 3 * n) % 256 * 0.6 + 40 for n in range(count)]).astype(np.uint8)


def write(
    path: Path, frames: np.ndarray, times: list[int] | None = None, codec: str = "libx264", **settings: Any
) -> Path:
    """Grey frames at 25 a second, or at ``times`` in steps of 40 ms; black at 16 and white at 235, as yuv420p is.

    ``settings``: pix_fmt, options (of the encoder), container (options of the muxer), gop.
    """
    with av.open(str(path), "w", options=settings.get("container", {})) as container:
        out = container.add_stream(codec, rate=25, options=settings.get("options", {}))
        out.height, out.width = frames.shape[1:3]
        out.pix_fmt = settings.get("pix_fmt", "yuv420p")
        if "gop" in settings:
            out.codec_context.gop_size = settings["gop"]
        for index, frame in enumerate(frames):
            given = av.VideoFrame.from_ndarray(frame, format="rgb24" if frame.ndim == 3 else "gray")
            given.pts = times[index] if times else index
            container.mux(out.encode(given))
        container.mux(out.encode(None))
    return path


def turn(path: Path, matrix: tuple[int, int, int, int]) -> None:
    """Set the matrix (a, b, c, d) of an MP4's track."""
    data = bytearray(path.read_bytes())
    a, b, c, d = (number << 16 for number in matrix)
    struct.pack_into(">9i", data, data.index(b"tkhd") + 44, a, b, 0, c, d, 0, 0, 0, 1 << 30)
    path.write_bytes(data)


def edit(path: Path, segments: list[tuple[int, int]], scale: int) -> None:
    """Replace the edit list of an MP4 whose index is at its end by (duration in ms, start in ms; −1: nothing).

    ``scale``: units of media time a second.
    """
    data = path.read_bytes()
    (delay,) = struct.unpack_from(">i", data, data.index(b"elst") + 16)  # of the first frame, where there are B-frames
    body = struct.pack(">II", 0, len(segments))
    for duration, start in segments:
        body += struct.pack(">IiI", duration, start if start < 0 else delay + start * scale // 1000, 1 << 16)
    at = data.index(b"edts") - 4
    (old,) = struct.unpack_from(">I", data, at)
    box = struct.pack(">I4s", len(body) + 8, b"elst") + body
    box = struct.pack(">I4s", len(box) + 8, b"edts") + box
    changed = bytearray(data[:at] + box + data[at + old :])
    for parent in (b"moov", b"trak"):
        where = changed.index(parent) - 4
        assert where < at
        (size,) = struct.unpack_from(">I", changed, where)
        struct.pack_into(">I", changed, where, size + len(box) - old)
    path.write_bytes(changed)
