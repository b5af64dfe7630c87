"""Linear array, its pulse, and the medium it looks into.

The two-way pulse has a Gaussian amplitude spectrum exp(−(f − f0)² / 2σ²). Attenuation that grows linearly with
frequency multiplies it by exp(−a·f·d), which is again a Gaussian: its centre falls to f0 − a·d·σ² (the downshift) and
its peak to exp(−a·f0·d + (a·d·σ)²/2). Narayana & Ophir, Ultrasonic Imaging 5 (1983).
"""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True)
class Probe:
    """A linear array along x, centred on x = 0, at depth z = 0. Lengths in metres, frequencies in hertz."""

    centre_frequency: float
    fractional_bandwidth: float  # two-way, −6 dB, as a fraction of the centre frequency
    pitch: float
    element_width: float
    elements: int

    @property
    def sigma(self) -> float:
        """Standard deviation of the Gaussian amplitude spectrum, in hertz."""
        return self.fractional_bandwidth * self.centre_frequency / (2 * math.sqrt(2 * math.log(2)))

    @property
    def element_x(self) -> NDArray[np.float64]:
        """Lateral position of each element centre, shape (elements,), metres."""
        return np.asarray((np.arange(self.elements) - (self.elements - 1) / 2) * self.pitch, np.float64)


@dataclass(frozen=True)
class Medium:
    """Homogeneous acoustics: sound speed in m/s, attenuation in dB/(cm·MHz)."""

    sound_speed: float = 1540.0
    attenuation: float = 0.5

    @property
    def nepers_per_metre_hertz(self) -> float:
        """Attenuation in Np / (m · Hz)."""
        return self.attenuation * 100 / (20 / math.log(10)) / 1e6

    def wavelength(self, probe: Probe) -> float:
        """Of the probe's centre frequency, in metres."""
        return self.sound_speed / probe.centre_frequency

    def downshift(self, probe: Probe, path: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Shift of the centre frequency (Hz, negative) and peak amplitude after a total path in metres."""
        loss = self.nepers_per_metre_hertz * path
        shift = -loss * probe.sigma**2
        return shift, np.exp(-loss * probe.centre_frequency + (loss * probe.sigma) ** 2 / 2)


def random_probe(rng: np.random.Generator, sound_speed: float) -> Probe:
    """A plausible linear array: 3–12 MHz, 45–80 % bandwidth, pitch 0.7–1.1 wavelengths."""
    frequency = float(np.exp(rng.uniform(np.log(3e6), np.log(12e6))))
    pitch = float(rng.uniform(0.7, 1.1)) * sound_speed / frequency
    return Probe(
        centre_frequency=frequency,
        fractional_bandwidth=float(rng.uniform(0.45, 0.8)),
        pitch=pitch,
        element_width=pitch * float(rng.uniform(0.85, 0.95)),
        elements=int(rng.choice([96, 128, 160])),
    )


def parameters(probe: Probe, medium: Medium) -> dict[str, float]:
    """Both as a flat dictionary, for HDF5 attributes."""
    return {**asdict(probe), **asdict(medium)}
