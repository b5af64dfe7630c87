"""Beamform channel data made by hand: three plane waves on two points, by delay-and-sum and by coherence factor.

python examples/beamform_points.py
"""

from __future__ import annotations

import numpy as np

from edgerecon.beamform import Acquisition, Beamformer, CartesianGrid, Settings, linear_array, plane_wave

POINTS_MM = [(0.0, 12.0), (3.0, 16.0)]


def main() -> None:
    acquisition = Acquisition(
        probe=linear_array(64, pitch_m=0.3e-3),
        transmits=tuple(plane_wave(np.radians(angle)) for angle in (-8, 0, 8)),
        samples=600,
        sample_rate_hz=20e6,
        carrier_hz=5e6,
        sound_speed_m_s=1540.0,
        iq=False,
    )
    time_s = np.arange(acquisition.samples) / acquisition.sample_rate_hz
    signals = np.zeros(acquisition.shape, np.float32)  # (transmits, elements, samples)
    for rows, transmit in zip(signals, acquisition.transmits, strict=True):
        for x, z in np.array(POINTS_MM) * 1e-3:
            outward = transmit.path_m(np.array([x]), np.array([z]), acquisition.probe, acquisition.sound_speed_m_s)
            back = np.hypot(acquisition.probe.element_x_m - x, z)
            late = time_s - ((outward + back) / acquisition.sound_speed_m_s)[:, None]
            rows += np.exp(-((late * 2.5e6) ** 2)) * np.cos(2 * np.pi * acquisition.carrier_hz * late)

    grid = CartesianGrid(np.linspace(-6e-3, 6e-3, 49), np.linspace(8e-3, 20e-3, 97))
    for method in ("das", "cf"):
        beamformer = Beamformer(acquisition, grid, Settings(method=method, f_number=1.5))
        picture = np.abs(beamformer(signals))
        row, column = np.unravel_index(picture.argmax(), picture.shape)
        where = f"x {grid.x_m[column] * 1e3:.2f} mm, z {grid.z_m[row] * 1e3:.2f} mm"
        print(f"{method}: brightest at {where}; {beamformer.form_ms:.1f} ms ({beamformer.backend})")


if __name__ == "__main__":
    main()
