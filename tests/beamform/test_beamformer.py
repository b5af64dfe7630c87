"""The beamformer against its formulas in float64, and against where points must lie."""

from __future__ import annotations

import re
from dataclasses import replace

import numpy as np
import pytest

from edgerecon.beamform import (
    Beamformer,
    CartesianGrid,
    PolarGrid,
    Settings,
    curved_array,
    linear_array,
    parse_grid,
    plane_wave,
)
from edgerecon.beamform.job import make_job
from edgerecon.beamform.methods import methods
from edgerecon.beamform.signals import upsampled
from edgerecon.core.errors import AcquisitionError, UsageError
from edgerecon.cpu.das import CpuBeamformer
from edgerecon.cpu.library import load_library
from tests.beamform.conftest import TRANSMITS, acquisition_of
from tests.beamform.formulas import CARRIER, RATE, aperture_data, error_db, point_echoes


def noise(rng: np.random.Generator, shape: tuple[int, ...]) -> np.ndarray:
    return (rng.standard_normal(shape) + 1j * rng.standard_normal(shape)).astype(np.complex64)


@pytest.mark.parametrize("window", ["boxcar", "hann", "tukey50"])
@pytest.mark.parametrize("kind", TRANSMITS)
def test_das_is_the_sum_itself(kernels: bool, grid: CartesianGrid, rng, kind: str, window: str) -> None:
    acquisition = acquisition_of(TRANSMITS[kind], iq=True)
    settings = Settings(window=window, f_number=0.0 if window == "boxcar" else 1.2)
    signals = noise(rng, acquisition.shape)
    found = Beamformer(acquisition, grid, settings, kernels=kernels)(signals)
    assert error_db(found, aperture_data(acquisition, grid, settings, signals).sum((0, 3))) < -60


def test_parts_of_the_aperture_are_their_sums(kernels: bool, grid: CartesianGrid, rng) -> None:
    acquisition, settings = acquisition_of(TRANSMITS["plane"], iq=True), Settings(window="boxcar", f_number=1.2)
    acquisition = replace(acquisition, probe=curved_array(24, 0.3e-3, 40e-3))
    signals = noise(rng, acquisition.shape)
    beamformer = Beamformer(acquisition, grid, settings, kernels=kernels)
    found = beamformer.split(signals, 4)
    data, probe, (x, z) = aperture_data(acquisition, grid, settings, signals)[0], acquisition.probe, grid.points_m()
    dx, dz = x[..., None] - probe.element_x_m, z[..., None] - probe.element_z_m
    cosine, sine = np.cos(probe.element_angle_rad), np.sin(probe.element_angle_rad)
    place = np.floor(((dx * cosine - dz * sine) * 2.4 / (dx * sine + dz * cosine) + 1) * 2)
    for part in range(4):
        expected = np.where(place == part, data, 0).sum(-1)
        assert error_db(found[part] + 1j * found[4 + part], expected) < -60, part
    assert error_db(found[:4].sum(0) + 1j * found[4:].sum(0), beamformer(signals)) < -60


def test_parts_need_an_aperture_and_its_sum(grid: CartesianGrid) -> None:
    acquisition = acquisition_of(TRANSMITS["plane"], iq=True)
    for settings in (Settings(f_number=0), Settings(method="cf"), Settings(compounding="incoherent")):
        with pytest.raises(UsageError, match="parts of the aperture"):
            Beamformer(acquisition, grid, settings, kernels=False).split(np.ones(acquisition.shape), 4)


@pytest.mark.parametrize("dtype", ["i2", "f4", "f8"])
def test_rf_is_summed_as_it_is(kernels: bool, grid: CartesianGrid, rng, dtype: str) -> None:
    acquisition, settings = acquisition_of(TRANSMITS["plane"]), Settings(signal="rf")
    signals = rng.integers(-3000, 3000, acquisition.shape).astype(dtype)
    found = Beamformer(acquisition, grid, settings, kernels=kernels)(signals)
    assert found.dtype == np.float32
    assert error_db(found, aperture_data(acquisition, grid, settings, signals).sum((0, 3)).real) < -60


@pytest.mark.parametrize("order", ["C", "F"])
def test_mixing_down_changes_no_echo(kernels: bool, grid: CartesianGrid, order: str) -> None:
    """RF of pulses, mixed down here, gives the picture of their analytic signals."""
    acquisition, settings = acquisition_of(TRANSMITS["plane"]), Settings(f_number=1.0)
    echoes = point_echoes(acquisition, [(0.0, 7e-3), (2e-3, 11e-3)])
    found = Beamformer(acquisition, grid, settings, kernels=kernels)(np.asarray(echoes.real, np.float32, order=order))
    baseband = echoes * np.exp(-2j * np.pi * CARRIER * np.arange(acquisition.samples) / RATE)
    expected = aperture_data(acquisition, grid, settings, baseband).sum((0, 3))
    assert error_db(found, expected) < -40, "the low pass's own ripple"


def test_two_samples_a_period_are_enough(kernels: bool, grid: CartesianGrid) -> None:
    """Pulses of 50 % bandwidth, sampled four times a period and decimated, against samples eight times as dense."""
    acquisition, settings = acquisition_of(TRANSMITS["plane"]), Settings(f_number=1.0)
    points, bandwidth_hz = [(0.0, 7e-3), (2e-3, 11e-3)], 0.25 * CARRIER * np.pi / np.sqrt(np.log(2))
    dense = replace(acquisition, sample_rate_hz=8 * RATE, samples=8 * acquisition.samples)
    turn = np.exp(-2j * np.pi * CARRIER * np.arange(dense.samples) / dense.sample_rate_hz)
    expected = aperture_data(dense, grid, settings, point_echoes(dense, points, bandwidth_hz) * turn).sum((0, 3))
    echoes = point_echoes(acquisition, points, bandwidth_hz).real.astype(np.float32)
    assert error_db(Beamformer(acquisition, grid, settings, kernels=kernels)(echoes), expected) < -38


@pytest.mark.parametrize("peak", [1e200, 1e-200])
def test_samples_beyond_float32_are_refused(kernels: bool, grid: CartesianGrid, peak: float) -> None:
    acquisition = acquisition_of(TRANSMITS["plane"])
    with pytest.raises(AcquisitionError, match=re.escape(f"largest sample of a frame is {peak:.3g}")):
        Beamformer(acquisition, grid, kernels=kernels)(np.full(acquisition.shape, peak))


@pytest.mark.parametrize("iq", [False, True])
def test_real_and_complex_samples_are_not_mixed_up(grid: CartesianGrid, iq: bool) -> None:
    acquisition = acquisition_of(TRANSMITS["plane"], iq=iq)
    signals = np.ones(acquisition.shape, np.float32 if iq else np.complex64)
    with pytest.raises(AcquisitionError, match=f"iq is {str(iq).lower()}, but the signals of a frame are"):
        Beamformer(acquisition, grid, kernels=False)(signals)


def test_grids_without_places_are_refused() -> None:
    for x_m in ([0.0, np.nan], [0.0, np.inf]):
        with pytest.raises(UsageError, match="x_m of a grid makes no sense"):
            CartesianGrid(np.array(x_m), np.array([1e-2, 2e-2]))
    with pytest.raises(UsageError, match="angle_rad of a grid makes no sense"):
        PolarGrid(np.linspace(1e-2, 2e-2, 5), np.array([-0.3, np.nan]))


@pytest.mark.parametrize("dtype", ["i2", "f4"])
def test_saturated_rf_is_not_clipped_a_second_time(native: None, grid: CartesianGrid, rng, dtype: str) -> None:
    """Samples at both ends of 16 bits: the envelope of such RF exceeds its largest sample."""
    acquisition = acquisition_of(TRANSMITS["plane"])
    signals = (32767 * np.sign(rng.standard_normal(acquisition.shape))).astype(dtype)
    quick, exact = (Beamformer(acquisition, grid, kernels=kernels) for kernels in (True, False))
    found = quick(signals)
    assert error_db(found, exact(signals)) < -60
    assert quick.full_scale < 24_000 == exact.full_scale
    frames = [signals // 2, signals]
    assert error_db(Beamformer(acquisition, grid).batch(frames), exact.batch(frames)) < -60
    np.testing.assert_array_equal(quick(signals), found, "the scale stays for the rest of the recording")


@pytest.mark.parametrize("rate", [RATE, 2 * RATE, 0.6 * RATE, 1.03 * RATE])
@pytest.mark.parametrize("z_mm", [(5.0, 7.0), (10.0, 14.0)])
def test_samples_that_no_pixel_hears_are_left_out(native: None, rng, rate: float, z_mm: tuple[float, float]) -> None:
    """Decimated, kept and up-sampled, against NumPy, which mixes all of a frame down."""
    acquisition = replace(acquisition_of(TRANSMITS["plane"], TRANSMITS["focused"], samples=900), sample_rate_hz=rate)
    few = CartesianGrid(np.linspace(-3e-3, 3e-3, 19), np.linspace(z_mm[0] * 1e-3, z_mm[1] * 1e-3, 21))
    signals = (rng.standard_normal(acquisition.shape) * 1500).astype(np.int16)
    found, expected = (Beamformer(acquisition, few, kernels=kernels)(signals) for kernels in (True, False))
    assert error_db(found, expected) < -60


@pytest.mark.parametrize("signal", ["iq", "analytic"])
@pytest.mark.parametrize("method", methods())
def test_points_lie_where_they_are(kernels: bool, grid: CartesianGrid, method: str, signal: str) -> None:
    acquisition = acquisition_of(*TRANSMITS.values())
    settings = Settings(method=method, signal=signal, f_number=1.0)
    x, z = float(grid.x_m[12]), float(grid.z_m[20])
    echoes = point_echoes(acquisition, [(x, z)]).real.astype(np.float32)
    found = np.abs(Beamformer(acquisition, grid, settings, kernels=kernels)(echoes))
    assert np.unravel_index(found.argmax(), found.shape) == (20, 12)


def test_methods_are_their_formulas(kernels: bool, grid: CartesianGrid, rng) -> None:
    acquisition = acquisition_of(TRANSMITS["plane"], TRANSMITS["focused"], iq=True)
    signals = noise(rng, acquisition.shape)
    data = aperture_data(acquisition, grid, Settings(window="boxcar"), signals).sum(0)
    whole, heard = data.sum(-1), (np.abs(data) > 0).sum(-1)
    energy = np.square(np.abs(data)).sum(-1)
    roots = data / np.sqrt(np.maximum(np.abs(data), 1e-30))
    pairs = [roots[..., i] * roots[..., j] for i in range(24) for j in range(i)]
    expected = {
        "cf": whole * np.abs(whole) ** 2 / (heard * energy),
        "dmas": np.sum(pairs, axis=0),
    }
    for method, wanted in expected.items():
        settings = Settings(method=method, window="boxcar")
        assert error_db(Beamformer(acquisition, grid, settings, kernels=kernels)(signals), wanted) < -55, method


def test_minimum_variance_is_capon_with_smoothing(grid: CartesianGrid, rng) -> None:
    """One pixel at a time, by the inverse itself, without reduction."""
    acquisition = acquisition_of(TRANSMITS["plane"], iq=True)
    signals = noise(rng, acquisition.shape)
    settings = Settings(method="mv", reduction=0, loading=0.05, f_number=1.0)
    found = Beamformer(acquisition, grid, settings, kernels=False)(signals)
    data = aperture_data(acquisition, grid, replace(settings, window="boxcar"), signals)[0]
    for row, column in ((10, 5), (30, 9), (36, 18)):
        heard = data[row, column][np.abs(data[row, column]) > 0]
        length = int(0.5 * heard.size)
        runs = [heard[at : at + length] for at in range(heard.size - length + 1)]
        covariance = np.mean([np.outer(one, one.conj()) for one in runs], axis=0)
        covariance += 0.05 * np.trace(covariance).real / length * np.eye(length)
        weights = np.linalg.inv(covariance) @ np.ones(length)
        weights /= weights.sum()
        expected = heard.size * np.mean([weights.conj() @ one for one in runs])
        assert abs(found[row, column] - expected) < 1e-3 * abs(expected)


def test_gcf_without_neighbours_is_the_coherence_factor(kernels: bool, grid: CartesianGrid, rng) -> None:
    acquisition = acquisition_of(TRANSMITS["plane"], iq=True)
    signals = noise(rng, acquisition.shape)
    cf, gcf = (
        Beamformer(acquisition, grid, Settings(method=name, window="boxcar", low_frequencies=0), kernels=kernels)(
            signals
        )
        for name in ("cf", "gcf")
    )
    assert error_db(gcf, cf) < -60


def test_many_frames_are_the_frames(native: None, grid: CartesianGrid, rng) -> None:
    """33 frames: two passes, the second of one frame in sixteen lanes."""
    acquisition = acquisition_of(TRANSMITS["plane"], TRANSMITS["diverging"], samples=300, elements=12)
    for signal in ("iq", "rf"):
        beamformer = Beamformer(acquisition, grid, Settings(signal=signal, transmit_f_number=2, transmit_window="hann"))
        frames = [(rng.standard_normal(acquisition.shape) * (1 + at / 33)).astype(np.float32) for at in range(33)]
        found = beamformer.batch(frames)
        expected = np.stack([beamformer(frame) for frame in frames])
        assert error_db(found, expected) < -60


@pytest.mark.parametrize("iq", [True, False])
def test_many_frames_agree_in_every_instruction_set(native: None, grid: CartesianGrid, rng, iq: bool) -> None:
    """40 frames in 48 lanes: a pair of vectors of frames, and one vector."""
    acquisition = acquisition_of(TRANSMITS["plane"], iq=iq)
    settings = Settings(signal="iq" if iq else "rf")
    job = make_job(acquisition, acquisition.transmits, grid, settings, 450, RATE, CARRIER if iq else 0.0, "das")
    frames, expected = [], []
    for name in load_library().instruction_sets():
        one = CpuBeamformer(load_library(), job, 2, name)
        if not frames:
            frames = [one.rows() for _ in range(40)]
            for rows in frames:
                signals = noise(rng, acquisition.shape)
                one.load(signals if iq else signals.real.copy(), 5000.0, rows)
        found = np.empty((40, *grid.shape), np.complex64 if iq else np.float32)
        one.batch(frames, 1.0, found)
        expected.append(found)
    singly = np.empty_like(expected[0])
    for rows, picture in zip(frames, singly, strict=True):
        one.run(rows, 1.0, picture)
    assert all(error_db(found, singly) < -60 and error_db(found, expected[0]) < -70 for found in expected)


def test_kernels_refuse_signals_of_another_kind_or_size(native: None, grid: CartesianGrid, rng) -> None:
    acquisition = acquisition_of(TRANSMITS["plane"], iq=True)
    job = make_job(acquisition, acquisition.transmits, grid, Settings(), 450, RATE, CARRIER, "das")
    one = CpuBeamformer(load_library(), job, 1)
    signals = noise(rng, acquisition.shape)
    with pytest.raises(ValueError, match="the sum is of IQ"):
        one.load(signals.real.copy(), 1.0, one.rows())
    with pytest.raises(ValueError, match="waves and elements"):
        one.load(signals[:, 1:], 1.0, one.rows())


def test_incoherent_compounding_adds_powers(kernels: bool, grid: CartesianGrid, rng) -> None:
    both = acquisition_of(TRANSMITS["plane"], TRANSMITS["diverging"], iq=True)
    signals = noise(rng, both.shape)
    found = Beamformer(both, grid, Settings(compounding="incoherent"), kernels=kernels)(signals)
    single = [
        np.abs(Beamformer(replace(both, transmits=(one,)), grid, kernels=kernels)(signals[at : at + 1])) ** 2
        for at, one in enumerate(both.transmits)
    ]
    assert error_db(found, np.sqrt(sum(single))) < -60


def test_transmits_count_within_their_beam(kernels: bool, grid: CartesianGrid, rng) -> None:
    acquisition = acquisition_of(*TRANSMITS.values(), iq=True)
    settings = Settings(transmit_f_number=2.0, transmit_window="hann")
    signals = noise(rng, acquisition.shape)
    found = Beamformer(acquisition, grid, settings, kernels=kernels)(signals)
    assert error_db(found, aperture_data(acquisition, grid, settings, signals).sum((0, 3))) < -60


def test_curved_arrays_and_fans(kernels: bool, rng) -> None:
    probe = curved_array(24, 0.4e-3, 20e-3, lens_delay_s=0.3e-6)
    acquisition = replace(acquisition_of(plane_wave(0.0, 1e-6), iq=True, samples=600), probe=probe)
    grid = PolarGrid(np.linspace(24e-3, 36e-3, 33), np.radians(np.linspace(-20, 20, 21)), 0.0, -20e-3)
    settings = Settings(f_number=1.5)
    signals = noise(rng, acquisition.shape)
    found = Beamformer(acquisition, grid, settings, kernels=kernels)(signals)
    assert error_db(found, aperture_data(acquisition, grid, settings, signals).sum((0, 3))) < -60


@pytest.mark.parametrize("threads", [1, 3])
def test_threads_and_instruction_sets_agree(native: None, grid: CartesianGrid, rng, threads: int) -> None:
    acquisition = acquisition_of(TRANSMITS["plane"], iq=True)
    signals, pictures = noise(rng, acquisition.shape), []
    job = make_job(acquisition, acquisition.transmits, grid, Settings(), 450, RATE, CARRIER, "das")
    for name in load_library().instruction_sets():
        one = CpuBeamformer(load_library(), job, threads, name)
        rows, out = one.rows(), np.empty(grid.shape, np.complex64)
        one.load(signals, 5000.0, rows)
        one.run(rows, 1.0, out)
        pictures.append(out)
    assert all(error_db(one, pictures[0]) < -80 for one in pictures)


def test_iq_states_its_own_clock(kernels: bool, grid: CartesianGrid, rng) -> None:
    """IQ mixed down on a clock that began earlier is the same picture, turned."""
    acquisition = acquisition_of(TRANSMITS["plane"], iq=True)
    signals = noise(rng, acquisition.shape)
    plain = Beamformer(acquisition, grid, kernels=kernels)(signals)
    later = Beamformer(replace(acquisition, first_sample_s=1.7e-7), grid, kernels=kernels)(signals)
    assert error_db(later, plain * np.exp(2j * np.pi * CARRIER * 1.7e-7)) < -60


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"sound_speed_m_s": float("nan")}, "sound_speed_m_s is missing"),
        ({"sample_rate_hz": -1.0}, "sample_rate_hz makes no sense"),
        ({"sample_rate_hz": 10.2e6}, "sample_rate_hz .* Nyquist"),
        ({"carrier_hz": float("inf")}, "carrier_hz makes no sense"),
        ({"iq": True, "carrier_hz": 0.0}, "carrier_hz is missing"),
        ({"transmits": (replace(TRANSMITS["plane"], kind="spiral"),)}, "transmit kind 'spiral' is unknown"),
        ({"transmits": (plane_wave(float("nan")),)}, "angle_rad of a transmit"),
        ({"transmits": ()}, "no channel data"),
        ({"samples": 10**9}, "no more than it can hold"),
        (
            {"probe": linear_array(24, 0.3)},
            r"element_x_m \(the pitch\) makes no sense: a probe 6.9 m wide; give metres",
        ),
    ],
)
def test_a_wrong_acquisition_is_one_line_with_its_field(grid: CartesianGrid, change: dict, field: str) -> None:
    with pytest.raises(AcquisitionError, match=field) as caught:
        Beamformer(replace(acquisition_of(TRANSMITS["plane"]), **change), grid, kernels=False)
    assert "\n" not in str(caught.value)


def test_wrong_frames_are_refused(grid: CartesianGrid) -> None:
    beamformer = Beamformer(acquisition_of(TRANSMITS["plane"]), grid, kernels=False)
    with pytest.raises(AcquisitionError, match="do not fit 1 transmits, 24 elements and 450 samples"):
        beamformer(np.zeros((1, 23, 450), np.float32))
    broken = np.zeros((1, 24, 450), np.float32)
    broken[0, 3, 7] = np.nan
    with pytest.raises(AcquisitionError, match="not all finite"):
        beamformer(broken)


def test_a_beam_is_as_wide_as_the_wavelength_that_is_found(grid: CartesianGrid) -> None:
    """RF whose carrier is not stated: at its focus, a beam is one wavelength of the spectrum's middle wide."""
    stated = acquisition_of(TRANSMITS["focused"])
    echoes = point_echoes(stated, [(1e-3, 11e-3)]).real.astype(np.float32)
    for signal in ("iq", "rf"):
        settings = Settings(signal=signal, transmit_f_number=3.0)
        expected = Beamformer(stated, grid, settings, kernels=False)(echoes)
        found = Beamformer(replace(stated, carrier_hz=0.0), grid, settings, kernels=False)(echoes)
        assert error_db(np.abs(found), np.abs(expected)) < -30, signal
        assert ((found != 0) == (expected != 0)).mean() > 0.99, signal


def test_a_forked_child_lets_a_beamformer_go(native: None, grid: CartesianGrid) -> None:
    """Its threads exist in the parent alone: nobody waits for them."""
    import multiprocessing

    held = [Beamformer(acquisition_of(TRANSMITS["plane"]), grid, threads=3)]
    child = multiprocessing.get_context("fork").Process(target=held.clear)
    child.start()
    child.join(30)
    if child.is_alive():
        child.kill()
        child.join(30)
    assert child.exitcode == 0


@pytest.mark.parametrize("samples", [9, 10])
def test_iq_is_up_sampled_by_its_spectrum(samples: int) -> None:
    time = np.arange(samples * 3) / 3
    for cycles in range(-(samples // 2) + 1, (samples + 1) // 2):
        wave = np.exp(2j * np.pi * cycles * time / samples)
        np.testing.assert_allclose(upsampled(wave[::3], 3), wave, atol=1e-5)


@pytest.mark.parametrize(
    "make",
    [
        lambda: CartesianGrid(np.arange(0.0), np.arange(9.0)),
        lambda: CartesianGrid(np.arange(9000.0), np.arange(9000.0)),
        lambda: PolarGrid(np.arange(9000.0), np.arange(9000.0)),
        lambda: PolarGrid(np.arange(1.0, 90.0), np.array([0.0, 0.0])),
        lambda: PolarGrid(np.arange(1.0, 90.0), np.array([0.0, 1e-7])),
        lambda: parse_grid("polar,0:900:0.001,-60:60:0.001", acquisition_of(TRANSMITS["plane"])),
        lambda: parse_grid("-20:20:0.001,0:90:0.001", acquisition_of(TRANSMITS["plane"])),
        lambda: Beamformer(
            acquisition_of(*[plane_wave(at / 100) for at in range(99)]),
            CartesianGrid(np.arange(3000.0), np.arange(3000.0)),
        ),
    ],
)
def test_grids_of_no_or_too_many_pixels_are_refused(make) -> None:
    with pytest.raises(UsageError) as caught:
        make()
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("wrong", [{"method": "magic"}, {"window": "x"}, {"f_number": -1}, {"subaperture": 0.9}])
def test_wrong_settings_are_usage_errors(wrong: dict) -> None:
    with pytest.raises(UsageError):
        Settings(**wrong)
