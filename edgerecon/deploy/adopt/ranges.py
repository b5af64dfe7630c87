"""The ranges of grey levels that networks are trained on: a frame's [0, 1] as the network wants it."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edgerecon.core.errors import UsageError


@dataclass(frozen=True)
class Range:
    """value = gain · level + offset, for every channel; one entry stands for all channels.

    Attributes:
        key: as ``--range`` takes it. title: for people.
    """

    key: str
    title: str
    gain: tuple[float, ...]
    offset: tuple[float, ...]

    def of_levels(self, picture: NDArray[Any]) -> NDArray[np.float32]:
        """Levels in [0, 1], (C, H, W) → the network's values."""
        return np.asarray(picture * _axes(self.gain) + _axes(self.offset), np.float32)

    def to_levels(self, values: NDArray[Any]) -> NDArray[np.float32]:
        """The network's values (C, H, W) → levels."""
        return np.asarray((values - _axes(self.offset)) / _axes(self.gain), np.float32)

    def times(self, factor: float) -> Range:
        """The same range, so many times as large."""
        gain, offset = (tuple(factor * value for value in values) for values in (self.gain, self.offset))
        return Range(f"{self.key}×{factor:g}", f"{factor:g} × {self.title}", gain, offset)

    def fits(self, channels: int) -> bool:
        """Whether it is of so many channels."""
        return len(self.gain) in (1, channels)


def _axes(values: tuple[float, ...]) -> NDArray[np.float32]:
    return np.array(values, np.float32).reshape(-1, 1, 1)


def _between(low: float, high: float, title: str) -> Range:
    return Range(f"{low:g}..{high:g}", title, (high - low,), (low,))


_MEAN, _STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
"""Of ImageNet's training images in [0, 1], red, green, blue, as torchvision's models are trained."""

UNIT = _between(0, 1, "[0, 1]")
BYTE = _between(0, 255, "[0, 255]")
SIGNED = _between(-1, 1, "[−1, 1]")
IMAGENET = Range(
    "imagenet",
    "ImageNet's mean and standard deviation",
    tuple(1 / std for std in _STD),
    tuple(-mean / std for mean, std in zip(_MEAN, _STD, strict=True)),
)
RANGES = (UNIT, BYTE, SIGNED, IMAGENET)
OF_TYPE = {
    np.dtype(np.uint8): BYTE,
    np.dtype(np.int8): _between(-128, 127, "[−128, 127]"),
    np.dtype(np.uint16): _between(0, 65535, "[0, 65535]"),
}
"""Of pixels that are whole numbers: all that their type holds."""


def parse_range(text: str) -> Range:
    """A key of ``RANGES``, or LOW..HIGH.

    Raises:
        UsageError: neither, or an empty range.
    """
    for one in RANGES:
        if text == one.key:
            return one
    number = r"-?[0-9]{1,9}(?:\.[0-9]{1,9})?"
    if found := re.fullmatch(rf"({number})\.\.({number})", text):
        low, high = map(float, found.groups())
        if low < high:
            return _between(low, high, f"[{low:g}, {high:g}]")
    raise UsageError(f"a range is {', '.join(one.key for one in RANGES)} or LOW..HIGH, not '{text}'")
