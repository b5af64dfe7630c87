"""HDF5 of the PICMUS challenge (Liebgott et al., IUS 2016): plane waves, RF or IQ, in `US/US_DATASET0000`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edgerecon.beamform import Acquisition, Probe, plane_wave
from edgerecon.core.errors import AcquisitionError
from edgerecon.stream.sources.channel.channel import OPTIONS, ChannelSource, check_real
from edgerecon.stream.sources.files.hdf5_chunks import read as read_values
from edgerecon.stream.sources.files.hdf5_superblock import MAGIC
from edgerecon.stream.sources.frame_rate import period_of_rate
from edgerecon.stream.sources.hdf5_file import dataset, group, numbers, one_line_errors, opened, scalar
from edgerecon.stream.sources.kind import SourceKind
from edgerecon.stream.sources.query import Query

_ROOT = "US/US_DATASET0000"


def open_picmus(place: str, query: Query) -> ChannelSource:
    """Open a data set of the challenge.

    Raises:
        SourceError: fields that are missing, or do not fit each other; the message names them.
    """
    path = Path(place)
    with one_line_errors(path.name), opened(path) as file:
        fields = group(file, _ROOT)
        shape = tuple(dataset(fields, "data/real").shape)
        check_real(path.name, "data/real", dataset(fields, "data/real").dtype)
        angles = numbers(fields, "angles").ravel()
        geometry = numbers(fields, "probe_geometry", (None, None))
        if 3 not in geometry.shape:
            raise AcquisitionError(f"{path.name}: 'probe_geometry' has the shape {geometry.shape}, no axis of x, y, z")
        x, _, z = geometry if geometry.shape[0] == 3 else geometry.T
        if len(shape) not in (3, 4) or shape[-3:-1] != (angles.size, x.size):
            raise AcquisitionError(
                f"{path.name}: data of the shape {shape} do not fit {angles.size} angles and {x.size} elements"
            )
        carrier = scalar(fields, "modulation_frequency") or 0.0
        if carrier > 0 and tuple(dataset(fields, "data/imag").shape) != shape:
            raise AcquisitionError(f"{path.name}: data/imag has another shape than data/real")
        initial = scalar(fields, "initial_time") or 0.0
        prf = scalar(fields, "PRF", float("nan")) if "PRF" in fields else None
        acquisition = Acquisition(
            probe=Probe(x, z),
            transmits=tuple(plane_wave(float(angle), initial) for angle in angles),
            samples=shape[-1],
            sample_rate_hz=scalar(fields, "sampling_frequency") or float("nan"),
            carrier_hz=carrier,
            sound_speed_m_s=scalar(fields, "sound_speed") or float("nan"),
            iq=carrier > 0,
            frames=shape[0] if len(shape) == 4 else 1,
            period_s=period_of_rate(path.name, prf and prf / angles.size),
            first_sample_s=initial,
        )

    def read(frame: int) -> NDArray[np.generic]:
        with opened(path) as file:
            parts = [
                _frame(file[_ROOT], f"data/{part}", frame, len(shape) == 4)
                for part in ("real", "imag")[: 1 + (carrier > 0)]
            ]
        return parts[0] + 1j * parts[1] if carrier else parts[0]

    return ChannelSource(path.name, acquisition, read, query)


def _frame(fields: Any, key: str, frame: int, frames: bool) -> NDArray[np.float32]:
    found = dataset(fields, key)
    values = read_values(found, frame, frame + 1)[0] if frames else read_values(found, 0, found.shape[0])
    return np.asarray(values, np.float32)


SOURCE = SourceKind(
    name="PICMUS",
    title="channel data",
    magic=(MAGIC,),
    options=OPTIONS,
    holds=lambda file: f"{_ROOT}/data/real" in file,
    open=open_picmus,
)
