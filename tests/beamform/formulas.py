"""Delay-and-sum as its formulas say, in float64 NumPy: the reference of the kernels."""

from __future__ import annotations

import numpy as np

from edgerecon.beamform import Acquisition, Grid, Settings
from edgerecon.beamform.apodisation import WINDOWS

SPEED, RATE, CARRIER = 1540.0, 20e6, 5e6


def aperture_data(acquisition: Acquisition, grid: Grid, settings: Settings, signals: np.ndarray) -> np.ndarray:
    """(transmits, H, W, elements): w · s(τ) · exp(2πi f τ), linear interpolation, zeros outside the samples.

    Args:
        signals: (transmits, elements, samples); complex IQ with a phase of 0 at the first sample, or real RF.
    """
    x, z = grid.points_m()
    probe, rate, speed = acquisition.probe, acquisition.sample_rate_hz, acquisition.sound_speed_m_s
    found = np.zeros((*signals.shape[:1], *x.shape, probe.elements), complex)
    carrier = acquisition.carrier_hz if np.iscomplexobj(signals) else 0.0
    window = WINDOWS[settings.window]
    for w, transmit in enumerate(acquisition.transmits):
        outward = transmit.path_m(x, z, probe, speed) / speed - transmit.start_s
        scale = np.ones(x.shape)
        if settings.transmit_f_number:
            part = transmit.weight(x, z, settings.transmit_f_number, speed / (acquisition.carrier_hz or rate / 4))
            scale = WINDOWS[settings.transmit_window](part)
        for e in range(probe.elements):
            dx, dz = x - probe.element_x_m[e], z - probe.element_z_m[e]
            cosine, sine = np.cos(probe.element_angle_rad[e]), np.sin(probe.element_angle_rad[e])
            delay = outward + np.hypot(dx, dz) / speed + probe.lens_delay_s
            weight = scale.copy()
            if settings.f_number:
                lateral, along = np.abs(dx * cosine - dz * sine), dx * sine + dz * cosine
                part = np.where(along > 0, 2 * settings.f_number * lateral / np.where(along > 0, along, 1), 2)
                weight *= window(part)
            row = np.concatenate([np.zeros(2), signals[w, e], np.zeros(3)])
            at = np.clip(delay * rate, -2, signals.shape[2]) + 2
            place = at.astype(int)
            value = row[place] * (1 - (at - place)) + row[place + 1] * (at - place)
            found[w, ..., e] = weight * value * np.exp(2j * np.pi * carrier * delay)
    return found


def error_db(found: np.ndarray, expected: np.ndarray) -> float:
    """The largest error, in dB of the largest value expected."""
    return float(20 * np.log10(np.abs(found - expected).max() / np.abs(expected).max() + 1e-20))


def point_echoes(
    acquisition: Acquisition, points: list[tuple[float, float]], bandwidth_hz: float = 2.5e6
) -> np.ndarray:
    """Analytic echoes (transmits, elements, samples) of points (x, z), each where theory puts it."""
    probe, speed = acquisition.probe, acquisition.sound_speed_m_s
    time = np.arange(acquisition.samples) / acquisition.sample_rate_hz
    found = np.zeros(acquisition.shape, complex)
    for w, transmit in enumerate(acquisition.transmits):
        for x, z in points:
            outward = transmit.path_m(np.array([x]), np.array([z]), probe, speed)
            back = np.hypot(probe.element_x_m - x, probe.element_z_m - z)
            arrival = (outward + back) / speed + probe.lens_delay_s - transmit.start_s
            late = time - arrival[:, None]
            found[w] += np.exp(-((late * bandwidth_hz) ** 2)) * np.exp(2j * np.pi * acquisition.carrier_hz * late)
    return found


def scatterers_echoes(
    acquisition: Acquisition, x: np.ndarray, z: np.ndarray, strength: np.ndarray, bandwidth_hz: float = 2.5e6
) -> np.ndarray:
    """RF (1, elements, samples) of many scatterers after one transmit.

    Each is an impulse on a grid of 16 times the sampling rate (within 0.05 radians of the carrier), and all of them go
    through one Gaussian pulse.
    """
    finer, probe, (transmit,) = 16, acquisition.probe, acquisition.transmits
    rate, length = finer * acquisition.sample_rate_hz, finer * acquisition.samples
    time = (np.arange(length) - length // 2) / rate
    pulse = np.exp(-((time * bandwidth_hz) ** 2)) * np.cos(2 * np.pi * acquisition.carrier_hz * time)
    spectrum = np.fft.rfft(np.fft.ifftshift(pulse))
    outward = transmit.path_m(x, z, probe, acquisition.sound_speed_m_s) / acquisition.sound_speed_m_s - transmit.start_s
    found = np.empty(acquisition.shape, np.float32)
    for row, place_x, place_z in zip(found[0], probe.element_x_m, probe.element_z_m, strict=True):
        at = np.rint((outward + np.hypot(x - place_x, z - place_z) / acquisition.sound_speed_m_s) * rate).astype(int)
        heard = (at >= 0) & (at < length)
        impulses = np.bincount(at[heard], strength[heard], length)
        row[:] = np.fft.irfft(np.fft.rfft(impulses) * spectrum, length)[::finer]
    return found
