"""Beamform channel data made by hand: three plane waves on two points, by delay-and-sum and by coherence factor."""

from __future__ import annotations

import numpy as np

from edgerecon.beamform import Acquisition, Beamformer, CartesianGrid, Settings, linear_array, plane_wave

probe, speed = linear_array(64, pitch_m=0.3e-3), 1540.0
transmits = tuple(plane_wave(np.radians(angle)) for angle in (-8, 0, 8))
acquisition = Acquisition(probe, transmits, 600, 20e6, 5e6, speed, iq=False)

time_s = np.arange(acquisition.samples) / acquisition.sample_rate_hz
signals = np.zeros(acquisition.shape, np.float32)  # (transmits, elements, samples)
for rows, transmit in zip(signals, transmits, strict=True):
    for x, z in ((0.0, 12e-3), (3e-3, 16e-3)):
        path = transmit.path_m(np.array([x]), np.array([z]), probe, speed) + np.hypot(probe.element_x_m - x, z)
        late = time_s - (path / speed)[:, None]
        rows += np.exp(-((late * 2.5e6) ** 2)) * np.cos(2 * np.pi * acquisition.carrier_hz * late)

grid = CartesianGrid(np.linspace(-6e-3, 6e-3, 49), np.linspace(8e-3, 20e-3, 97))
for method in ("das", "cf"):
    beamformer = Beamformer(acquisition, grid, Settings(method=method, f_number=1.5))
    picture = np.abs(beamformer(signals))
    row, column = np.unravel_index(picture.argmax(), picture.shape)
    where = f"x {grid.x_m[column] * 1e3:.2f} mm, z {grid.z_m[row] * 1e3:.2f} mm"
    print(f"{method}: brightest at {where}; {beamformer.form_ms:.1f} ms ({beamformer.backend})")
