"""Workspaces of a Verasonics Vantage, made up by the names of its manual."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from edgerecon.beamform import focused_wave, plane_wave
from edgerecon.core.errors import SourceError
from edgerecon.stream.sources import open_source
from tests.stream.sources.test_channel_sources import COUNT, POINTS, PROBE, SPEED, X, echoes

h5py = pytest.importorskip("h5py", reason="h5py is not installed: pip install 'edgerecon[stream]'")
MHZ = 5.0
WAVELENGTH = SPEED / (MHZ * 1e6)
START_DEPTH, LENS, PEAK = 10.0, 0.7, 1.5  # wavelengths
LENGTH = 500
GRID = "-5:5:0.5,8:16:0.25"


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


def workspace(path: Path, iq: bool = False, steered: bool = True, frames: int = 2, **changes: Any) -> Path:
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
    if iq:  # two samples of four: I, then what is −Q a quarter of a period later
        signals = [one.reshape(COUNT, -1, 4)[..., :2].reshape(COUNT, -1) for one in signals]
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
        "Receive.quadDecim": [2.0 if iq else 1.0] * count,
        "Receive.demodFrequency": [MHZ] * count,
        "Receive.sampleMode": ["BS100BW" if iq else "NS200BW"] * count,
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


@pytest.mark.parametrize("steered", [False, True])
@pytest.mark.parametrize("iq", [False, True])
def test_points_of_a_workspace_lie_where_they_are(tmp_path: Path, iq: bool, steered: bool) -> None:
    source = open_source(f"{workspace(tmp_path / 'a.mat', iq, steered)}?grid={GRID}")
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
        ({"Receive.endSample": [10**6] * 6}, "Receive.startSample and endSample do not fit"),
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
