"""The size of frames, as options state it."""

from __future__ import annotations

from edgerecon.core.errors import UsageError

_LARGEST_SIDE = 8192


def frame_size(text: str, option: str = "--shape") -> tuple[int, int]:
    """(height, width) of "512x512".

    Raises:
        UsageError: anything else, or a side beyond 8192.
    """
    sides = text.lower().replace("×", "x").split("x")
    if len(sides) != 2 or not all(
        side.isascii() and side.isdigit() and 0 < int(side) <= _LARGEST_SIDE for side in sides
    ):
        raise UsageError(f"{option} is HEIGHTxWIDTH, e.g. 512x512, not '{text}'")
    return int(sides[0]), int(sides[1])
