"""Ultrasound File Format (UFF, USTB; Rodriguez-Molares et al., IUS 2018): channel data and beamformed data."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from edgerecon.beamform import Acquisition, LogCompression, Probe, Transmit, envelope, focused_wave, plane_wave
from edgerecon.beamform.detection import DYNAMIC_RANGE_DB
from edgerecon.beamform.transmits import diverging_wave
from edgerecon.core.errors import AcquisitionError, SourceError, needed
from edgerecon.core.frame import MAX_PIXELS
from edgerecon.stream.sources.base import Capture, Source
from edgerecon.stream.sources.channel.channel import OPTIONS, ChannelSource
from edgerecon.stream.sources.files.hdf5_chunks import read as read_values
from edgerecon.stream.sources.files.hdf5_superblock import MAGIC
from edgerecon.stream.sources.frame_rate import period_of_rate
from edgerecon.stream.sources.hdf5_file import attribute, dataset, one_line_errors, opened, text
from edgerecon.stream.sources.kind import SourceKind
from edgerecon.stream.sources.query import Query, number, refuse_unknown

if TYPE_CHECKING:
    import h5py

_CLASSES = ("uff.channel_data", "uff.beamformed_data")
_STRUCTURE_AT_MOST = 64 << 20  # bytes


def open_uff(place: str, query: Query) -> Source:
    """Open the first object of a UFF file, whose structure pyuff-ustb reads and whose data are read frame by frame.

    Raises:
        SourceError: an unknown wavefront, or a scan that is not linear. DependencyError: pyuff-ustb is absent.
    """
    path = Path(place)
    with one_line_errors(path.name):
        with opened(path) as file:
            key = _object(file)
        if key is None:
            raise SourceError(f"{path.name} holds no channel data and no beamformed data")
        return _open(path, key, query)


def _object(file: h5py.File) -> str | None:
    """The first object whose frames can be shown."""
    for key in file:
        found = file.get(key)
        if found is not None and text(attribute(found, "class")) in _CLASSES:
            return key
    return None


def _open(path: Path, key: str, query: Query) -> Source:
    with needed("stream", "pyuff-ustb"):
        from pyuff_ustb import BeamformedData, Uff
    with opened(path) as file:
        _refuse_large(file, key, path.name)
    found = Uff(str(path)).read(key)
    if isinstance(found, BeamformedData):
        return BeamformedSource(path, key, found, query)
    with opened(path) as file:
        shape = _shape(file, f"{key}/data")
        iq = _is_complex(file, f"{key}/data")
    frame_axis = len(shape) == 4
    shape = (1,) * (4 - len(shape)) + shape  # (frames, waves, elements, samples)
    waves = found.sequence if isinstance(found.sequence, list) else [found.sequence]
    if waves[0].source is None:  # how a list of one wave reads
        waves = [Uff(str(path)).read(f"{key}/sequence/sequence_0001")]
    acquisition = _acquisition(found, waves, shape, iq, path.name)

    def read(frame: int) -> NDArray[np.generic]:
        with opened(path) as file:
            return _read(file, f"{key}/data", frame, frame_axis).reshape(shape[1:])

    return ChannelSource(path.name, acquisition, read, query)


_ONE_NUMBER = ("sampling_frequency", "modulation_frequency", "initial_time", "sound_speed", "PRF")


def _refuse_large(file: h5py.File, key: str, name: str) -> None:
    """pyuff-ustb reads all of an object but its data whole.

    Raises:
        SourceError: that is more than any probe, scan and sequence take, or lies in another file.
        AcquisitionError: a field that is one number holds text or several.
    """
    import h5py

    sizes: list[int] = []

    def look(at: str, found: object) -> None:
        if isinstance(found, h5py.Dataset) and at.partition("/")[0] != "data":
            checked = dataset(file, f"{key}/{at}")
            sizes.append(checked.size * checked.dtype.itemsize)
            if at in _ONE_NUMBER or (at.startswith("sequence/") and at.endswith("/delay")):
                if checked.size > 1 or checked.dtype.kind in "SO":
                    raise AcquisitionError(f"{name}: '{at}' holds no number, or several: one is needed")

    file[key].visititems(look)
    if sum(sizes) > _STRUCTURE_AT_MOST:
        raise SourceError(f"{name} describes its data in {sum(sizes) >> 20} MB: no recording does")


def _acquisition(found: Any, waves: list[Any], shape: tuple[int, ...], iq: bool, name: str) -> Acquisition:
    geometry = _numbers(found.probe, "geometry", f"{name}: probe")
    if geometry.ndim != 2 or 7 not in geometry.shape:
        raise AcquisitionError(f"{name}: probe.geometry has the shape {geometry.shape}, not 7 values an element")
    x, _, z, azimuth, *_ = geometry if geometry.shape[0] == 7 else geometry.T
    if shape[1:3] != (len(waves), x.size):
        raise AcquisitionError(
            f"{name}: {shape[2]} channels and {shape[1]} waves do not fit its probe and its sequence"
        )
    carrier = _number(found, "modulation_frequency", f"{name}: channel_data", 0.0)
    if not iq and not carrier and found.pulse is not None:
        carrier = _number(found.pulse, "center_frequency", f"{name}: pulse", 0.0)
    initial = _number(found, "initial_time", name, 0.0)
    prf = None if found.PRF is None else _number(found, "PRF", name, 0.0)
    return Acquisition(
        probe=Probe(x, z, azimuth),
        transmits=tuple(_transmit(wave, initial, name) for wave in waves),
        samples=shape[3],
        sample_rate_hz=_number(found, "sampling_frequency", name, np.nan),
        carrier_hz=carrier,
        sound_speed_m_s=_number(found, "sound_speed", name, np.nan),
        iq=iq,
        frames=shape[0],
        period_s=period_of_rate(name, prf and prf / len(waves)),
        first_sample_s=initial,
    )


def _numbers(holder: Any, field: str, where: str) -> NDArray[np.float64]:
    """A field of an object that pyuff-ustb read; nothing where the file does not state it.

    Raises:
        AcquisitionError: it holds anything but numbers; the message names it.
    """
    value = getattr(holder, field, None)
    try:
        return np.asarray([] if value is None else value, np.float64)
    except (TypeError, ValueError):
        raise AcquisitionError(f"{where}.{field} holds no numbers") from None


def _number(holder: Any, field: str, where: str, default: float) -> float:
    """``default`` where the file does not state one number. Raises as ``_numbers``."""
    values = _numbers(holder, field, where).ravel()
    return float(values[0]) if values.size == 1 else default


def _transmit(wave: Any, initial: float, name: str) -> Transmit:
    """USTB counts a wave's time from when it passes the origin, virtual sources included."""
    from pyuff_ustb import Wavefront

    start = initial + _number(wave, "delay", f"{name}: sequence", 0.0)
    place = {field: _number(wave.source, field, f"{name}: source", 0.0) for field in ("distance", "azimuth", "x", "z")}
    if wave.wavefront == Wavefront.plane or np.isinf(place["distance"]):
        return plane_wave(place["azimuth"], start)
    if wave.wavefront != Wavefront.spherical:
        raise AcquisitionError(
            f"{name}: wavefront '{wave.wavefront}' of a transmit is unknown: plane and spherical are known"
        )
    x, z = place["x"], place["z"]
    return diverging_wave(x, z, start) if z < 0 else focused_wave(x, z, start)


class BeamformedSource:
    """Beamformed RF, IQ or envelopes on a linear scan, as B-mode.

    Args:
        query: ``range`` in dB (60).
    """

    live = False

    def __init__(self, path: Path, key: str, found: Any, query: Query) -> None:
        refuse_unknown(query, ("range",), "beamformed data")
        self._range_db = number(query, "range", DYNAMIC_RANGE_DB, 1, 200)
        self._path, self._data, self.name = path, f"{key}/data", path.name
        axes = [_numbers(found.scan, axis, f"{path.name}: scan").ravel() for axis in ("x_axis", "z_axis")]
        if min(axis.size for axis in axes) < 2 or not all(np.all(np.isfinite(axis)) for axis in axes):
            raise SourceError(f"{self.name} is beamformed on a scan that is not linear: give linear scans")
        self._across, self._down = (axis.size for axis in axes)
        if self._across * self._down > MAX_PIXELS:
            raise SourceError(f"{self.name} declares {self._across}×{self._down} pixels: at most {MAX_PIXELS:,}")
        steps = [1e3 * float(np.ptp(axis)) / (axis.size - 1) for axis in axes]
        self.spacing_mm: tuple[float, float] | None = (steps[1], steps[0]) if min(steps) > 0 else None
        rate = None if found.frame_rate is None else _number(found, "frame_rate", path.name, 0.0)
        self.period_s = period_of_rate(path.name, rate)
        with opened(path) as file:
            shape = _shape(file, self._data)
        pixels = self._across * self._down
        # MATLAB writes (frames, waves, channels, pixels), Python (pixels, channels, waves, frames).
        self._pixels_last = shape[-1] == pixels
        if not self._pixels_last and shape[0] != pixels:
            raise SourceError(f"{self.name}: beamformed data {shape} do not fit a scan of {self._down}×{self._across}")
        self._frame_axis = len(shape) == 4
        self.length: int | None = shape[0 if self._pixels_last else 3] if self._frame_axis else 1

    def frames(self) -> Iterator[Capture]:
        compress = LogCompression(self._range_db)
        for index in range(self.length or 1):
            try:
                amplitude = self._amplitude(index)
            except (OSError, ValueError, RuntimeError) as error:
                yield Capture(None, f"unreadable beamformed data: {' '.join(str(error).split())}")
                continue
            yield Capture(compress(amplitude))

    def _amplitude(self, index: int) -> NDArray[np.floating]:
        with opened(self._path) as file:
            values = _read(file, self._data, index, self._frame_axis, last=not self._pixels_last)
        values = (
            values.reshape(-1, self._across * self._down)
            if self._pixels_last
            else (values.reshape(self._across * self._down, -1).T)
        )
        lines = values.sum(0).reshape(self._across, self._down)  # channels and waves are compounded
        if not np.iscomplexobj(lines):
            lines = envelope(lines) if float(lines.min()) < 0 else lines
        return np.abs(lines).T

    def close(self) -> None: ...


def _is_complex(file: h5py.File, key: str) -> bool:
    return f"{key}/imag" in file or (key in file and getattr(file[key], "dtype", np.dtype("f4")).kind == "c")


def _shape(file: h5py.File, key: str) -> tuple[int, ...]:
    """Raises SourceError where the two parts of complex values do not fit each other."""
    if f"{key}/real" not in file:
        return tuple(dataset(file, key).shape)
    shape = tuple(dataset(file, f"{key}/real").shape)
    if f"{key}/imag" in file and dataset(file, f"{key}/imag").shape != shape:
        raise SourceError(f"{key}/imag has another shape than {key}/real")
    return shape


def _read(file: h5py.File, key: str, frame: int, frame_axis: bool, last: bool = False) -> NDArray[np.generic]:
    """One frame; complex values are kept as a group of `real` and `imag`."""

    def values(name: str) -> NDArray[Any]:
        found = dataset(file, name)
        if not frame_axis:
            return read_values(found, 0, found.shape[0])
        axis = found.ndim - 1 if last else 0
        return read_values(found, frame, frame + 1, axis).squeeze(axis)

    if f"{key}/real" not in file:
        return values(key)
    real = values(f"{key}/real").astype(np.float32)
    return real if f"{key}/imag" not in file else real + 1j * values(f"{key}/imag").astype(np.float32)


SOURCE = SourceKind(
    name="UFF",
    title="channel data",
    magic=(MAGIC,),
    endings=(".uff",),
    options=OPTIONS,
    holds=lambda file: _object(file) is not None,
    open=open_uff,
)
