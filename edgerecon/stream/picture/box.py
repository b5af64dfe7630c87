"""A box of pixels in a frame, as people write it: x,y,width,height."""

from __future__ import annotations

import re
from collections.abc import Sequence

from edgerecon.core.errors import UsageError

Box = tuple[int, int, int, int]
"""x, y, width, height in pixels."""


def parse_box(text: str, option: str, meaning: str = "x,y,width,height") -> Box:
    """The box of "x,y,w,h".

    Args:
        option: that the text was given to. meaning: what the option takes, for the message.

    Raises:
        UsageError: it is none, or empty.

    Examples:
        >>> parse_box("10,20,300,200", "--crop")
        (10, 20, 300, 200)
    """
    if not re.fullmatch(r"[0-9]{1,5}(,[0-9]{1,5}){3}", text):
        raise UsageError(f"{option} is {meaning} in pixels, not '{text}'")
    x, y, width, height = map(int, text.split(","))
    if not (width and height):
        raise UsageError(f"{option} {text}: the box is empty")
    return x, y, width, height


def outside_fault(box: Box, shape: Sequence[int]) -> str:
    """How a box is not within a frame of (H, W) pixels; empty when it is."""
    x, y, width, height = box
    if x + width <= shape[1] and y + height <= shape[0]:
        return ""
    return f"the box {x},{y},{width},{height} is not within a frame of {shape[1]}×{shape[0]}"


def refuse_outside(box: Box, shape: Sequence[int], option: str) -> None:
    """Raises UsageError for a box that is not within a frame of (H, W) pixels."""
    if fault := outside_fault(box, shape):
        raise UsageError(f"{option}: {fault}")
