"""zea HDF5 (https://zea.readthedocs.io, "data format"): groups `data` and `scan`; the tracks of version 2 as well."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from edgerecon.beamform import Acquisition, LogCompression, Probe, Transmit, envelope
from edgerecon.beamform.detection import DYNAMIC_RANGE_DB
from edgerecon.core.errors import AcquisitionError, SourceError
from edgerecon.stream.sources.base import Capture, Source
from edgerecon.stream.sources.channel.channel import OPTIONS, ChannelSource, check_real
from edgerecon.stream.sources.channel.scanner_wave import scanner_wave
from edgerecon.stream.sources.files.hdf5_chunks import Frames
from edgerecon.stream.sources.files.hdf5_chunks import read as read_values
from edgerecon.stream.sources.files.hdf5_superblock import MAGIC
from edgerecon.stream.sources.flat import Layout
from edgerecon.stream.sources.frame_rate import taken_period_s
from edgerecon.stream.sources.hdf5_file import dataset, group, numbers, one_line_errors, opened, scalar
from edgerecon.stream.sources.kind import SourceKind
from edgerecon.stream.sources.query import Query, number, refuse_unknown

if TYPE_CHECKING:
    import h5py

_PRODUCTS = ("image", "envelope_data", "beamformed_data")  # images first: least is left to do


def open_zea(place: str, query: Query) -> Source:
    """Open the channel data of a zea file, or else its images, envelopes or beamformed data.

    Raises:
        SourceError: a matrix probe, or groups that do not fit each other.
    """
    path = Path(place)
    with one_line_errors(path.name):
        return _open(path, query)


def _holds(file: h5py.File) -> bool:
    keys = ("raw_data", *_PRODUCTS)
    return any(f"{root}data/{key}" in file for key in keys for root in ("", "tracks/track_0/"))


def _open(path: Path, query: Query) -> Source:
    with opened(path) as file:
        root = "" if "data" in file else "tracks/track_0/"
        if f"{root}data/raw_data" not in file:
            product = next(key for key in _PRODUCTS if f"{root}data/{key}" in file)
            return ImageSource(path, root, product, query)
        data = dataset(file, f"{root}data/raw_data")
        check_real(path.name, "raw_data", data.dtype)
        acquisition = _acquisition(group(file, f"{root}scan"), tuple(data.shape), path.name)

    def read(frame: int) -> NDArray[np.generic]:
        with opened(path) as file, np.errstate(over="ignore"):  # what is too large is refused as infinity
            signals = np.asarray(read_values(dataset(file, f"{root}data/raw_data"), frame, frame + 1)[0], np.float32)
        signals = signals.transpose(0, 2, 1, 3)  # (waves, elements, samples, channels)
        return signals[..., 0] + 1j * signals[..., 1] if acquisition.iq else signals[..., 0]

    return ChannelSource(path.name, acquisition, read, query)


def _acquisition(scan: h5py.Group, shape: tuple[int, ...], name: str) -> Acquisition:
    if len(shape) != 5 or shape[4] not in (1, 2):
        raise SourceError(f"{name}: raw_data of the shape {shape} is not (frames, waves, samples, elements, 1 or 2)")
    elements = numbers(scan, "probe_geometry", (shape[3], 3))
    if np.ptp(elements[:, 1]) > np.ptp(elements[:, 0]) / 10:
        raise SourceError(f"{name} is of a matrix probe: give recordings of a row of elements")
    speed = scalar(scan, "sound_speed") or float("nan")
    probe = Probe(elements[:, 0], elements[:, 2], lens_delay_s=_lens_delay_s(scan, speed))
    interval = numbers(scan, "time_to_next_transmit") if "time_to_next_transmit" in scan else None
    if interval is not None and interval.size % shape[1]:
        raise SourceError(f"{name}: 'time_to_next_transmit' has {interval.size} values for {shape[1]} waves")
    period = float(np.median(interval.reshape(-1, shape[1]).sum(1))) if interval is not None and interval.size else None
    return Acquisition(
        probe=probe,
        transmits=tuple(_transmits(scan, shape, probe, speed, name)),
        samples=shape[2],
        sample_rate_hz=scalar(scan, "sampling_frequency") or float("nan"),
        carrier_hz=scalar(scan, "demodulation_frequency") or scalar(scan, "center_frequency") or 0.0,
        sound_speed_m_s=speed,
        iq=shape[4] == 2,
        frames=shape[0],
        period_s=taken_period_s(name, period),
    )


def _lens_delay_s(scan: h5py.Group, speed: float) -> float:
    """What a lens of ``lens_thickness`` adds to the way in, against the same thickness of tissue."""
    thickness, slow = scalar(scan, "lens_thickness"), scalar(scan, "lens_sound_speed")
    return thickness / slow - thickness / speed if thickness and slow else 0.0


def _transmits(scan: h5py.Group, shape: tuple[int, ...], probe: Probe, speed: float, name: str) -> Iterator[Transmit]:
    """Each transmit; its delays count from the first element that fires, its time from when it passes the origin."""
    waves, elements = shape[1], probe.elements
    initial = _each(scan, "initial_times", (waves,), 0.0)
    delays = _each(scan, "t0_delays", (waves, elements), 0.0)
    fires = _each(scan, "tx_apodizations", (waves, elements), 1.0) != 0
    focus = _each(scan, "focus_distances", (waves,), 0.0)
    polar = _each(scan, "polar_angles", (waves,), 0.0)
    origins = _each(scan, "transmit_origins", (waves, 3), 0.0)
    if np.any(np.isnan(focus)):
        raise AcquisitionError(f"{name}: focus_distances holds NaN: infinity and 0 stand for a plane wave")
    if np.any(_each(scan, "azimuth_angles", (waves,), 0.0)):
        raise AcquisitionError(f"{name}: azimuth_angles steer waves out of the image plane: they are not beamformed")
    for start, delay, on, distance, angle, origin in zip(initial, delays, fires, focus, polar, origins, strict=True):
        on = on if on.any() else np.ones_like(on)  # zea's own examples leave it 0
        plane = distance == 0 or not np.isfinite(distance)
        if plane and "polar_angles" not in scan:
            angle = _angle(probe.element_x_m[on], delay[on], speed)
        place = float(origin[0]), float(origin[2])
        yield scanner_wave(
            float(distance), float(angle), place, delay, on, float(start), probe, speed, f"{name}: t0_delays"
        )


def _angle(x: NDArray[np.float64], delay: NDArray[np.float64], speed: float) -> float:
    """Of the plane wave that a line of delays makes."""
    slope = np.polyfit(x, delay, 1)[0] if x.size > 1 else 0.0
    return float(np.arcsin(np.clip(slope * speed, -1, 1)))


def _each(scan: h5py.Group, key: str, shape: tuple[int, ...], default: float) -> NDArray[np.float64]:
    return numbers(scan, key, shape) if key in scan else np.full(shape, default)


class ImageSource:
    """Images in dB or 8 bits, envelopes, or beamformed RF or IQ of a zea file.

    Args:
        query: ``range`` in dB (60).
    """

    live = False
    spacing_mm: tuple[float, float] | None = None
    period_s: float | None = None

    def __init__(self, path: Path, root: str, product: str, query: Query) -> None:
        refuse_unknown(query, ("range",), "a zea recording without channel data")
        self._range_db = number(query, "range", DYNAMIC_RANGE_DB, 1, 200)
        self._path, self._product, self.name = path, product, path.name
        self._key = f"{root}data/{product}"
        with opened(path) as file:
            if f"{self._key}/values" in file:
                self._key += "/values"
            found = dataset(file, self._key)
            if found.ndim not in (3, 4):
                raise SourceError(f"{self.name}: {product} of the shape {found.shape} holds no two-dimensional frames")
            Layout(found.shape[0], found.shape[1:3], found.dtype).check(self.name)
            self.length: int | None = found.shape[0]

    def frames(self) -> Iterator[Capture]:
        compress = LogCompression(self._range_db)
        with opened(self._path) as file:
            images = Frames(dataset(file, self._key))
            for index in range(self.length or 0):
                try:
                    values = images[index]
                except (OSError, RuntimeError, ValueError) as error:
                    yield Capture(None, f"the file is damaged: {' '.join(str(error).split())}")
                    continue
                yield Capture(self._to_image(values, compress))

    def _to_image(self, values: NDArray[np.generic], compress: LogCompression) -> NDArray[np.generic]:
        if self._product == "image":
            if values.dtype.kind == "u":
                return values
            decibel = np.nan_to_num(values.astype(np.float32), nan=np.nan, neginf=-1e6)
            return np.clip(1 + decibel / np.float32(self._range_db), 0, 1)
        if values.ndim == 3 and values.shape[2] == 2:
            return compress(np.hypot(values[..., 0], values[..., 1]))
        amplitude = values.reshape(values.shape[:2]).astype(np.float32)
        if self._product == "beamformed_data":
            amplitude = envelope(amplitude.T).T
        return compress(np.abs(amplitude))

    def close(self) -> None: ...


SOURCE = SourceKind(
    name="zea",
    title="channel data",
    magic=(MAGIC,),
    options=OPTIONS,
    holds=_holds,
    open=open_zea,
)
