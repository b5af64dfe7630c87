"""Workspaces of a Verasonics Vantage, saved by ``save("data.mat", "-v7.3")``: the first receive buffer.

Read are the structures of its programming manual, by their names there; lengths are in wavelengths of
``Trans.frequency`` unless ``Trans.units`` says mm:

    RcvData     int16 (rows, channels, frames), or a cell of them
    Receive     startSample, endSample, framenum, startDepth, decimSampleRate; bufnum, quadDecim, sampleMode,
                demodFrequency
    TX          Delay, Apod; waveform, focus, Steer, Origin, or FocalPt in place of these three
    Event       tx and rcv: which transmit belongs to which receive; without it, they come in the same order
    Trans       frequency (MHz), units, ElementPos; Connector or ConnectorES, lensCorrection
    TW          peak, of each waveform
    Resource    Parameters.speedOfSound; RcvBuffer.lastFrame, where the ring of frames ends

A sample lies at 2 · startDepth + number / rate, from when the first element fires; the pulse's peak comes ``TW.peak``
later, and the lens delays it on both ways.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edgerecon.beamform import Acquisition, Probe, Transmit
from edgerecon.core.errors import AcquisitionError
from edgerecon.stream.sources.channel.channel import OPTIONS, ChannelSource
from edgerecon.stream.sources.channel.scanner_wave import scanner_wave
from edgerecon.stream.sources.files.hdf5_chunks import read as read_values
from edgerecon.stream.sources.files.hdf5_superblock import MAGIC
from edgerecon.stream.sources.hdf5_file import attribute, dataset, one_line_errors, opened, references, table
from edgerecon.stream.sources.kind import SourceKind
from edgerecon.stream.sources.query import Query

_HEADER = 512
"""Bytes before the HDF5 file."""
_MODES: Mapping[str, bool] = {"NS200BW": False, "custom": False, "BS67BW": False, "BS100BW": True, "BS50BW": True}
"""Sample mode → whether samples are I and −Q in turn, or RF at an even distance: BS67BW is sampled below its band."""
_ALIKE = ("decimSampleRate", "quadDecim", "sampleMode", "demodFrequency")
"""Of ``Receive``: what has to be the same for every transmit."""

Array = NDArray[np.float64]


def open_verasonics(place: str, query: Query) -> ChannelSource:
    """Open a workspace.

    Raises:
        SourceError: fields that are missing, unknown, or do not fit each other; the message names them.
    """
    path = Path(place)
    with one_line_errors(path.name), opened(path) as file:
        workspace = _Workspace(file, path.name)
        waves = _receives(workspace)
        probe = _probe(workspace)
        buffer = dataset(file, _buffer(file))
        frames, channels, rows = (1,) * (3 - buffer.ndim) + tuple(buffer.shape)
        places = [
            (workspace.number("Receive.startSample", one), workspace.number("Receive.endSample", one)) for one in waves
        ]
        samples = {int(last - first) + 1 for first, last in places}
        if len(samples) != 1 or min(samples) < 1 or min(places)[0] < 1 or max(last for _, last in places) > rows:
            raise AcquisitionError(f"{path.name}: Receive.startSample and endSample do not fit one another, or RcvData")
        _check_alike(workspace, waves)
        order = _channels(workspace, probe.elements, channels)
        iq = _is_iq(workspace, waves[0])
        rate = workspace.number("Receive.decimSampleRate", waves[0]) / workspace.number(
            "Receive.quadDecim", waves[0], 1.0
        )
        acquisition = Acquisition(
            probe=probe,
            transmits=tuple(_transmits(workspace, probe, waves)),
            samples=samples.pop() // (2 if iq else 1),
            sample_rate_hz=rate * 1e6 / (2 if iq else 1),
            carrier_hz=1e6 * workspace.number("Receive.demodFrequency", waves[0], workspace.number("Trans.frequency")),
            sound_speed_m_s=workspace.sound_speed_m_s,
            iq=iq,
            frames=frames,
        )
        last = int(workspace.number("Resource.RcvBuffer.lastFrame", 0, frames))
    firsts = [int(first) - 1 for first, _ in places]

    def read(frame: int) -> NDArray[np.generic]:
        with opened(path) as file:
            found, number = dataset(file, _buffer(file)), (last + frame) % frames
            whole = read_values(found, number, number + 1)[0] if found.ndim == 3 else read_values(found, 0, channels)
        count = acquisition.samples * (2 if iq else 1)
        signals = np.stack([whole[order, first : first + count] for first in firsts])
        return signals[..., ::2] - np.complex64(1j) * signals[..., 1::2] if iq else signals

    return ChannelSource(path.name, acquisition, read, query)


@dataclass(frozen=True)
class _Workspace:
    """Fields of structures, by ``Structure.field``; of arrays of structures, by number from 0."""

    file: Any
    name: str

    def size(self, field: str) -> int:
        """How many structures there are."""
        if self._key(field) not in self.file:
            raise AcquisitionError(f"{self.name}: {field} is missing")
        return len(references(self.file, self._key(field)) or [None])

    def values(self, field: str, number: int = 0, default: Array | None = None) -> Array:
        """Raises AcquisitionError: it is missing or holds no numbers, which it names."""
        if self._key(field) not in self.file:
            if default is not None:
                return default
            raise AcquisitionError(f"{self.name}: {field} is missing")
        entries = references(self.file, self._key(field))
        if entries is not None and number >= len(entries):
            raise AcquisitionError(f"{self.name}: {field} has no entry {number + 1}")
        found = dataset(self.file, self._key(field) if entries is None else entries[number])
        if found.dtype.kind not in "fiu":
            raise AcquisitionError(f"{self.name}: {field} holds no numbers")
        if attribute(found, "MATLAB_empty"):  # its values are its size
            return np.zeros(0)
        return np.asarray(table(found.parent, found.name), np.float64)

    def number(self, field: str, number: int = 0, default: float | None = None) -> float:
        values = self.values(field, number, None if default is None else np.array([default])).ravel()
        if not values.size and default is not None:  # MATLAB's []
            return default
        if not values.size or not np.isfinite(values[0]):
            raise AcquisitionError(f"{self.name}: {field} is no number")
        return float(values[0])

    def text(self, field: str, number: int = 0, default: str | None = None) -> str:
        """Characters are numbers in a MAT file."""
        values = self.values(field, number, None if default is None else np.array([ord(one) for one in default], float))
        return "".join(chr(int(one)) for one in values.ravel() if 0 < one < 0x110000)

    @property
    def sound_speed_m_s(self) -> float:
        return self.number("Resource.Parameters.speedOfSound")

    @property
    def wavelength_m(self) -> float:
        return self.sound_speed_m_s / (self.number("Trans.frequency") * 1e6)

    @property
    def unit_m(self) -> float:
        """Of lengths of ``Trans``. Raises AcquisitionError: another unit than the two there are."""
        units = self.text("Trans.units")
        if units not in ("mm", "wavelengths"):
            raise AcquisitionError(f"{self.name}: Trans.units '{units}' is unknown: known are mm and wavelengths")
        return 1e-3 if units == "mm" else self.wavelength_m

    def _key(self, field: str) -> str:
        return field.replace(".", "/")


def _buffer(file: Any) -> Any:
    """Where the first receive buffer lies."""
    cell = references(file, "RcvData")
    return cell[0] if cell else "RcvData"


def _receives(workspace: _Workspace) -> list[int]:
    """Numbers of the first frame's receives in the first buffer."""
    numbers = range(workspace.size("Receive.framenum"))
    found = [
        one
        for one in numbers
        if workspace.number("Receive.framenum", one) == 1 and workspace.number("Receive.bufnum", one, 1) == 1
    ]
    if not found:
        raise AcquisitionError(f"{workspace.name}: Receive.framenum names no receive of frame 1")
    return found


def _probe(workspace: _Workspace) -> Probe:
    place = workspace.values("Trans.ElementPos")  # HDF5 shows MATLAB's arrays backwards
    if place.ndim != 2 or len(place) < 3:
        raise AcquisitionError(
            f"{workspace.name}: Trans.ElementPos of the shape {place.shape[::-1]} is no list of places"
        )
    x, y, z = place[:3] * workspace.unit_m
    if np.ptp(y) > np.ptp(x) / 10:
        raise AcquisitionError(f"{workspace.name}: Trans.ElementPos is of a matrix probe: give a row of elements")
    lens_m = workspace.number("Trans.lensCorrection", 0, 0.0) * workspace.unit_m
    angle = place[3] if len(place) > 3 else np.zeros(x.size)
    return Probe(x, z, angle, lens_delay_s=lens_m / workspace.sound_speed_m_s)


def _channels(workspace: _Workspace, elements: int, channels: int) -> NDArray[np.intp]:
    """The channel of each element."""
    key = next(
        (one for one in ("Trans.Connector", "Trans.ConnectorES") if one.replace(".", "/") in workspace.file), None
    )
    found = workspace.values(key).ravel() if key else np.arange(1, elements + 1)
    if found.size != elements or found.min() < 1 or found.max() > channels:
        raise AcquisitionError(
            f"{workspace.name}: {key or 'Trans.ElementPos'} does not fit {elements} elements and {channels} channels"
        )
    return (found - 1).astype(np.intp)


def _check_alike(workspace: _Workspace, waves: list[int]) -> None:
    """Raises AcquisitionError where receives of one frame were sampled in different ways."""
    for key in _ALIKE:
        field = f"Receive.{key}"
        values = {workspace.values(field, one, np.zeros(0)).tobytes() for one in waves}
        if len(values) > 1:
            raise AcquisitionError(f"{workspace.name}: {field} differs between the receives of a frame: give one value")


def _is_iq(workspace: _Workspace, receive: int) -> bool:
    mode = workspace.text("Receive.sampleMode", receive, "NS200BW")
    if mode not in _MODES:
        raise AcquisitionError(
            f"{workspace.name}: Receive.sampleMode '{mode}' is unknown: known are {', '.join(_MODES)}"
        )
    return _MODES[mode]


def _transmits(workspace: _Workspace, probe: Probe, waves: list[int]) -> list[Transmit]:
    """The transmit of each receive."""
    wavelength, speed, found = workspace.wavelength_m, workspace.sound_speed_m_s, []
    for receive, number in zip(waves, _transmit_numbers(workspace, waves), strict=True):
        delay = workspace.values("TX.Delay", number).ravel()
        fires = workspace.values("TX.Apod", number, np.ones(probe.elements)).ravel() != 0
        if delay.size != probe.elements or fires.size != probe.elements:
            raise AcquisitionError(f"{workspace.name}: TX.Delay and TX.Apod do not fit {probe.elements} elements")
        waveform = int(workspace.number("TX.waveform", number, 1.0)) - 1
        start = 2 * workspace.number("Receive.startDepth", receive) - workspace.number("TW.peak", waveform, 0.0)
        focus, angle, origin = _aim(workspace, number)
        found.append(
            scanner_wave(
                focus * wavelength,
                angle,
                (origin[0] * wavelength, origin[1] * wavelength),
                delay * wavelength / speed,
                fires,
                start * wavelength / speed - probe.lens_delay_s,
                probe,
                speed,
                f"{workspace.name}: TX.Delay",
            )
        )
    return found


def _aim(workspace: _Workspace, number: int) -> tuple[float, float, tuple[float, float]]:
    """Focus, angle and origin (x, z) of a transmit, in wavelengths; a focal point is a focus from (0, 0)."""
    steer = workspace.values("TX.Steer", number, np.zeros(2)).ravel()
    if steer.size > 1 and steer[1]:
        raise AcquisitionError(f"{workspace.name}: TX.Steer leads out of the image plane: that is not beamformed")
    point = workspace.values("TX.FocalPt", number, np.zeros(0)).ravel()
    if point.size > 2 and np.any(point):
        if not np.all(np.isfinite(point)) or point[1]:
            raise AcquisitionError(f"{workspace.name}: TX.FocalPt lies out of the image plane: that is not beamformed")
        x, z = float(point[0]), float(point[2])
        ahead = 1.0 if z >= 0 else -1.0
        return ahead * float(np.hypot(x, z)), float(np.arctan2(ahead * x, ahead * z)), (0.0, 0.0)
    origin = workspace.values("TX.Origin", number, np.zeros(3)).ravel()
    place = (float(origin[0]), float(origin[2])) if origin.size > 2 else (0.0, 0.0)
    return workspace.number("TX.focus", number, 0.0), float(steer[0]) if steer.size else 0.0, place


def _transmit_numbers(workspace: _Workspace, waves: list[int]) -> list[int]:
    if "Event/rcv" in workspace.file:
        events = range(workspace.size("Event.rcv"))
        pairs = {
            int(workspace.number("Event.rcv", one, 0)): int(workspace.number("Event.tx", one, 0)) for one in events
        }
        numbers = [pairs.get(one + 1, 0) - 1 for one in waves]
        if min(numbers) < 0:
            raise AcquisitionError(f"{workspace.name}: Event names no tx for each rcv of frame 1")
        return numbers
    count = workspace.size("TX.Delay")
    if count != len(waves):
        raise AcquisitionError(
            f"{workspace.name}: Event is missing, and {count} of TX do not fit {len(waves)} receives"
        )
    return list(range(count))


SOURCE = SourceKind(
    name="Verasonics",
    title="channel data",
    magic=((_HEADER, MAGIC),),
    options=OPTIONS,
    holds=lambda file: "RcvData" in file and "Receive" in file and "Trans" in file,
    open=open_verasonics,
)
