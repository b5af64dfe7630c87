"""Our delay-and-sum on echoes that FastSIMUS simulates in the frequency domain: wires lie where they are."""

from __future__ import annotations

import numpy as np
import pytest

from edgerecon.beamform import Acquisition, Beamformer, CartesianGrid, Settings, linear_array, plane_wave
from edgerecon.quality.evaluate.channel_data import measure_envelope
from edgerecon.quality.targets import Targets

fast_simus = pytest.importorskip("fast_simus", reason="FastSIMUS is not installed: pip install fastsimus")

SPEED, CARRIER, ELEMENTS, PITCH = 1540.0, 5e6, 64, 0.3e-3
RATE, F_NUMBER = 4 * CARRIER, 2.0
WAVELENGTH = SPEED / CARRIER
WIRES = ((0.0, 18e-3), (2.4e-3, 22e-3))


@pytest.fixture(scope="module")
def echoes() -> np.ndarray:
    """RF of the wires after a plane wave, (1, elements, samples)."""
    probe = fast_simus.TransducerParams(
        freq_center=CARRIER, pitch=PITCH, n_elements=ELEMENTS, width=0.25e-3, bandwidth=0.6
    )
    medium = fast_simus.MediumParams(speed_of_sound=SPEED, attenuation=0.0)
    found = fast_simus.simus(np.array(WIRES), np.ones(2), np.zeros(ELEMENTS), probe, medium, fs=RATE)
    return np.ascontiguousarray(np.asarray(found.rf, np.float32).T)[None]


@pytest.mark.parametrize("wire", WIRES)
def test_a_wire_of_fastsimus_lies_where_it_is(native: None, echoes: np.ndarray, wire: tuple[float, float]) -> None:
    x, z = wire
    step = WAVELENGTH / 10
    grid = CartesianGrid(x + np.arange(-60, 61) * step, z + np.arange(-60, 61) * step)
    acquisition = Acquisition(
        linear_array(ELEMENTS, PITCH), (plane_wave(0.0),), echoes.shape[2], RATE, CARRIER, SPEED, iq=False
    )
    envelope = np.abs(Beamformer(acquisition, grid, Settings(f_number=F_NUMBER, window="boxcar"))(echoes))
    target = Targets(wires=((x * 1e3, z * 1e3),), given=True)
    found = measure_envelope(envelope, grid.x_m * 1e3, grid.z_m * 1e3, target)
    assert found.distortion_mm < WAVELENGTH / 2 * 1e3
    assert found.lateral_fwhm_mm == pytest.approx(1.207 * WAVELENGTH * F_NUMBER * 1e3, rel=0.1)
