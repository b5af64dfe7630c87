"""Turning a video frame as its display matrix says: cameras and phones store their frames lying down or mirrored."""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING, Any

from edgerecon.core.frame import RawImage

if TYPE_CHECKING:
    from av import VideoFrame

Turn = tuple[int, int, int, int]
"""(a, b, c, d) of x' = a·x + c·y, y' = b·x + d·y, each −1, 0 or 1."""

UPRIGHT: Turn = (1, 0, 0, 1)


def turn_of(frame: VideoFrame) -> Turn | None:
    """Of a decoded frame; ``UPRIGHT`` without a matrix, None for a matrix that is no quarter turn or mirror image."""
    data: Any = frame.side_data.get("DISPLAYMATRIX")
    if data is None:
        return UPRIGHT
    # 3×3 numbers of 16.16 bits, by rows: a b u, c d v, x y w (ISO/IEC 14496-12, 8.2.2)
    a, b, _, c, d = struct.unpack_from("=5i", data)
    largest = max(abs(a), abs(b), abs(c), abs(d)) or 1
    turn = (round(a / largest), round(b / largest), round(c / largest), round(d / largest))
    return turn if 0 in turn and turn[0] * turn[3] - turn[1] * turn[2] in (-1, 1) else None


def upright(image: RawImage, turn: Turn) -> RawImage:
    """A view of the image (H, W), turned and mirrored."""
    a, b, c, d = turn
    if a:
        return image[:: -1 if d < 0 else 1, :: -1 if a < 0 else 1]
    return image.T[:: -1 if b < 0 else 1, :: -1 if c < 0 else 1]
