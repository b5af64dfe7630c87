"""The picture of docs/beamform.md: one simulated phantom by each method, from one plane wave and from 11.

    python bench/beamformer_picture.py docs/beamform.webp

Speckle of 14 scatterers a resolution cell, two empty cysts, one eight times as bright, and four wires; noise 20 dB
below the echoes. Every panel spans 60 dB below its own brightest pixel; nothing is matched.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import cv2
import numpy as np

from edgerecon.beamform import (
    Acquisition,
    Beamformer,
    CartesianGrid,
    LogCompression,
    Settings,
    linear_array,
    plane_wave,
)

CARRIER, RATE, SPEED, SAMPLES, ELEMENTS, START = 5.2e6, 20.8e6, 1540.0, 860, 96, 12e-6
GRID = CartesianGrid(np.linspace(-11e-3, 11e-3, 320), np.linspace(13e-3, 33e-3, 291))
CYSTS = ((-5e-3, 19e-3, 2.5e-3, 0.0), (5e-3, 27e-3, 2.5e-3, 0.0), (-5e-3, 28e-3, 2e-3, 8.0))
WIRES = ((5e-3, 16e-3), (4e-3, 20e-3), (5e-3, 20e-3), (0.5e-3, 31e-3))
PANELS = (("das", 1), ("das", 11), ("dmas", 11), ("cf", 11), ("gcf", 11), ("mv", 11))
FINER = 16  # than the sampling rate


def acquisition(waves: int) -> Acquisition:
    angles = np.radians(np.linspace(-12, 12, waves)) if waves > 1 else [0.0]
    transmits = tuple(plane_wave(float(angle), START) for angle in angles)
    return Acquisition(linear_array(ELEMENTS, 0.3e-3), transmits, SAMPLES, RATE, CARRIER, SPEED, iq=False)


def scatterers() -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """x, z in metres, and strengths."""
    rng = np.random.default_rng(4)
    x, z = rng.uniform(-14e-3, 14e-3, 40_000), rng.uniform(11e-3, 35e-3, 40_000)
    strength = rng.standard_normal(x.size)
    for centre_x, centre_z, radius, gain in CYSTS:
        strength[np.hypot(x - centre_x, z - centre_z) < radius] *= gain
    for wire_x, wire_z in WIRES:
        x, z, strength = np.append(x, wire_x), np.append(z, wire_z), np.append(strength, 120.0)
    return x, z, strength


def echoes(made: Acquisition) -> np.ndarray:
    """RF (transmits, elements, samples): impulses on a fine grid of times, through a pulse of 60 % bandwidth."""
    (x, z, strength), rate, length = scatterers(), FINER * RATE, FINER * SAMPLES
    time = (np.arange(length) - length // 2) / rate
    pulse = np.exp(-((time * 2.9e6 * 2) ** 2)) * np.cos(2 * np.pi * CARRIER * time)
    spectrum = np.fft.rfft(np.fft.ifftshift(pulse))
    found = np.empty(made.shape, np.float32)
    for rows, transmit in zip(found, made.transmits, strict=True):
        outward = transmit.path_m(x, z, made.probe, SPEED) / SPEED - transmit.start_s
        for row, place in zip(rows, made.probe.element_x_m, strict=True):
            at = np.rint((outward + np.hypot(x - place, z) / SPEED) * rate).astype(int)
            heard = (at >= 0) & (at < length)
            impulses = np.bincount(at[heard], strength[heard], length)
            row[:] = np.fft.irfft(np.fft.rfft(impulses) * spectrum, length)[::FINER]
    noise = np.random.default_rng(5).standard_normal(found.shape, np.float32)
    return found + np.float32(0.1 * found.std()) * noise


def panel(method: str, waves: int, signals: dict[int, np.ndarray]) -> np.ndarray:
    """Grey levels of 8 bits with the method's name."""
    beamformer = Beamformer(acquisition(waves), GRID, Settings(method=method, f_number=1.5))
    grey = np.rint(LogCompression()(np.abs(beamformer(signals[waves]))) * 255).astype(np.uint8)
    words = f"{method}, {waves} wave{'s' if waves > 1 else ''}"
    cv2.putText(grey, words, (8, 22), cv2.FONT_HERSHEY_SIMPLEX, 0.6, 0, 4, cv2.LINE_AA)
    cv2.putText(grey, words, (8, 22), cv2.FONT_HERSHEY_SIMPLEX, 0.6, 255, 1, cv2.LINE_AA)
    return np.pad(grey, 2, constant_values=255)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("out", type=Path)
    asked = parser.parse_args()
    signals = {waves: echoes(acquisition(waves)) for waves in {waves for _, waves in PANELS}}
    panels = [panel(method, waves, signals) for method, waves in PANELS]
    cv2.imwrite(
        str(asked.out), np.vstack([np.hstack(panels[:3]), np.hstack(panels[3:])]), [cv2.IMWRITE_WEBP_QUALITY, 80]
    )


if __name__ == "__main__":
    main()
