"""MAT files of MUST (Garcia, https://www.biomecardio.com/MUST): `RF` or `IQ` and the structure `param`.

`save("data.mat", "RF", "param", "-v7.3")` writes signals of (samples, elements, frames), which HDF5 shows backwards.
`param` has fs, pitch, c, and where they differ from MUST's defaults fc, t0, PRF, TXdelay and radius.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from edgerecon.beamform import Acquisition, Probe, Transmit, curved_array, linear_array, plane_wave
from edgerecon.beamform.transmits import transmit_by_delays
from edgerecon.core.errors import AcquisitionError
from edgerecon.stream.sources.channel.channel import OPTIONS, ChannelSource
from edgerecon.stream.sources.files.hdf5_chunks import read as read_values
from edgerecon.stream.sources.files.hdf5_superblock import MAGIC
from edgerecon.stream.sources.frame_rate import period_of_rate
from edgerecon.stream.sources.hdf5_file import dataset, group, numbers, one_line_errors, opened
from edgerecon.stream.sources.kind import SourceKind
from edgerecon.stream.sources.query import Query

_HEADER = 512
"""Bytes before the HDF5 file."""
FIELDS = ("fs", "pitch", "c", "fc", "t0", "PRF", "TXdelay", "radius")
"""The fields of ``param``."""

Array = NDArray[np.float64]


def open_must(place: str, query: Query) -> ChannelSource:
    """Open one transmit's signals.

    Raises:
        SourceError: fields that are missing, or do not fit each other; the message names them.
    """
    path = Path(place)
    with one_line_errors(path.name), opened(path) as file:
        key = "IQ" if "IQ" in file else "RF"
        told = group(file, "param")
        param = {name: numbers(told, name).ravel() for name in FIELDS if name in told}
        acquisition = must_acquisition(path.name, key, tuple(dataset(file, key).shape), param)

    def read(frame: int) -> NDArray[np.generic]:
        with opened(path) as file:
            found = dataset(file, key)
            values = (
                read_values(found, frame, frame + 1)[0] if found.ndim == 3 else read_values(found, 0, found.shape[0])
            )
        if values.dtype.names:  # how MATLAB keeps complex numbers
            values = (values["real"] + 1j * values["imag"]).astype(np.complex64)
        return values[None]

    return ChannelSource(path.name, acquisition, read, query)


def must_acquisition(name: str, key: str, shape: tuple[int, ...], param: Mapping[str, Array]) -> Acquisition:
    """Of signals of ``shape``, (frames, elements, samples) or without frames, and of ``FIELDS`` of ``param``.

    Raises:
        AcquisitionError: fields that are missing, or do not fit each other; the message names them.
    """

    def number(field: str, default: float) -> float:
        values = param.get(field, np.zeros(0))
        if not values.size:
            return default
        if np.any(values[1:] != values[0]):
            raise AcquisitionError(f"{name}: param.{field} holds {values.size} values that differ: one is needed")
        if not np.isfinite(values[0]) and not (field == "radius" and values[0] > 0):
            raise AcquisitionError(f"{name}: param.{field} makes no sense: {values[0]:g}")
        return float(values[0])

    if len(shape) not in (2, 3) or 0 in shape:
        raise AcquisitionError(f"{name}: {key} of the shape {shape[::-1]} is not (samples, elements, frames)")
    elements, pitch, radius = shape[-2], number("pitch", 0.0), number("radius", np.inf)
    if not pitch:
        raise AcquisitionError(f"{name}: param.pitch is missing")
    if min(pitch, radius) <= 0:
        raise AcquisitionError(f"{name}: param.pitch {pitch:g} and param.radius {radius:g} have to be positive")
    probe = linear_array(elements, pitch) if np.isinf(radius) else curved_array(elements, pitch, radius)
    start = number("t0", 0.0)
    return Acquisition(
        probe=probe,
        transmits=(_transmit(param.get("TXdelay", np.zeros(1)), probe, start, name),),
        samples=shape[-1],
        sample_rate_hz=number("fs", np.nan),
        carrier_hz=number("fc", 0.0),
        sound_speed_m_s=number("c", np.nan),
        iq=key == "IQ",
        frames=shape[0] if len(shape) == 3 else 1,
        period_s=period_of_rate(name, number("PRF", 0.0) if param.get("PRF", np.zeros(0)).size else None),
        first_sample_s=start,
    )


def _transmit(delay: Array, probe: Probe, start_s: float, name: str) -> Transmit:
    """A plane wave where all elements fire at once, else what the delays make."""
    at_once = not np.any(delay) and not np.any(probe.element_z_m)
    if delay.size != probe.elements and not (at_once and delay.size == 1):  # one 0 stands for all of a linear probe
        raise AcquisitionError(f"{name}: param.TXdelay has {delay.size} values for {probe.elements} elements")
    if at_once:
        return plane_wave(0.0, start_s)
    return transmit_by_delays(list(delay), start_s)


SOURCE = SourceKind(
    name="MUST",
    title="channel data",
    magic=((_HEADER, MAGIC),),
    options=OPTIONS,
    holds=lambda file: "param" in file and ("RF" in file or "IQ" in file),
    open=open_must,
)
