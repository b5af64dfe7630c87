"""Physics: a wire's place and width, and the statistics of speckle, on echoes that theory gives."""

from __future__ import annotations

import numpy as np
import pytest

from edgerecon.beamform import Acquisition, Beamformer, CartesianGrid, Settings, linear_array, plane_wave
from edgerecon.quality.evaluate.channel_data import measure_envelope
from edgerecon.quality.measures.speckle import speckle_snr
from edgerecon.quality.measures.speckle_distribution import rayleigh_test
from edgerecon.quality.targets import Targets, find_targets
from tests.beamform.formulas import CARRIER, RATE, SPEED, point_echoes, scatterers_echoes

WAVELENGTH = SPEED / CARRIER
ACQUISITION = Acquisition(linear_array(64, 0.3e-3), (plane_wave(0.0, 8e-6),), 700, RATE, CARRIER, SPEED, iq=False)


def phantom(seed: int, hole_mm: float = 0.0) -> np.ndarray:
    """RF of 5 200 scatterers of random sign, ten in a resolution cell, but for an empty disc at 20 mm."""
    rng = np.random.default_rng(seed)
    x, z = rng.uniform(-6e-3, 6e-3, 5200), rng.uniform(15e-3, 27e-3, 5200)
    outside = np.hypot(x, z - 20e-3) >= hole_mm * 1e-3
    strength = rng.choice([-1.0, 1.0], x.size)
    return scatterers_echoes(ACQUISITION, x[outside], z[outside], strength[outside])


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


def test_a_cyst_is_dark_and_found(native: None) -> None:
    grid = CartesianGrid(np.linspace(-5e-3, 5e-3, 101), np.linspace(16e-3, 26e-3, 201))
    envelope = np.abs(Beamformer(ACQUISITION, grid, Settings(f_number=1.5))(phantom(5, hole_mm=2.0)))
    x_mm, z_mm = grid.x_m * 1e3, grid.z_m * 1e3
    targets = Targets(cysts=((0.0, 20.0, 2.0),), speckle=((-3.2, 24.2, 1.7), (3.2, 24.2, 1.7), (0.0, 24.2, 1.7)))
    found = measure_envelope(envelope, x_mm, z_mm, targets)
    assert found.ks_p > 0.05
    assert found.contrast_db < -15 and found.gcnr > 0.8
    automatic = find_targets(envelope, x_mm, z_mm)
    assert any(np.hypot(x, z - 20.0) < 0.7 for x, z, _ in automatic.cysts) and not automatic.wires


def test_speckle_of_a_phantom_is_fully_developed(native: None) -> None:
    """SNR 1.91 ± 0.05 and Rayleigh: 30 draws of 4 × 8 mm, some 3 500 resolution cells side by side."""
    grid = CartesianGrid(np.arange(-20, 20) * 0.1e-3, 17e-3 + np.arange(80) * 0.1e-3)
    beamformer = Beamformer(ACQUISITION, grid, Settings(f_number=1.5))
    pictures = np.abs(beamformer.batch([phantom(seed) for seed in range(30)]))
    envelope = np.concatenate(pictures, 1)
    envelope /= np.sqrt(np.mean(envelope**2, axis=1, keepdims=True))  # deeper, more elements are summed
    assert speckle_snr(envelope) == pytest.approx(1.913, abs=0.05)
    distance, p = rayleigh_test(envelope, (5, 5))
    assert distance < 0.03 and p > 0.05
