"""Channel data: what is beamformed on the way in, against formulas, PyMUST and where points must lie."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edgerecon.beamform import Transmit, diverging_wave, focused_wave, linear_array, plane_wave
from edgerecon.core.errors import SourceError, UsageError
from edgerecon.stream.sources import open_source

h5py = pytest.importorskip("h5py", reason="h5py is not installed: pip install 'edgerecon[stream]'")

RATE, CARRIER, SPEED, START = 30e6, 5e6, 1540.0, 4e-6
SAMPLES, COUNT, PITCH = 660, 40, 0.3e-3
X = (np.arange(COUNT) - (COUNT - 1) / 2) * PITCH
POINTS = [(0.0, 10e-3), (3e-3, 14e-3)]
PROBE = linear_array(COUNT, PITCH)
PLANE = [plane_wave(float(np.radians(angle)), START) for angle in (-8, 0, 8)]
DIVERGING = [diverging_wave(x, -8e-3, START) for x in (-3e-3, 3e-3)]
FOCUSED = [focused_wave(x, 12e-3, START) for x in (-1e-3, 0.0, 3e-3)]


def pulse(late: np.ndarray) -> np.ndarray:
    """Analytic signal of a Gaussian pulse."""
    return np.exp(-((late * 3e6) ** 2)) * np.exp(2j * np.pi * CARRIER * late)


def echoes(waves: list[Transmit], time: np.ndarray) -> np.ndarray:
    """Of the points, (waves, elements, time), each where theory puts it."""
    data = np.zeros((len(waves), COUNT, time.shape[-1]), complex)
    for at, wave in enumerate(waves):
        for x, z in POINTS:
            arrival = (wave.path_m(np.array(x), np.array(z), PROBE, SPEED) + np.hypot(X - x, z)) / SPEED
            data[at] += pulse(time - arrival[:, None])
    return data


TIME = START + np.arange(SAMPLES) / RATE


FIRST_ROW = 0.2 * (START + SAMPLES / RATE) * SPEED / 2


def points_are_there(source, image: np.ndarray) -> None:
    """The brightest pixels are where the points are, and the rest is dark."""
    step = source.spacing_mm[0] * 1e-3
    found = image.copy()
    for x, z in POINTS:
        row, column = round((z - FIRST_ROW) / step), round((x - X[0]) / step)
        near = found[row - 20 : row + 21, column - 20 : column + 21]
        peak = np.unravel_index(near.argmax(), near.shape)
        assert np.abs(np.array(peak) - 20).max() <= 2 and near.max() > 0.9
        near[:] = 0
    assert np.quantile(found, 0.99) < 0.5, "30 dB below the points"


# --- UFF ---


def uff(path: Path, waves: list[Transmit], iq: bool = False, frames: int = 2) -> Path:
    pyuff = pytest.importorskip("pyuff_ustb", reason="pyuff-ustb is not installed: pip install 'edgerecon[stream]'")
    origin = pyuff.Point(distance=0.0, azimuth=0.0, elevation=0.0)
    data = echoes(waves, TIME) * (np.exp(-2j * np.pi * CARRIER * TIME) if iq else 1)
    data = (data.astype(np.complex64) if iq else data.real.astype(np.float32)).transpose(2, 1, 0)
    sequence = []
    for wave in waves:
        point = pyuff.Point(distance=np.inf, azimuth=wave.angle_rad, elevation=0.0)
        if wave.kind != "plane":
            x, z = wave.source_x_m, wave.source_z_m
            point = pyuff.Point(distance=float(np.hypot(x, z)), azimuth=float(np.arctan2(x, z)), elevation=0.0)
        front = pyuff.Wavefront.spherical if wave.kind != "plane" else pyuff.Wavefront.plane
        sequence.append(pyuff.Wave(wavefront=front, source=point, origin=origin, delay=0.0, sound_speed=SPEED))
    found = pyuff.ChannelData(
        sampling_frequency=RATE,
        initial_time=START,
        sound_speed=SPEED,
        sequence=sequence,
        PRF=1000.0,
        probe=pyuff.LinearArray(N=COUNT, pitch=PITCH, element_width=0.27e-3, element_height=5e-3),
        modulation_frequency=CARRIER * iq,
        data=np.stack([data] * frames, 3),
    )
    found.write(str(path), "channel_data", ignore_missing_compulsory_fields=True)
    return path


@pytest.mark.parametrize(("waves", "iq"), [(PLANE, False), (PLANE, True)])
def test_uff_channel_data(tmp_path: Path, waves: list[Transmit], iq: bool) -> None:
    source = open_source(str(uff(tmp_path / "a.uff", waves, iq)))
    assert (source.length, source.period_s, source.live) == (2, len(waves) / 1000, False)
    first, second = (capture.image for capture in source.frames())
    assert first.dtype == np.float32 and first.max() == 1.0
    np.testing.assert_array_equal(first, second)
    points_are_there(source, first)


def test_uff_diverging_waves_make_a_fan(tmp_path: Path) -> None:
    source = open_source(f"{uff(tmp_path / 'a.uff', DIVERGING)}?range=40&fnumber=1")
    image = next(iter(source.frames())).image
    step = source.spacing_mm[0] * 1e-3
    width = image.shape[1] * step
    assert width > 1.5 * (X[-1] - X[0])
    for x, z in POINTS:
        row, column = round((z - FIRST_ROW) / step), round((x + width / 2) / step)
        assert image[row - 3 : row + 4, column - 3 : column + 4].max() > 0.85


def test_uff_beamformed_data(tmp_path: Path) -> None:
    pyuff = pytest.importorskip("pyuff_ustb", reason="pyuff-ustb is not installed: pip install 'edgerecon[stream]'")
    image = np.random.default_rng(1).random((40, 30)) + 0.01
    scan = pyuff.LinearScan(x_axis=np.linspace(-1e-2, 1e-2, 30), z_axis=np.linspace(0, 2e-2, 40))
    data = np.stack([image.T.reshape(-1, 1, 1)] * 3, 3).astype(complex)
    found = pyuff.BeamformedData(scan=scan, data=data)
    found.write(str(tmp_path / "a.uff"), "b_data", ignore_missing_compulsory_fields=True)
    source = open_source(str(tmp_path / "a.uff"))
    assert source.length == 3 and source.spacing_mm == pytest.approx((20 / 39, 20 / 29))
    expected = np.clip(1 + 20 * np.log10(image / image.max()) / 60, 0, 1)
    for capture in source.frames():
        np.testing.assert_allclose(capture.image, expected, atol=2e-4)


def test_options_are_checked(tmp_path: Path) -> None:
    path = uff(tmp_path / "a.uff", PLANE[:1], frames=1)
    for query in ("range=loud", "range=0", "fnumber=nan", "gain=3"):
        with pytest.raises(UsageError):
            open_source(f"{path}?{query}")
    with pytest.raises(UsageError, match="has no option"):
        open_source(f"{Path(__file__).parent}?range=3")


# --- zea ---


def zea(path: Path, raw: np.ndarray, **scan: object) -> Path:
    with h5py.File(path, "w") as file:
        file["data/raw_data"] = raw
        for key, value in scan.items():
            file[f"scan/{key}"] = value
    return path


def zea_scan(waves: list[Transmit], **changes: object) -> dict[str, object]:
    """As zea states it: times count from the first element that fires."""
    passes = np.stack([wave.path_m(X, np.zeros(COUNT), PROBE, SPEED) / SPEED for wave in waves])
    first = passes.min(1)
    scan: dict[str, object] = {
        "probe_geometry": np.stack([X, 0 * X, 0 * X], 1).astype("f4"),
        "sampling_frequency": np.float32(RATE),
        "center_frequency": np.float32(CARRIER),
        "sound_speed": np.float32(SPEED),
        "initial_times": (START - first).astype("f4"),
        "t0_delays": (passes - first[:, None]).astype("f4"),
        "polar_angles": np.array([wave.angle_rad for wave in waves], "f4"),
        "focus_distances": np.full(len(waves), np.inf, "f4"),
        "time_to_next_transmit": np.full((2, len(waves)), 0.01, "f4"),
    }
    return scan | changes


def raw_data(waves: list[Transmit], iq: bool = False) -> np.ndarray:
    data = echoes(waves, TIME)
    if iq:  # mixed down from the first sample on
        data = data * np.exp(-2j * np.pi * CARRIER * (TIME - START))
    channels = np.stack([data.real, data.imag][: 1 + iq], -1).transpose(0, 2, 1, 3)
    return np.stack([channels, channels]).astype("f4")


@pytest.mark.parametrize("iq", [False, True])
def test_zea_channel_data(tmp_path: Path, iq: bool) -> None:
    source = open_source(str(zea(tmp_path / "a.hdf5", raw_data(PLANE, iq), **zea_scan(PLANE))))
    assert source.length == 2 and source.period_s == pytest.approx(0.03)
    points_are_there(source, next(iter(source.frames())).image)


def test_zea_without_angles_and_with_virtual_sources(tmp_path: Path) -> None:
    scan = zea_scan(PLANE)
    del scan["polar_angles"]
    source = open_source(str(zea(tmp_path / "a.hdf5", raw_data(PLANE), **scan)))
    points_are_there(source, next(iter(source.frames())).image)
    near = [diverging_wave(0.0, -40e-3, START)]
    scan = zea_scan(near, focus_distances=np.array([-40e-3], "f4"), time_to_next_transmit=np.full((2, 1), 0.01))
    source = open_source(str(zea(tmp_path / "b.hdf5", raw_data(near), **scan)))
    image = next(iter(source.frames())).image
    row, middle = round((POINTS[0][1] - FIRST_ROW) / (source.spacing_mm[0] * 1e-3)), image.shape[1] // 2
    assert image[row - 3 : row + 4, middle - 3 : middle + 4].max() > 0.9


def test_zea_refusals(tmp_path: Path) -> None:
    raw = raw_data(PLANE[:1])
    scan = zea_scan(PLANE[:1])
    wrong = {
        "sound_speed_m_s": {"sound_speed": float("nan")},
        "probe_geometry": {"probe_geometry": np.zeros((3, 3))},
        "shape": {"t0_delays": np.zeros((2, 2))},
        "out of the image plane": {"azimuth_angles": np.ones(1)},
        "sample_rate_hz": {"sampling_frequency": 0.0},
        "focus_distances": {"focus_distances": np.array([np.nan])},
        "raw_data holds bool": {"raw": raw > 0},
        "raw_data holds complex64": {"raw": raw.astype("c8")},
        "not all finite": {"raw": raw.astype("f8") * 1e300},
    }
    for number, (words, change) in enumerate(wrong.items()):
        path = zea(tmp_path / f"{number}.hdf5", **({"raw": raw} | scan | change))
        with pytest.raises(SourceError, match=words) as caught:
            open_source(str(path))
        assert "\n" not in str(caught.value)


def test_zea_images_envelopes_and_beamformed_data(tmp_path: Path) -> None:
    decibel = np.random.default_rng(1).uniform(-80, 0, (2, 20, 16)).astype("f4")
    with h5py.File(tmp_path / "a.hdf5", "w") as file:
        file["data/image"] = decibel
    (first, _) = open_source(f"{tmp_path / 'a.hdf5'}?range=40").frames()
    np.testing.assert_allclose(first.image, np.clip(1 + decibel[0] / 40, 0, 1), atol=1e-6)
    iq = np.random.default_rng(1).standard_normal((2, 20, 16, 2)).astype("f4")
    with h5py.File(tmp_path / "b.hdf5", "w") as file:
        file["tracks/track_0/data/beamformed_data/values"] = iq
    (first, _) = open_source(str(tmp_path / "b.hdf5")).frames()
    amplitude = np.hypot(iq[0, ..., 0], iq[0, ..., 1])
    np.testing.assert_allclose(first.image, np.clip(1 + np.log10(amplitude / amplitude.max()) / 3, 0, 1), atol=2e-4)


# --- HDF5 of frames, and anything ---


def test_any_dataset_of_frames(tmp_path: Path) -> None:
    frames = np.random.default_rng(1).integers(0, 256, (4, 6, 5), np.uint8)
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file["frames"] = frames
        file.attrs.update(period_s=0.02, spacing_mm=(0.3, 0.2))
    source = open_source(str(tmp_path / "a.h5"))
    assert (source.length, source.period_s, source.spacing_mm) == (4, 0.02, (0.3, 0.2))
    np.testing.assert_array_equal([capture.image for capture in source.frames()], frames)
    with h5py.File(tmp_path / "b.h5", "w") as file:
        file["frames"] = frames.astype("f4") * 3
        file.attrs.update(period_s="fast", spacing_mm=(0.0, 1.0))
    source = open_source(str(tmp_path / "b.h5"))
    assert source.period_s is None and source.spacing_mm is None
    assert max(capture.image.max() for capture in source.frames()) == 1.0


def test_other_files_are_not_read(tmp_path: Path) -> None:
    (tmp_path / "secret").write_bytes(b"x" * 64)
    with h5py.File(tmp_path / "real.h5", "w") as file:
        file["frames"] = np.zeros((2, 4, 4), np.uint8)
    with h5py.File(tmp_path / "link.h5", "w") as file:
        file["frames"] = h5py.ExternalLink("real.h5", "frames")
    with h5py.File(tmp_path / "raw.h5", "w") as file:
        file.create_dataset("frames", (4, 4, 4), np.uint8, external=[(str(tmp_path / "secret"), 0, 64)])
    layout = h5py.VirtualLayout((2, 4, 4), np.uint8)
    layout[:] = h5py.VirtualSource(str(tmp_path / "real.h5"), "frames", (2, 4, 4))
    with h5py.File(tmp_path / "virtual.h5", "w") as file:
        file.create_virtual_dataset("frames", layout)
    for name in ("link", "raw", "virtual"):
        with pytest.raises(SourceError, match="only data of the file itself are read"):
            open_source(str(tmp_path / f"{name}.h5"))


def test_sizes_and_layouts_that_are_refused(tmp_path: Path) -> None:
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file.create_dataset("frames", (1 << 40, 9000, 9000), np.uint8, chunks=(1, 900, 900))
    with pytest.raises(SourceError, match="at most"):
        open_source(str(tmp_path / "a.h5"))
    with h5py.File(tmp_path / "b.h5", "w") as file:
        file["weights"] = 1
    with pytest.raises(SourceError, match="holds weights: known are"):
        open_source(str(tmp_path / "b.h5"))
    zea(tmp_path / "c.h5", np.zeros((1, 1, 9, 1, 1), "f4"))
    with h5py.File(tmp_path / "c.h5", "a") as file:
        del file["data/raw_data"]
        file.create_dataset("data/raw_data", (1, 500, 30_000, 1000, 1), "f4", chunks=(1, 1, 100, 10, 1))
        row = np.linspace(-0.1, 0.1, 1000)
        geometry = np.stack([row, 0 * row, 0 * row], 1)
        scan = zea_scan([PLANE[1]] * 500, probe_geometry=geometry, t0_delays=np.zeros((500, 1000)))
        del scan["time_to_next_transmit"]
        for key, value in scan.items():
            file[f"scan/{key}"] = value
    with pytest.raises(SourceError, match="no more than it can hold"):
        open_source(str(tmp_path / "c.h5"))


@pytest.fixture(scope="module")
def recordings(tmp_path_factory) -> list[bytes]:
    folder = tmp_path_factory.mktemp("whole")
    small = raw_data(PLANE[:1])[:1, :, :200, :8]
    scan = zea_scan(PLANE[:1], probe_geometry=np.stack([X[:8], 0 * X[:8], 0 * X[:8]], 1), t0_delays=np.zeros((1, 8)))
    del scan["time_to_next_transmit"]
    zea(folder / "zea.h5", small, **scan)
    with h5py.File(folder / "frames.h5", "w") as file:
        file["frames"] = np.zeros((2, 4, 4), np.uint8)
    return [(folder / name).read_bytes() for name in ("zea.h5", "frames.h5")]


@settings(max_examples=25, deadline=None)
@given(st.data())
def test_garbage_is_a_source_error(tmp_path_factory, recordings, data) -> None:
    whole = bytearray(data.draw(st.sampled_from(recordings)))
    for at in data.draw(st.lists(st.integers(0, min(4000, len(whole)) - 1), max_size=6)):
        whole[at] = data.draw(st.integers(0, 255))
    path = tmp_path_factory.mktemp("garbage") / "a.h5"
    path.write_bytes(whole[: data.draw(st.one_of(st.just(len(whole)), st.integers(8, len(whole))))])
    try:
        source = open_source(str(path))
    except SourceError as error:
        assert "\n" not in str(error)
    else:
        assert list(source.frames())


# --- real recordings ---


def test_real_channel_data_play(shared_data: Path) -> None:
    source = open_source(str(shared_data / "channel/soleym_gastroc_rf_dataset.hdf5"))
    assert source.length == 2 and source.spacing_mm == pytest.approx((0.1723, 0.1723), abs=1e-4)
    image, _ = (capture.image for capture in source.frames())
    rows = image.mean(1)
    assert 90 <= rows.argmax() <= 110 and 0.2 < image.mean() < 0.4, "the bright aponeurosis at some 22 mm"


def test_beamformed_rf_lines_of_a_metaimage(shared_data: Path) -> None:
    """The B-mode that came with the RF is the reference; its authors filtered and compressed in their own way."""
    rf = open_source(f"{shared_data / 'rf/MouseLiverRF.mha'}?rf")
    reference = open_source(str(shared_data / "rf/MouseLiverB.mha"))
    assert (rf.length, rf.spacing_mm) == (4, pytest.approx((2 * 0.0128417, 0.1)))
    for ours, theirs in zip(rf.frames(), reference.frames(), strict=True):
        fine, coarse = ours.image.reshape(256, 3, 128).mean(1), theirs.image.reshape(256, 2, 128).mean(1)
        assert np.corrcoef(fine[20:].ravel(), coarse[20:].ravel())[0, 1] > 0.5, "speckle for speckle"
    with pytest.raises(UsageError):
        open_source(f"{shared_data / 'rf/MouseLiverRF.mha'}?range=50")


def test_real_plane_waves_against_pymust(shared_data: Path, tmp_path: Path) -> None:
    """The rotating disk of PyMUST, sampled below twice its carrier, beamformed by its own `dasmtx`."""
    pymust = pytest.importorskip("pymust", reason="PyMUST is not installed: make test installs it")
    loadmat = pytest.importorskip("scipy.io").loadmat
    content = loadmat(shared_data / "channel/PWI_disk.mat", struct_as_record=False, squeeze_me=True)
    rf, theirs = content["RF"][:, :, :1].astype(np.float64), content["param"]
    x = (np.arange(128) - 63.5) * theirs.pitch
    path = zea(
        tmp_path / "disk.hdf5",
        rf.transpose(2, 0, 1)[:, None, :, :, None].astype("f4"),
        probe_geometry=np.stack([x, 0 * x, 0 * x], 1),
        sampling_frequency=theirs.fs,
        center_frequency=theirs.fc,
        sound_speed=float(theirs.c),
        initial_times=np.array([theirs.t0]),
        t0_delays=np.zeros((1, 128)),
    )
    source = open_source(f"{path}?range=50&fnumber=1.1")  # a Hann window as wide as their boxcar at half height
    ours = next(iter(source.frames())).image

    param = pymust.utils.Param()
    param.fs, param.fc, param.c, param.pitch = (float(getattr(theirs, key)) for key in ("fs", "fc", "c", "pitch"))
    param.t0, param.fnumber, param.Nelements, param.bandwidth = np.array([theirs.t0]), 1.75, 128, 15
    step = source.spacing_mm[0] * 1e-3
    gx, gz = np.meshgrid(x[0] + np.arange(0, ours.shape[1], 12) * step, 5e-3 + np.arange(0, ours.shape[0], 12) * step)
    iq = pymust.rf2iq(rf[:, :, 0], param)
    iq = iq[0] if isinstance(iq, tuple) else iq
    matrix = pymust.dasmtx(iq, gx, gz, np.zeros((1, 128)), param)
    reference = np.abs(matrix @ iq.flatten(order="F")).reshape(gx.shape, order="F")
    reference = np.clip(1 + 20 * np.log10(reference / reference.max() + 1e-9) / 50, 0, 1)
    assert np.corrcoef(ours[::12, ::12].ravel(), reference.ravel())[0, 1] > 0.85, "speckle for speckle"
