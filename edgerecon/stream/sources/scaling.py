"""Brings recorded grey levels to those that ``edgerecon.frame.to_unit`` expects."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from edgerecon.errors import SourceError
from edgerecon.frame import RawImage


def stretch_bits(image: RawImage, bits: int) -> RawImage:
    """Unsigned integers that use ``bits`` of their type, e.g. 12 of 16, scaled so that full scale is the type's."""
    full = np.iinfo(image.dtype).max
    used = (1 << bits) - 1
    if used >= full:
        return image
    return (np.minimum(image, used).astype(np.uint64) * full // used).astype(image.dtype)


@dataclass(frozen=True)
class Range:
    """Lowest and highest finite value of a recording."""

    low: float
    high: float

    def to_unit(self, image: RawImage) -> NDArray[np.float32]:
        """float32 in [0, 1]; a constant recording becomes 0; NaN and infinite values stay as they are."""
        extent = self.high - self.low or 1.0
        return ((image.astype(np.float64) - self.low) / extent).astype(np.float32)


def needs_range(dtype: np.dtype) -> bool:
    """Whether values of this type have no full scale of their own: all but uint8 and uint16."""
    return dtype.kind != "u" or dtype.itemsize > 2


def find_range(name: str, images: Iterable[RawImage], dtype: np.dtype) -> Range | None:
    """Range over a recording; None when it may stay as it is, being floats that lie within [0, 1] already.

    Raises:
        SourceError: values of both signs that average to nothing, as RF and IQ signals do and images do not.
    """
    low, high, count, total, power = np.inf, -np.inf, 0, 0.0, 0.0
    for image in images:
        finite = image[np.isfinite(image)].astype(np.float64)
        if finite.size:
            low, high = min(low, float(finite.min())), max(high, float(finite.max()))
            count, total, power = count + finite.size, total + finite.sum(), power + np.square(finite).sum()
    if low < 0 < high and abs(total / count) < 0.1 * math.sqrt(power / count):
        raise SourceError(
            f"{name} holds signed echo signals (RF or IQ), not images: beamform and detect it first "
            "(beamformed RF lines of a MetaImage: add ?rf to its path)"
        )
    if low > high or (dtype.kind == "f" and low >= 0.0 and high <= 1.0):
        return None
    return Range(low, high)
