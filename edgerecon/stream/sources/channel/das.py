"""Delay-and-sum beamforming of plane and diverging waves, with the delays worked out once for all frames.

For a pixel p, a wave that passes the origin at time 0 and an element at e, the echo arrives at
τ = (d(p) + |p − e|) / c, where d(p) is what the wavefront travels from the origin to p. The image is
Σ over waves and elements of w(p, e) · s(τ) · exp(2πi f τ): s the baseband signal (IQ) with carrier f, and w a Hann
window over the aperture z / F-number (Perrot et al., "So you think you can DAS?", Ultrasonics 2021).
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

Signal = NDArray[np.complex64]


@dataclass(frozen=True)
class Wave:
    """One transmit.

    Attributes:
        start_s: from the moment the wavefront passes the origin to the first sample, seconds; may be negative.
        angle: of a plane wave from the z axis towards x, radians.
        source: (x, z) of the virtual source behind the probe, metres, of a diverging wave; None: plane.
    """

    start_s: float
    angle: float = 0.0
    source: tuple[float, float] | None = None

    def travelled(self, x: NDArray[np.float64], z: NDArray[np.float64]) -> NDArray[np.float64]:
        """Metres from the origin to each point, along the wave."""
        if self.source is None:
            return np.asarray(x * np.sin(self.angle) + z * np.cos(self.angle))
        return np.asarray(np.hypot(x - self.source[0], z - self.source[1]) - np.hypot(*self.source))


@dataclass(frozen=True)
class Grid:
    """Pixel centres in metres: columns x (W), rows z (H)."""

    x: NDArray[np.float64]
    z: NDArray[np.float64]

    @property
    def shape(self) -> tuple[int, int]:
        return self.z.size, self.x.size


class DelayAndSum:
    """Turns the baseband signals of one frame into a complex image.

    Holds 12 bytes for each element and each pixel that it hears.

    Args:
        elements: (N, 2) x and z, metres. waves: the transmits. rate: samples a second of the baseband signal.
        carrier: Hz. speed: m/s. f_number: of receive.
        from_first_sample: whether the signal was mixed down with a phase of 0 at its first sample, or else at the
            moment when the wave passed the origin.
    """

    def __init__(
        self,
        elements: NDArray[np.float64],
        waves: tuple[Wave, ...],
        grid: Grid,
        rate: float,
        carrier: float,
        speed: float,
        f_number: float,
        from_first_sample: bool,
    ) -> None:
        self.grid = grid
        # Columns lie one after the other, so that those that an element hears are one block of memory.
        x, z = np.meshgrid(grid.x, grid.z, indexing="ij")
        turn = 2 * np.pi * carrier
        self._transmit = []
        for wave in waves:
            delay = wave.travelled(x, z) / speed
            phase = delay - wave.start_s if from_first_sample else delay
            self._transmit.append((((delay - wave.start_s) * rate).astype(np.float32), _turned(turn * phase)))
        self._receive = []
        across_all, down_all = x.astype(np.float32), z.astype(np.float32)
        for element_x, element_z in elements:
            hears = _columns(grid, element_x, element_z, f_number)
            across, down = across_all[hears] - np.float32(element_x), down_all[hears] - np.float32(element_z)
            delay = np.hypot(across, down) / np.float32(speed)
            weight = _hann(across, down, f_number) * _turned(np.float32(turn) * delay)
            self._receive.append((hears, delay * np.float32(rate), weight))

    def __call__(self, signals: Signal) -> Signal:
        """(waves, elements, samples) → (H, W). Samples before the first and behind the last are 0."""
        image = np.zeros((self.grid.x.size, self.grid.z.size), np.complex64)
        row = np.zeros(image.shape, np.float32)  # of the one-row image that OpenCV looks up
        for (transmit, phase), of_wave in zip(self._transmit, signals, strict=True):
            heard = np.zeros_like(image)
            for (columns, receive, weight), signal in zip(self._receive, of_wave, strict=True):
                if receive.size:
                    echo = _at(signal, receive + transmit[columns], row[columns])
                    echo *= weight
                    heard[columns] += echo
            heard *= phase
            image += heard
        return np.ascontiguousarray(image.T)


def _at(signal: Signal, at: NDArray[np.float32], row: NDArray[np.float32]) -> Signal:
    """The signal at fractional samples, linearly interpolated (OpenCV rounds them to 1/32)."""
    pairs = signal.view(np.float32).reshape(1, -1, 2)
    found = cv2.remap(pairs, at, row, cv2.INTER_LINEAR, borderMode=cv2.BORDER_CONSTANT)
    return found.view(np.complex64)[..., 0]


def _columns(grid: Grid, x: float, z: float, f_number: float) -> slice:
    """Those that an element at (x, z) hears at the greatest depth."""
    reach = max(0.0, (grid.z[-1] - z) / (2 * f_number))
    first, last = np.searchsorted(grid.x, [x - reach, x + reach])
    return slice(int(first), int(last))


def _hann(across: NDArray[np.float32], down: NDArray[np.float32], f_number: float) -> NDArray[np.float32]:
    """Hann window: 1 above the element, 0 from half the aperture on."""
    part = np.abs(across) * np.float32(2 * f_number) / np.maximum(down, np.float32(1e-9))
    return np.where(part < 1, np.float32(0.5) + np.float32(0.5) * np.cos(np.float32(np.pi) * np.minimum(part, 1)), 0)


def _turned(phase: NDArray[np.floating]) -> Signal:
    """exp(i · phase)."""
    found = np.empty(phase.shape, np.complex64)
    found.real, found.imag = np.cos(phase), np.sin(phase)
    return found


def to_baseband(signal: NDArray[np.generic], carrier_bin: int | None, half_width: int, times: int) -> Signal:
    """Mix down (unless it is IQ already), cut the band out and resample, all in one Fourier transform.

    The phase is 0 at the first sample, for the carrier ``carrier_bin · rate / S``; RF sampled below twice its carrier
    (bandpass sampling) comes out right as well.

    Args:
        signal: (…, S), real RF or complex IQ. carrier_bin: None for IQ. half_width: of the band, bins.
        times: the samples become ``times · S``.
    """
    samples = signal.shape[-1]
    spectrum = np.fft.fft(signal)
    band = np.zeros((*signal.shape[:-1], times * samples), np.complex64)
    bins = np.arange(-half_width + 1, half_width)
    band[..., bins] = spectrum[..., (bins + (carrier_bin or 0)) % samples]
    gain = times if carrier_bin is None else 2 * times
    return np.ascontiguousarray(np.fft.ifft(band) * gain, np.complex64)
