"""Brings grey levels of a live source to those that ``edgerecon.core.frame.to_unit`` expects."""

from __future__ import annotations

import numpy as np

from edgerecon.core.frame import RawImage
from edgerecon.stream.sources.scaling import needs_range

_FULL_SCALES = (1.0, 255.0, 1023.0, 4095.0, 16383.0, 65535.0)


class LiveScale:
    """Scales types without a full scale (signed, 32 bits, floats) to [0, 1], as a range that is not known beforehand.

    White is the first of 1, 255, 1023, 4095, 16383 and 65535 that no value so far went beyond, so that the brightness
    does not flicker with each new maximum; black is 0, or the lowest value so far.
    """

    def __init__(self) -> None:
        self._low, self._high = 0.0, 0.0

    def to_unit_range(self, image: RawImage) -> RawImage:
        """The same array when its type has a full scale, else float32; NaN and infinite values stay as they are."""
        if not needs_range(image.dtype):
            return image
        values = image.astype(np.float32)
        low, high = float(values.min()), float(values.max())
        if np.isfinite(low) and np.isfinite(high):
            self._low = min(self._low, low)
            self._high = max(self._high, high)
        white = next((scale for scale in _FULL_SCALES if scale >= self._high), self._high)
        if (self._low, white) != (0.0, 1.0):
            values -= np.float32(self._low)
            values /= np.float32(white - self._low)
        return values
