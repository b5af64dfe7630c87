"""Envelopes and grey levels."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

DYNAMIC_RANGE_DB = 60.0
_BLOCK = 1 << 20  # samples


class LogCompression:
    """20 log₁₀ of the amplitude; white is the brightest pixel of the first frame, black ``range_db`` below it.

    The first frame sets the level for all, so that the brightness of a recording does not pump.
    """

    def __init__(self, range_db: float = DYNAMIC_RANGE_DB) -> None:
        self._range_db = range_db
        self._peak = 0.0

    def __call__(self, amplitude: NDArray[np.floating]) -> NDArray[np.float32]:
        """(H, W) ≥ 0 → float32 (H, W) in [0, 1]; NaN stays NaN."""
        if not self._peak:
            peak = float(np.nanmax(amplitude, initial=0.0))
            self._peak = peak if np.isfinite(peak) else 0.0
        found = np.empty(amplitude.shape, np.float32)
        for rows in _blocks(amplitude):
            with np.errstate(over="ignore"):  # damaged data may hold any number: infinity is white
                relative = np.asarray(amplitude[rows], np.float32) / np.float32(self._peak or 1.0)
                decibel = 20 * np.log10(np.maximum(relative, np.float32(1e-9)))
            found[rows] = np.clip(1 + decibel / self._range_db, 0, 1)
        return found


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
