"""Workspaces of a Verasonics Vantage, made up by the names of its manual."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from edgerecon.beamform import curved_array, focused_wave, plane_wave
from edgerecon.core.errors import SourceError
from edgerecon.stream.sources import open_source
from tests.stream.sources.test_channel_sources import COUNT, POINTS, PROBE, SPEED, X, echoes

h5py = pytest.importorskip("h5py", reason="h5py is not installed: pip install 'edgerecon[stream]'")
MHZ = 5.0
WAVELENGTH = SPEED / (MHZ * 1e6)
START_DEPTH, LENS, PEAK = 10.0, 0.7, 1.5  # wavelengths
LENGTH = 500
GRID = "-5:5:0.5,8:16:0.25"
FINE = "-5:5:0.1,8:16:0.05"
MODES = {"NS200BW": 1.0, "BS100BW": 2.0, "BS67BW": 3.0, "BS50BW": 4.0}
"""Sample mode → quadDecim: what the 4 samples a period are decimated by."""


def sampled(signal: np.ndarray, mode: str) -> np.ndarray:
    """Of 4 samples a period those that a mode keeps: pairs a quarter of a period apart (I, then −Q), or every third."""
    if mode in ("NS200BW", "BS67BW"):
        return signal[:, :: 3 if mode == "BS67BW" else 1]
    step = {"BS100BW": 4, "BS50BW": 8}[mode]
    whole = signal[:, : signal.shape[1] // 8 * 8]
    return whole.reshape(len(signal), -1, step)[..., :2].reshape(len(signal), -1)


class Workspace:
    """Writes structures as MATLAB does: backwards, and an array of structures as references."""

    def __init__(self, file: Any) -> None:
        self.file, self._count = file, 0

    def value(self, value: object) -> np.ndarray:
        if isinstance(value, str):
            return np.array([[ord(one)] for one in value], np.uint16)
        return np.atleast_2d(np.asarray(value)).T

    def refer(self, value: np.ndarray) -> Any:
        self._count += 1
        name = f"#refs#/{self._count}"
        self.file[name] = value
        return self.file[name].ref

    def write(self, field: str, values: list[object]) -> None:
        key = field.replace(".", "/")
        if len(values) == 1:
            self.file[key] = self.value(values[0])
            return
        entries = [self.refer(self.value(one)) for one in values]
        self.file.create_dataset(key, (len(entries), 1), h5py.ref_dtype, [[one] for one in entries])


def workspace(path: Path, mode: str = "NS200BW", steered: bool = True, frames: int = 2, **changes: Any) -> Path:
    """A workspace of two plane waves and a focused one; elements are wired to the channels backwards."""
    waves = [plane_wave(-0.1), plane_wave(0.1), focused_wave(1e-3, 11e-3)][: 3 if steered else 1]
    delays = [wave.path_m(X, 0 * X, PROBE, SPEED) / WAVELENGTH for wave in waves]
    delays = [one - one.min() for one in delays]
    rate = 4 * MHZ * 1e6
    time = 2 * START_DEPTH * WAVELENGTH / SPEED + np.arange(LENGTH) / rate
    signals = []
    for wave, delay in zip(waves, delays, strict=True):
        passes = (delay * WAVELENGTH - wave.path_m(X, 0 * X, PROBE, SPEED))[0] / SPEED
        late = passes + (2 * LENS + PEAK) * WAVELENGTH / SPEED
        signals.append(echoes([wave], time - late)[0].real)
    signals = [sampled(one, mode) for one in signals]
    length = signals[0].shape[1]
    data = np.concatenate(signals, 1)[::-1].T * 8000  # (rows, channels)
    buffer = np.stack([data * (0.5 if number else 1) for number in range(frames)], -1)
    count = len(waves) * frames
    fields: dict[str, list[Any]] = {
        "Trans.frequency": [MHZ],
        "Trans.units": ["mm"],
        "Trans.ElementPos": [np.stack([X * 1e3, 0 * X, 0 * X, 0 * X], 1)],
        "Trans.Connector": [np.arange(COUNT, 0, -1)],
        "Trans.lensCorrection": [LENS * WAVELENGTH * 1e3],
        "TW.peak": [PEAK],
        "TX.Delay": [one[None] for one in delays],
        "TX.Apod": [np.ones((1, COUNT))] * len(waves),
        "TX.focus": [0.0, 0.0, np.hypot(1e-3, 11e-3) / WAVELENGTH][: len(waves)],
        "TX.Steer": [[-0.1, 0], [0.1, 0], [np.arctan2(1, 11), 0]][: len(waves)],
        "TX.Origin": [[0.0, 0, 0]] * len(waves),
        "Receive.startSample": [1 + number % len(waves) * length for number in range(count)],
        "Receive.endSample": [(1 + number % len(waves)) * length for number in range(count)],
        "Receive.framenum": [1 + number // len(waves) for number in range(count)],
        "Receive.startDepth": [START_DEPTH] * count,
        "Receive.decimSampleRate": [4 * MHZ] * count,
        "Receive.quadDecim": [MODES[mode]] * count,
        "Receive.demodFrequency": [MHZ] * count,
        "Receive.sampleMode": [mode] * count,
        "Event.tx": [*range(1, len(waves) + 1), 0],
        "Event.rcv": [*range(1, len(waves) + 1), 0],
        "Resource.Parameters.speedOfSound": [SPEED],
        "Resource.RcvBuffer.lastFrame": [frames],
    }
    with h5py.File(path, "w", userblock_size=512) as file:
        made = Workspace(file)
        cell = made.refer(np.rint(buffer).astype("i2").T)
        file.create_dataset("RcvData", (1, 1), h5py.ref_dtype, [[cell]])
        for field, values in (fields | changes).items():
            if values is not None:
                made.write(field, values)
    return path


def check_points(source: Any) -> None:
    """Wires lie within half a wavelength of their places, on a grid of ``FINE``."""
    found = next(iter(source.frames())).image
    for x, z in POINTS:
        row, column = round((z * 1e3 - 8) / 0.05), round((x * 1e3 + 5) / 0.1)
        near = found[row - 20 : row + 21, column - 10 : column + 11]
        down, across = np.unravel_index(near.argmax(), near.shape)
        off_m = np.hypot((down - 20) * 0.05e-3, (across - 10) * 0.1e-3)
        assert off_m <= WAVELENGTH / 2 and near.max() > 0.8, (x, z, down, across)


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("units", ["mm", "wavelengths"])
def test_wires_of_every_sample_mode_and_unit_are_there(tmp_path: Path, mode: str, units: str) -> None:
    metres = 1e-3 if units == "mm" else WAVELENGTH
    trans = {
        "Trans.units": [units],
        "Trans.ElementPos": [np.stack([X / metres, 0 * X, 0 * X, 0 * X], 1)],
        "Trans.lensCorrection": [LENS * WAVELENGTH / metres],
    }
    check_points(open_source(f"{workspace(tmp_path / 'a.mat', mode, **trans)}?grid={FINE}"))


def test_each_transmit_has_the_peak_of_its_own_waveform(tmp_path: Path) -> None:
    changes = {"TW.peak": [9.0, PEAK], "TX.waveform": [2.0] * 3}
    check_points(open_source(f"{workspace(tmp_path / 'a.mat', **changes)}?grid={FINE}"))


def test_a_focal_point_stands_for_focus_and_steering(tmp_path: Path) -> None:
    point = np.array([1e-3, 0, 11e-3]) / WAVELENGTH
    changes = {"TX.FocalPt": [[0.0, 0, 0], [0.0, 0, 0], point], "TX.focus": [0.0] * 3}
    source = open_source(f"{workspace(tmp_path / 'a.mat', **changes)}?grid={FINE}")
    assert source.acquisition.transmits[2].kind == "focused"
    check_points(source)


def test_a_curved_probe_that_fires_at_once_makes_its_own_wave(tmp_path: Path) -> None:
    """Its delays are 0 and its focus is 0, and yet its wave is not plane: the first arrival is that of the nearest."""
    probe = curved_array(COUNT, 0.3e-3, 20e-3)
    place = np.stack([probe.element_x_m, 0 * X, probe.element_z_m, probe.element_angle_rad], 1)
    changes = {"Trans.ElementPos": [place * [1e3, 1e3, 1e3, 1]], "TX.Delay": [np.zeros((1, COUNT))]}
    source = open_source(f"{workspace(tmp_path / 'a.mat', steered=False, **changes)}?grid={GRID}")
    (wave,) = source.acquisition.transmits
    x, z = np.array([0.0, 6e-3]), np.array([15e-3, 12e-3])
    along = np.hypot(x, z + 20e-3) - 20e-3
    np.testing.assert_allclose(wave.path_m(x, z, probe, SPEED), along, atol=0.01e-3)


@pytest.mark.parametrize("steered", [False, True])
@pytest.mark.parametrize("mode", ["NS200BW", "BS100BW"])
def test_points_of_a_workspace_lie_where_they_are(tmp_path: Path, mode: str, steered: bool) -> None:
    source = open_source(f"{workspace(tmp_path / 'a.mat', mode, steered)}?grid={GRID}")
    assert source.length == 2
    for capture in source.frames():
        found = capture.image.copy()
        for x, z in POINTS:
            row, column = round((z * 1e3 - 8) / 0.25), round((x * 1e3 + 5) / 0.5)
            near = found[row - 2 : row + 3, column - 1 : column + 2]
            assert np.unravel_index(near.argmax(), near.shape) == (2, 1), (x, z)


def test_frames_of_the_ring_come_in_their_order(tmp_path: Path) -> None:
    path = workspace(tmp_path / "a.mat", steered=False, **{"Resource.RcvBuffer.lastFrame": [1]})
    source = open_source(f"{path}?grid={GRID}")
    first, second = (float(np.abs(source.read(number)).max()) for number in (0, 1))
    assert first == pytest.approx(second / 2, rel=1e-3), "the second of the file is the oldest"


def test_one_transmit_needs_no_event(tmp_path: Path) -> None:
    path = workspace(tmp_path / "a.mat", **{"Event.tx": None, "Event.rcv": None})
    assert open_source(f"{path}?grid={GRID}").acquisition.shape == (3, COUNT, LENGTH)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"Receive.sampleMode": ["NS200BWI"]}, "Receive.sampleMode 'NS200BWI' is unknown"),
        ({"Trans.units": ["inches"]}, "Trans.units 'inches' is unknown"),
        ({"Trans.units": None}, "Trans.units is missing"),
        ({"Trans.ElementPos": [np.zeros((3, 2))]}, "Trans.ElementPos of the shape"),
        ({"Trans.ElementPos": [np.stack([X, X, 0 * X], 1)]}, "Trans.ElementPos is of a matrix probe"),
        ({"Trans.Connector": [np.arange(3)]}, "Trans.Connector does not fit"),
        ({"TX.Delay": None}, "TX.Delay is missing"),
        ({"TX.Delay": [np.zeros(3)] * 3}, "TX.Delay and TX.Apod do not fit 40 elements"),
        ({"TX.Steer": [[0, 0.2]] * 3}, "TX.Steer leads out of the image plane"),
        ({"TX.focus": [0.0] * 3}, "TX.Delay converges, but fits neither the focus"),
        ({"TX.FocalPt": [[0.0, 5.0, 9.0]] * 3}, "TX.FocalPt lies out of the image plane"),
        ({"Receive.demodFrequency": [5.0, 4.0] * 3}, "Receive.demodFrequency differs between the receives"),
        ({"Receive.endSample": [10**6] * 6}, "Receive.startSample and endSample do not fit"),
        ({"Receive.startSample": [0] * 6, "Receive.endSample": [9] * 6}, "Receive.startSample and endSample"),
        ({"Receive.framenum": [2] * 6}, "Receive.framenum names no receive of frame 1"),
        ({"Receive.framenum": ["many"]}, "Receive.framenum names no receive"),
        ({"Receive.decimSampleRate": [np.nan] * 6}, "Receive.decimSampleRate is no number"),
        ({"Resource.Parameters.speedOfSound": None}, "Resource.Parameters.speedOfSound is missing"),
        ({"Event.rcv": [9, 9, 9, 0]}, "Event names no tx"),
        ({"Event.tx": None, "Event.rcv": None, "TX.Delay": [np.zeros((1, COUNT))]}, "Event is missing"),
    ],
)
def test_wrong_fields_of_a_workspace_are_named(tmp_path: Path, changes: dict, words: str) -> None:
    with pytest.raises(SourceError, match=words) as caught:
        open_source(f"{workspace(tmp_path / 'a.mat', **changes)}?grid={GRID}")
    assert "\n" not in str(caught.value)
