"""Plane-wave echoes of point scatterers and their delay-and-sum, element by element (numba).

For a plane wave at angle θ the echo of a scatterer at (x, z) reaches the element at x_e after

    τ = (x·sin θ + z·cos θ) / c + r / c,      r = √((x − x_e)² + z²),

weighted by the element's directivity sinc(w·sin φ / λ)·cos φ (soft baffle; Selfridge et al., Appl. Phys. Lett. 37,
1980), by the spreading 1/√r of the two-dimensional problem, and by attenuation along the path c·τ, which depends on the
arrival time alone and is therefore applied with the pulse. IQ sampling: an echo is deposited on the time grid with its
carrier phase and four-point Lagrange weights, then the grid is filtered by the pulse of its depth.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from edgerecon.workshop.data.simulate import kernels
from edgerecon.workshop.data.simulate.probe import Medium, Probe

F32 = np.float32
OVERSAMPLE = 2.5  # IQ samples per period of the centre frequency on the deposit grid; the filter doubles them


@dataclass(frozen=True)
class Grid:
    """Square-pixel image grid: ``size`` pixels of ``spacing`` metres, centred on x = 0, first row at ``depth``."""

    size: int
    spacing: float
    depth: float

    @property
    def x(self) -> NDArray[np.float64]:
        """Lateral positions of the columns, in metres, around 0."""
        return np.asarray((np.arange(self.size) - (self.size - 1) / 2) * self.spacing, np.float64)

    @property
    def z(self) -> NDArray[np.float64]:
        """Depths of the rows, in metres."""
        return np.asarray(self.depth + np.arange(self.size) * self.spacing, np.float64)


@dataclass(frozen=True)
class Receive:
    """Delay-and-sum settings: receive F-number, apodisation ("hann", "tukey" or "boxcar"), assumed sound speed."""

    f_number: float = 1.5
    apodisation: str = "hann"
    sound_speed: float = 1540.0


def steering_angles(count: int, maximum: float) -> NDArray[np.float64]:
    """``count`` angles evenly over ±maximum (radians), ordered so that the first 1, 3 and 7 of 31 are themselves evenly
    spread: 0°, then ±2/3, then the other sixths, then the rest."""
    angles = np.linspace(-maximum, maximum, count) if count > 1 else np.zeros(1)
    if count != 31:
        return angles
    first = [15, 5, 25, 0, 10, 20, 30]
    return angles[first + [i for i in range(31) if i not in first]]


def _pulse_bank(probe: Probe, medium: Medium, rate: float, arrival: NDArray[np.float64]) -> NDArray[np.complex64]:
    """Baseband pulse of each arrival time (seconds), shape (times, taps), sampled at twice the deposit rate."""
    half = int(np.ceil(2 * rate * 3.2 / (2 * np.pi * probe.sigma)))
    t = (np.arange(2 * half + 1) - half) / (2 * rate)
    shift, peak = medium.downshift(probe, np.maximum(arrival, 0.0) * medium.sound_speed)
    envelope = np.exp(-2 * (np.pi * probe.sigma * t) ** 2)
    return (peak[:, None] * envelope * np.exp(2j * np.pi * shift[:, None] * t)).astype(np.complex64)


def insonification(
    x: NDArray[np.float64], z: NDArray[np.float64], angles: NDArray[np.float64], probe: Probe, wavelength: float
) -> NDArray[np.float64]:
    """How much of each plane wave reaches each point, shape (points, angles): 1 inside the steered beam, falling to 0
    beyond its edge over the Fresnel width √(λz)."""
    origin = x[:, None] - z[:, None] * np.tan(angles)
    edge = probe.elements * probe.pitch / 2 - np.abs(origin)
    return np.asarray(0.5 * (1 + np.tanh(1.5 * edge / np.sqrt(wavelength * z[:, None] + 1e-12))))


def beamform_scatterers(
    x: NDArray[np.float64],
    z: NDArray[np.float64],
    amplitude: NDArray[np.float32],
    probe: Probe,
    medium: Medium,
    grid: Grid,
    receive: Receive,
    angles: NDArray[np.float64],
    prefixes: tuple[int, ...],
    noise: float = 0.0,
    rng: np.random.Generator | None = None,
) -> NDArray[np.complex64]:
    """Simulate every element's IQ echoes and delay-and-sum them coherently over angles.

    Args:
        x, z: scatterer positions in metres, shape (S,), z > 0.
        amplitude: scattering amplitudes, float32 (S,).
        angles: plane-wave angles in radians, in the order of compounding.
        prefixes: growing angle counts; image p compounds the first ``prefixes[p]`` angles (their mean).
        noise: standard deviation of the electronic noise of one element and angle, relative to the median magnitude of
            the central element's echoes; drawn from ``rng``.

    Returns:
        IQ images, complex64, shape (len(prefixes), size, size).
    """
    rate, image = _rate(probe), np.zeros((len(prefixes), grid.size, grid.size), np.complex64)
    assumed = 2 * np.pi * probe.centre_frequency / receive.sound_speed
    sines, cosines = np.sin(angles), np.cos(angles)
    echoes = ElementEchoes(x, z, amplitude, probe, medium, grid, angles)
    pixels = (
        grid.x.astype(F32),
        grid.z.astype(F32),
        sines.astype(F32),
        cosines.astype(F32),
        np.exp(1j * assumed * sines[:, None] * grid.x).astype(np.complex64),
        np.exp(1j * assumed * cosines[:, None] * grid.z).astype(np.complex64),
        F32(assumed),
        F32(2 * rate / receive.sound_speed),
        F32(2 * echoes.start),
        F32(receive.f_number),
        half_window(receive.apodisation),
        np.array([*prefixes, 0], np.int64),
    )
    for xe, signal in echoes.by_element(receive.f_number, noise, rng):
        kernels.delay_and_sum(F32(xe), *pixels, signal, image)
    return image / np.array(prefixes, F32)[:, None, None]


def _rate(probe: Probe) -> float:
    """Of the grid on which echoes are deposited, Hz."""
    return OVERSAMPLE * probe.centre_frequency


@dataclass(frozen=True)
class Screen:
    """What lies between each element and the medium: an aberrating layer, and the element itself.

    Attributes:
        delay_s: (elements,) by which an echo is late, on either way. gain: (elements,) of each element; 0 is dead.
    """

    delay_s: NDArray[np.float64]
    gain: NDArray[np.float64]


class ElementEchoes:
    """IQ echoes of scatterers, element by element; the arguments are those of ``beamform_scatterers``.

    Args:
        screen: None for none. A wavefront is taken to be late by what lies above the point that it reaches.

    Attributes:
        start: of the first sample, in deposit samples; signals have two samples each.
    """

    def __init__(
        self,
        x: NDArray[np.float64],
        z: NDArray[np.float64],
        amplitude: NDArray[np.float32],
        probe: Probe,
        medium: Medium,
        grid: Grid,
        angles: NDArray[np.float64],
        screen: Screen | None = None,
    ) -> None:
        rate = _rate(probe)
        wave_number = 2 * np.pi / medium.wavelength(probe)
        span = max(float(np.hypot(grid.x[-1], grid.z[-1])), float(z.max()))
        first = 1.8 * min(grid.depth, float(z.min())) * np.cos(angles).min() / medium.sound_speed
        self.start = max(np.floor(first * rate) - 24, -48.0)
        self._times = int(np.ceil((2.15 * span + abs(grid.x[-1])) / medium.sound_speed * rate - self.start)) + 24
        self._bank = _pulse_bank(probe, medium, rate, (self.start + np.arange(self._times)) / rate)
        self._probe, self._grid, self._angles, self._screen, self._rate = probe, grid, angles, screen, rate
        path = x[:, None] * np.sin(angles) + z[:, None] * np.cos(angles)
        if screen is not None:
            path = path + medium.sound_speed * np.interp(x, probe.element_x, screen.delay_s)[:, None]
        lit = insonification(x, z, angles, probe, medium.wavelength(probe))
        self._scatterers = (
            x.astype(F32),
            z.astype(F32),
            amplitude.astype(F32),
            (path / medium.sound_speed * rate).astype(F32),
            (lit * np.exp(-1j * wave_number * path)).astype(np.complex64),
            F32(wave_number),
            F32(rate / medium.sound_speed),
        )
        self._width = F32(probe.element_width / medium.wavelength(probe))

    def by_element(
        self, f_number: float, noise: float = 0.0, rng: np.random.Generator | None = None
    ) -> Iterator[tuple[float, NDArray[np.complex64]]]:
        """(element_x, signals (angles, times) complex64) of every element that a pixel hears at an F-number; the same
        memory each time."""
        probe, grid, angles = self._probe, self._grid, self._angles
        echo = np.zeros((angles.size, self._times), np.complex64)
        signal, hiss = np.zeros((2, angles.size, 2 * self._times), np.complex64)
        hearing = np.abs(probe.element_x) < np.abs(grid.x[-1]) + grid.z[-1] / (2 * f_number)
        level = 0.0
        for number in sorted(np.flatnonzero(hearing), key=lambda one: abs(probe.element_x[one])):
            xe, late, gain = float(probe.element_x[number]), 0.0, 1.0 + 0j
            if self._screen is not None:
                late = float(self._screen.delay_s[number])
                gain = self._screen.gain[number] * np.exp(-2j * np.pi * probe.centre_frequency * late)
            echo[:] = 0
            kernels.deposit(F32(xe), *self._scatterers, F32(self.start - late * self._rate), self._width, echo)
            if self._screen is not None:
                echo *= np.complex64(gain)
            kernels.apply_pulse(echo, self._bank, signal)
            if noise and rng is not None:
                level = level or noise * float(np.median(np.abs(signal)))
                kernels.apply_pulse(_white(rng, self._bank, echo.shape), self._bank, hiss)
                signal += np.float32(level) * hiss
            yield xe, signal


def half_window(name: str) -> NDArray[np.float32]:
    """Half of an apodisation window, from the aperture's centre to its edge, 257 values."""
    u = np.linspace(0, 1, 257)
    if name == "hann":
        return (0.5 + 0.5 * np.cos(np.pi * u)).astype(F32)
    if name == "tukey":
        return np.where(u < 0.5, 1.0, 0.5 + 0.5 * np.cos(2 * np.pi * (u - 0.5))).astype(F32)
    return np.ones(257, F32)


def _white(rng: np.random.Generator, bank: NDArray[np.complex64], shape: tuple[int, ...]) -> NDArray[np.complex64]:
    """White noise that has unit variance once the bank of pulses (a receiver's tracking filter) has passed it."""
    energy = np.sqrt((np.abs(bank) ** 2).sum(axis=1))
    noise = rng.standard_normal((*shape, 2), dtype=F32).view(np.complex64)[..., 0]
    return np.asarray(noise / energy.astype(F32), np.complex64)
