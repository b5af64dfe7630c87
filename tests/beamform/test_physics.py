"""Physics: a wire's place and width, and the statistics of speckle, on echoes that theory gives."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from edgerecon.beamform import Acquisition, Beamformer, CartesianGrid, Settings, linear_array, plane_wave
from edgerecon.quality.evaluate.channel_data import measure_envelope
from edgerecon.quality.targets import Targets, find_targets
from tests.beamform.formulas import CARRIER, RATE, SPEED, point_echoes

WAVELENGTH = SPEED / CARRIER
ACQUISITION = Acquisition(linear_array(64, 0.3e-3), (plane_wave(0.0, 8e-6),), 700, RATE, CARRIER, SPEED, iq=False)


@pytest.fixture(scope="module")
def phantom() -> np.ndarray:
    """Echoes of 5 200 scatterers of random sign, ten in a resolution cell, but for an empty disc; (1, 64, 700)."""
    rng = np.random.default_rng(5)
    x, z = rng.uniform(-6e-3, 6e-3, 5200), rng.uniform(15e-3, 27e-3, 5200)
    outside = np.hypot(x, z - 20e-3) > 2e-3
    x, z = x[outside], z[outside]
    strength = rng.choice([-1.0, 1.0], x.size)
    time = np.arange(ACQUISITION.samples) / RATE + 8e-6
    found = np.zeros((64, ACQUISITION.samples))
    for element, place in enumerate(ACQUISITION.probe.element_x_m):
        arrival = (z + np.hypot(x - place, z)) / SPEED
        first = np.searchsorted(time, arrival) - 16
        at = np.clip(first[:, None] + np.arange(32), 0, time.size - 1)
        late = time[at] - arrival[:, None]
        pulse = strength[:, None] * np.exp(-((late * 2.5e6) ** 2)) * np.cos(2 * np.pi * CARRIER * late)
        np.add.at(found[element], at, pulse)
    return found[None].astype(np.float32)


@pytest.mark.parametrize(("x_mm", "z_mm"), [(0.0, 18.0), (2.4, 22.0)])
def test_a_wire_lies_and_is_as_wide_as_theory_says(native: None, x_mm: float, z_mm: float) -> None:
    """Boxcar of F-number F: the lateral profile is sinc(x / (λF)), 1.207 λF wide at −6 dB."""
    f_number = 2.0
    step = WAVELENGTH / 10
    grid = CartesianGrid(x_mm * 1e-3 + np.arange(-60, 61) * step, z_mm * 1e-3 + np.arange(-60, 61) * step)
    echoes = point_echoes(ACQUISITION, [(x_mm * 1e-3, z_mm * 1e-3)]).real.astype(np.float32)
    envelope = np.abs(Beamformer(ACQUISITION, grid, Settings(f_number=f_number, window="boxcar"))(echoes))
    found = measure_envelope(envelope, grid.x_m * 1e3, grid.z_m * 1e3, Targets(wires=((x_mm, z_mm),), given=True))
    assert found.distortion_mm < WAVELENGTH / 2 * 1e3
    assert found.lateral_fwhm_mm == pytest.approx(1.207 * WAVELENGTH * f_number * 1e3, rel=0.1)
    pulse_mm = 2 * np.sqrt(np.log(2)) / 2.5e6 * SPEED / 2 * 1e3  # of the Gaussian, there and back
    assert found.axial_fwhm_mm == pytest.approx(pulse_mm, rel=0.1)
    assert -16 < found.side_lobe_db < -11, "13.3 dB of a sinc"


def test_speckle_is_rayleigh_and_a_cyst_is_dark(native: None, phantom: np.ndarray) -> None:
    grid = CartesianGrid(np.linspace(-5e-3, 5e-3, 101), np.linspace(16e-3, 26e-3, 201))
    envelope = np.abs(Beamformer(ACQUISITION, grid, Settings(f_number=1.5))(phantom))
    x_mm, z_mm = grid.x_m * 1e3, grid.z_m * 1e3
    targets = Targets(cysts=((0.0, 20.0, 2.0),), speckle=((-3.2, 24.2, 1.7), (3.2, 24.2, 1.7), (0.0, 24.2, 1.7)))
    found = measure_envelope(envelope, x_mm, z_mm, targets)
    assert found.speckle_snr == pytest.approx(1.91, abs=0.3), "some thirty cells in each region"
    assert found.ks_p > 0.05
    assert found.contrast_db < -15 and found.gcnr > 0.8
    automatic = find_targets(envelope, x_mm, z_mm)
    assert any(np.hypot(x, z - 20.0) < 0.7 for x, z, _ in automatic.cysts) and not automatic.wires


def test_speckle_snr_of_many_draws(native: None) -> None:
    """1.91 ± 0.05: 24 000 independent cells, noise through the probe's own aperture and band."""
    acquisition = replace(ACQUISITION, iq=True)
    grid = CartesianGrid(np.arange(-8, 9) * 1e-3, np.arange(12, 28) * 0.6e-3 + 8e-3)
    rng = np.random.default_rng(2)
    beamformer = Beamformer(acquisition, grid, Settings(f_number=1.5))
    frames = rng.standard_normal((48, *acquisition.shape, 2), np.float32).view(np.complex64)[..., 0]
    amplitude = np.abs(beamformer.batch(list(frames)))
    amplitude /= np.sqrt(np.mean(amplitude**2, axis=0))
    assert float(amplitude.mean() / amplitude.std()) == pytest.approx(1.913, abs=0.05)
