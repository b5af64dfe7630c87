"""Our delay-and-sum against PyMUST's and USTB's, on plane, diverging and focused waves: within −60 dB of full scale."""

from __future__ import annotations

import numpy as np
import pytest

from edgerecon.beamform import Acquisition, Beamformer, CartesianGrid, Settings, Transmit, linear_array
from edgerecon.beamform.transmits import diverging_wave, focused_wave, plane_wave

SPEED, RATE, CARRIER, START, ELEMENTS, PITCH, SAMPLES = 1540.0, 20e6, 5e6, 0.0, 48, 0.3e-3, 1100
PROBE = linear_array(ELEMENTS, PITCH)
F_NUMBER = 1.5


def acquisition_of(transmit: Transmit) -> Acquisition:
    return Acquisition(PROBE, (transmit,), SAMPLES, RATE, CARRIER, SPEED, iq=True, first_sample_s=START)


def signals(rng: np.random.Generator) -> np.ndarray:
    """IQ of random echoes within a third of the sampling rate, (1, elements, samples)."""
    white = rng.standard_normal((1, ELEMENTS, SAMPLES)) + 1j * rng.standard_normal((1, ELEMENTS, SAMPLES))
    spectrum = np.fft.fft(white)
    spectrum[..., SAMPLES // 6 : -SAMPLES // 6] = 0
    return np.fft.ifft(spectrum).astype(np.complex64)


def error_db(found: np.ndarray, theirs: np.ndarray) -> float:
    return float(20 * np.log10(np.abs(found - theirs).max() / np.abs(theirs).max()))


@pytest.mark.parametrize("kind", ["plane", "diverging", "focused"])
def test_pymust_sums_the_same(native: None, rng: np.random.Generator, kind: str) -> None:
    """PyMUST takes the first arrival of its elements: a focused wave is compared on its axis, above its focus."""
    pymust = pytest.importorskip("pymust", reason="PyMUST is not installed: make test installs it")
    x = np.arange(-8, 9) * PITCH / 2
    if kind == "plane":
        transmit, delay, z = plane_wave(0.0, START), np.zeros(ELEMENTS), np.linspace(27e-3, 36e-3, 41)
    elif kind == "diverging":
        transmit, z = diverging_wave(0.0, -30e-3, START), np.linspace(27e-3, 36e-3, 41)
        delay = transmit.path_m(PROBE.element_x_m, PROBE.element_z_m, PROBE, SPEED) / SPEED
    else:
        transmit, x, z = focused_wave(0.0, 60e-3, START), np.zeros(1), np.linspace(27e-3, 36e-3, 41)
        delay = transmit.path_m(PROBE.element_x_m, PROBE.element_z_m, PROBE, SPEED) / SPEED
    grid, echoes = CartesianGrid(x, z), signals(rng)
    param = pymust.utils.Param()
    param.fs, param.fc, param.c, param.pitch, param.Nelements = RATE, CARRIER, SPEED, PITCH, ELEMENTS
    param.fnumber, param.t0 = F_NUMBER, np.array([START])
    gx, gz = grid.points_m()
    matrix = pymust.dasmtx(1j * np.array([SAMPLES, ELEMENTS]), gx, gz, delay[None], param)
    theirs = (matrix @ echoes[0].ravel()).reshape(gx.shape, order="F")
    found = Beamformer(acquisition_of(transmit), grid, Settings(f_number=F_NUMBER, window="boxcar"))(echoes)
    assert error_db(found, theirs) < -60


@pytest.mark.parametrize("kind", ["plane", "diverging", "focused"])
@pytest.mark.parametrize("kernels", [True, False])
def test_ustb_sums_the_same(
    native: None, rng: np.random.Generator, capsys: pytest.CaptureFixture[str], kind: str, kernels: bool
) -> None:
    pytest.importorskip("ustb", reason="ustb is not installed: make test installs it")
    import pyuff_ustb as uff
    from ustb.apodization import Apodization
    from ustb.enums import Dimension, Window
    from ustb.midprocess import DAS

    transmit = {
        "plane": plane_wave(0.15, START),
        "diverging": diverging_wave(2e-3, -10e-3, START),
        "focused": focused_wave(1e-3, 28e-3, START),
    }[kind]
    place = (transmit.source_x_m, transmit.source_z_m)
    point = uff.Point(distance=np.inf, azimuth=transmit.angle_rad, elevation=0.0)
    if kind != "plane":
        azimuth = np.arctan2(*place) if kind == "focused" else np.arctan(place[0] / place[1])
        distance = np.hypot(*place) * np.sign(place[1])
        point = uff.Point(distance=float(distance), azimuth=float(azimuth), elevation=0.0)
    front = uff.Wavefront.plane if kind == "plane" else uff.Wavefront.spherical
    grid, echoes = CartesianGrid(np.linspace(-5e-3, 5e-3, 21), np.linspace(18e-3, 36e-3, 31)), signals(rng)
    das = DAS()
    das.dimension, das.spherical_transmit_delay_model = Dimension.both, "spherical"
    das.channel_data = uff.ChannelData(
        sampling_frequency=RATE,
        initial_time=START,
        sound_speed=SPEED,
        modulation_frequency=CARRIER,
        sequence=[uff.Wave(wavefront=front, source=point, delay=0.0, sound_speed=SPEED)],
        probe=uff.LinearArray(N=ELEMENTS, pitch=PITCH, element_width=0.27e-3, element_height=5e-3),
        data=echoes[0].T[:, :, None, None],
    )
    das.scan = uff.LinearScan(x_axis=grid.x_m[:, None], z_axis=grid.z_m[:, None])
    das.transmit_apodization, das.receive_apodization = Apodization(), Apodization()
    das.receive_apodization.window = Window.hanning
    das.receive_apodization.f_number = np.array([F_NUMBER, F_NUMBER])
    theirs = np.asarray(das.go().data).reshape(-1)
    x, z = (np.asarray(axis).reshape(-1) for axis in (das.scan.x, das.scan.z))
    order = np.lexsort((x, z))
    theirs = theirs[order].reshape(grid.shape) * np.exp(2j * np.pi * CARRIER * 2 * z[order].reshape(grid.shape) / SPEED)
    capsys.readouterr()  # it prints how long it took
    settings = Settings(f_number=F_NUMBER, window="hann")
    found = Beamformer(acquisition_of(transmit), grid, settings, kernels=kernels)(echoes)
    assert error_db(found, theirs) < -60
