"""Envelopes and grey levels."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

DYNAMIC_RANGE_DB = 60.0
_BLOCK = 1 << 20  # samples
_LOW_BITS = 14  # of float32 that grey levels do without


class LogCompression:
    """20 log₁₀ of the amplitude; white is the brightest pixel of the first frame, black ``range_db`` below it.

    The first frame sets the level for all, so that the brightness of a recording does not pump. The logarithm is looked
    up by the leading 18 bits of a float32, sign, exponent and 9 bits: within 0.009 dB, a thirtieth of a grey level.
    """

    def __init__(self, range_db: float = DYNAMIC_RANGE_DB) -> None:
        self._grey = _levels_by_bits(range_db)
        self._peak = 0.0

    def __call__(self, amplitude: NDArray[np.floating]) -> NDArray[np.float32]:
        """(H, W) ≥ 0 → float32 (H, W) in [0, 1]; NaN stays NaN."""
        if not self._peak:
            peak = float(np.nanmax(amplitude, initial=0.0))
            self._peak = peak if np.isfinite(peak) else 0.0
        found = np.empty(amplitude.shape, np.float32)
        for rows in _blocks(amplitude):
            with np.errstate(over="ignore"):  # damaged data may hold any number: infinity is white
                relative = np.divide(amplitude[rows], np.float32(self._peak or 1.0), dtype=np.float32)
            self._grey.take(np.abs(relative).view(np.uint32) >> _LOW_BITS, out=found[rows])
        return found


def _levels_by_bits(range_db: float) -> NDArray[np.float32]:
    """Of every positive float32, relative to white, by its bits above the low ones; finite, then infinity and NaN."""
    steps = 1 << (23 - _LOW_BITS)  # of a power of two
    bits = np.arange(255 * steps, dtype=np.uint32) << _LOW_BITS
    middle = (bits | 1 << (_LOW_BITS - 1)).view(np.float32)
    return np.concatenate([grey_levels(middle, range_db), [1.0], np.full(steps - 1, np.nan)]).astype(np.float32)


def grey_levels(amplitude: NDArray[np.floating], range_db: float = DYNAMIC_RANGE_DB) -> NDArray[np.float32]:
    """Finite amplitudes to [0, 1]: 1 is white, ``range_db`` below it is black."""
    return np.clip(1 + 20 * np.log10(np.maximum(amplitude, 1e-9)) / range_db, 0, 1).astype(np.float32)


def envelope(lines: NDArray[np.floating], every: int = 1) -> NDArray[np.float32]:
    """Magnitude of the analytic signal of RF along the last of two axes; a constant offset is no echo.

    Args:
        every: (lines, samples) become (lines, samples / every), each the mean of so many.
    """
    found = np.empty((lines.shape[0], lines.shape[1] // every), np.float32)
    for rows in _blocks(lines):
        magnitude = np.abs(analytic(lines[rows]))[:, : found.shape[1] * every]
        found[rows] = magnitude.reshape(len(magnitude), -1, every).mean(2)
    return found


def _blocks(image: NDArray[np.floating]) -> Iterator[slice]:
    """Rows, some at a time: what is reckoned with in between takes many times the memory of a frame."""
    step = max(1, _BLOCK // max(1, image[:1].size))
    return (slice(start, start + step) for start in range(0, len(image), step))


def analytic(lines: NDArray[np.floating]) -> NDArray[np.complexfloating]:
    """Analytic signal of RF along the last axis, without its constant offset."""
    samples = lines.shape[-1]
    spectrum = np.fft.fft(lines)
    spectrum[..., 1 : (samples + 1) // 2] *= 2
    spectrum[..., samples // 2 + 1 :] = 0
    spectrum[..., 0] = 0
    return np.fft.ifft(spectrum)
