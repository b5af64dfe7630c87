"""Brings recorded grey levels to those that ``edgerecon.core.frame.to_unit`` expects, alike for a whole recording."""

from __future__ import annotations

import logging
import math
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from edgerecon.core.errors import SourceError
from edgerecon.core.frame import RawImage

_log = logging.getLogger(__name__)

SAMPLED_VALUES = 1 << 26
"""At most so many values are looked at to find the scale of a recording (but always one frame)."""

_BLOCK = 1 << 20  # values that are worked on at a time: a copy of a whole frame in float64 would take gigabytes
_DEPTHS = (8, 10, 12, 14)  # bits that scanners put into 16 without a word


def stretch_bits(image: RawImage, bits: int) -> RawImage:
    """Unsigned integers that use ``bits`` of their type, e.g. 12 of 16, scaled so that full scale is the type's."""
    full = np.iinfo(image.dtype).max
    used = (1 << bits) - 1
    if used >= full:
        return image
    if image.dtype.itemsize <= 2:
        return _stretched_levels(image.dtype.name, bits)[image]
    return (np.minimum(image, used).astype(np.uint64) * full // used).astype(image.dtype)


def bits_used(highest: float) -> int | None:
    """How many bits values up to ``highest`` use of 16, of those that scanners use; None for all of them, or none."""
    return next((bits for bits in _DEPTHS if 0 < highest < 1 << bits), None)


@lru_cache(maxsize=8)
def _stretched_levels(dtype: str, bits: int) -> RawImage:
    """Of every value of a type, what it becomes."""
    full, used = np.iinfo(dtype).max, (1 << bits) - 1
    return (np.minimum(np.arange(full + 1, dtype=np.uint64), used) * full // used).astype(dtype)


@dataclass(frozen=True)
class Range:
    """Lowest and highest finite value of a recording."""

    low: float
    high: float

    def to_unit(self, image: RawImage) -> NDArray[np.float32]:
        """float32 in [0, 1]; a constant recording becomes 0; NaN and infinite values stay as they are."""
        extent = self.high - self.low or 1.0
        out = np.empty(image.shape, np.float32)
        with np.errstate(over="ignore", invalid="ignore"):  # damaged data may hold any number
            for rows in _blocks(image):
                out[rows] = (image[rows].astype(np.float64) - self.low) / extent
        return out


def needs_range(dtype: np.dtype) -> bool:
    """Whether values of this type have no full scale of their own: all but uint8 and uint16."""
    return dtype.kind != "u" or dtype.itemsize > 2


def sampled(count: int, values: int) -> list[int]:
    """Which of ``count`` frames of ``values`` values each to look at: evenly spaced, the first and the last among them.

    All of them where they hold at most ``SAMPLED_VALUES``.
    """
    number = min(count, max(1, SAMPLED_VALUES // max(values, 1)))
    return np.linspace(0, count - 1, number).astype(int).tolist()


class Statistics:
    """Lowest and highest finite value, sum and sum of squares, gathered a few rows at a time."""

    def __init__(self) -> None:
        self.low, self.high = math.inf, -math.inf
        self.count, self._total, self._power = 0, 0.0, 0.0

    def add(self, image: RawImage) -> None:
        """Take the finite values of one frame into account."""
        for rows in _blocks(image):
            values = image[rows].astype(np.float64)
            if image.dtype.kind == "f":
                values = values[np.isfinite(values)]
            if values.size:
                self.low, self.high = min(self.low, float(values.min())), max(self.high, float(values.max()))
                self.count += values.size
                self._total += float(values.sum())
                with np.errstate(over="ignore"):
                    self._power += float(np.square(values).sum())

    @property
    def averages_to_zero(self) -> bool:
        """Whether values of both signs average to nothing, as RF and IQ signals do and images do not."""
        if not self.low < 0 < self.high:
            return False
        return abs(self._total / self.count) < 0.1 * math.sqrt(self._power / self.count)


class Scale:
    """One scale for a whole recording, so that its brightness does not pump.

    uint8 stays as it is. uint16 that nobody goes beyond 8, 10, 12 or 14 bits of is stretched to full scale, which the
    log says. All other types become float32 in [0, 1] by their range, but floats within [0, 1] stay as they are. A type
    that the sample did not hold gets its scale from its first image.

    Args:
        name: of the recording, for messages.
        sample: images of it, see ``sampled``.
        echoes: whether the recording may hold RF or IQ signals, which are refused.

    Raises:
        SourceError: the sample holds signed echo signals, not images.
    """

    def __init__(self, name: str, sample: Iterable[RawImage], echoes: bool = True) -> None:
        self._name = name
        self._scales: dict[str, Range | int | None] = {}
        self._saturates = False
        found: dict[str, Statistics] = {}
        for image in sample:
            if image.dtype != np.uint8:
                found.setdefault(image.dtype.str, Statistics()).add(image)
        for dtype, statistics in found.items():
            if echoes and statistics.averages_to_zero:
                raise SourceError(
                    f"{name} holds signed echo signals (RF or IQ), not images: beamform and detect it first "
                    "(beamformed RF lines of a MetaImage: add ?rf to its path)"
                )
            self._scales[dtype] = self._of(np.dtype(dtype), statistics)

    def __call__(self, image: RawImage) -> RawImage:
        """The image as uint8, uint16 or float32, scaled; NaN and infinite values stay as they are."""
        if image.dtype == np.uint8:
            return image
        if image.dtype.str not in self._scales:
            statistics = Statistics()
            statistics.add(image)
            self._scales[image.dtype.str] = self._of(image.dtype, statistics)
        scale = self._scales[image.dtype.str]
        if scale is None:
            return image
        if isinstance(scale, int):
            self._warn_if(int(image.max(initial=0)) >> scale > 0)
            return stretch_bits(image, scale)
        unit = scale.to_unit(image)
        self._warn_if(float(np.max(unit, initial=0.0)) > 1.0)
        return unit

    def _of(self, dtype: np.dtype, statistics: Statistics) -> Range | int | None:
        low, high = statistics.low, statistics.high
        if low > high:
            return None
        if needs_range(dtype):
            return None if dtype.kind == "f" and low >= 0.0 and high <= 1.0 else Range(low, high)
        bits = bits_used(high)
        if bits is not None:
            _log.warning("%s holds %d bits in 16: %d is shown as white", self._name, bits, (1 << bits) - 1)
        return bits

    def _warn_if(self, brighter: bool) -> None:
        if brighter and not self._saturates:
            self._saturates = True
            _log.warning("%s has frames brighter than those its scale was taken from: they saturate", self._name)


def _blocks(image: RawImage) -> Iterator[slice]:
    """Rows of an image, about ``_BLOCK`` values at a time."""
    rows = max(1, _BLOCK // max(1, math.prod(image.shape[1:])))
    return (slice(start, start + rows) for start in range(0, len(image), rows))
