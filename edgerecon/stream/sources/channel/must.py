"""MAT 7.3 of MUST (Garcia, https://www.biomecardio.com/MUST): `RF` or `IQ` and the structure `param`.

`save("data.mat", "RF", "param", "-v7.3")` writes signals of (samples, elements, frames), which HDF5 shows backwards.
`param` has fs, pitch, c, and where they differ from MUST's defaults fc, t0, TXdelay and radius.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edgerecon.beamform import Acquisition, Probe, Transmit, curved_array, linear_array, plane_wave
from edgerecon.beamform.transmits import transmit_by_delays
from edgerecon.core.errors import AcquisitionError
from edgerecon.stream.sources.channel.channel import OPTIONS, ChannelSource
from edgerecon.stream.sources.files.hdf5_chunks import read as read_values
from edgerecon.stream.sources.files.hdf5_superblock import MAGIC
from edgerecon.stream.sources.hdf5_file import dataset, one_line_errors, opened, scalar, table
from edgerecon.stream.sources.kind import SourceKind
from edgerecon.stream.sources.query import Query

_HEADER = 512
"""Bytes before the HDF5 file."""


def open_must(place: str, query: Query) -> ChannelSource:
    """Open one transmit's signals.

    Raises:
        SourceError: fields that are missing, or do not fit each other; the message names them.
    """
    path = Path(place)
    with one_line_errors(path.name), opened(path) as file:
        key = "IQ" if "IQ" in file else "RF"
        param, shape = file["param"], tuple(dataset(file, key).shape)
        if len(shape) not in (2, 3):
            raise AcquisitionError(f"{path.name}: {key} of the shape {shape[::-1]} is not (samples, elements, frames)")
        elements = shape[-2]
        pitch, radius = scalar(param, "pitch"), scalar(param, "radius")
        if not pitch:
            raise AcquisitionError(f"{path.name}: param.pitch is missing")
        probe = linear_array(elements, pitch) if radius is None else curved_array(elements, pitch, radius)
        start = scalar(param, "t0") or 0.0
        prf = scalar(param, "PRF") or 0.0
        acquisition = Acquisition(
            probe=probe,
            transmits=(_transmit(param, probe, start, path.name),),
            samples=shape[-1],
            sample_rate_hz=scalar(param, "fs") or float("nan"),
            carrier_hz=scalar(param, "fc") or 0.0,
            sound_speed_m_s=scalar(param, "c") or float("nan"),
            iq=key == "IQ",
            frames=shape[0] if len(shape) == 3 else 1,
            period_s=1 / prf if prf > 0 else None,
            first_sample_s=start,
        )

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


def _transmit(param: Any, probe: Probe, start_s: float, name: str) -> Transmit:
    """A plane wave where all elements fire at once, else what the delays make."""
    delay = np.asarray(table(param, "TXdelay"), np.float64).ravel() if "TXdelay" in param else np.zeros(1)
    if not np.any(delay) and not np.any(probe.element_z_m):
        return plane_wave(0.0, start_s)
    if delay.size != probe.elements:
        raise AcquisitionError(f"{name}: param.TXdelay has {delay.size} values for {probe.elements} elements")
    return transmit_by_delays(list(delay), start_s)


SOURCE = SourceKind(
    name="MUST",
    title="channel data",
    magic=((_HEADER, MAGIC),),
    options=OPTIONS,
    holds=lambda file: "param" in file and ("RF" in file or "IQ" in file),
    open=open_must,
)
