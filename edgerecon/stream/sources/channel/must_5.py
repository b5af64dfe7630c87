"""MAT files of version 5, MATLAB's default, with channel data of MUST; see ``must``."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edgerecon.core.errors import AcquisitionError, SourceError, needed
from edgerecon.stream.sources.channel.channel import OPTIONS, ChannelSource
from edgerecon.stream.sources.channel.mat_5 import array_shapes
from edgerecon.stream.sources.channel.must import FIELDS, must_acquisition
from edgerecon.stream.sources.kind import SourceKind
from edgerecon.stream.sources.query import Query


def open_must_5(place: str, query: Query) -> ChannelSource:
    """Open one transmit's signals, which are read whole.

    Raises:
        SourceError: see ``open_must``; or it is larger than is read whole. DependencyError: SciPy is absent.
    """
    with needed("stream", "scipy"):
        from scipy.io import loadmat
    path = Path(place)
    shapes = array_shapes(path, ("IQ", "RF"), "param")
    key = "IQ" if "IQ" in shapes else "RF"
    if key not in shapes or "param" not in shapes:
        raise SourceError(f"{path.name} holds no RF or IQ with param: channel data of MUST are known")
    found = loadmat(path, variable_names=[key, "param"], squeeze_me=False)
    if not found["param"].size:
        raise AcquisitionError(f"{path.name}: param is empty")
    told = found["param"].flat[0]
    param = {field: _numbers(path.name, field, told[field]) for field in FIELDS if field in told.dtype.names}
    signals = np.ascontiguousarray(found[key].T)  # (frames, elements, samples), as HDF5 shows them
    acquisition = must_acquisition(path.name, key, signals.shape, param)
    frames = signals.reshape(-1, 1, *signals.shape[-2:])
    if np.iscomplexobj(frames):
        frames = frames.astype(np.complex64)
    return ChannelSource(path.name, acquisition, frames.__getitem__, query)


def _numbers(name: str, field: str, value: NDArray[Any]) -> NDArray[np.float64]:
    """Values of a field of ``param``, (N,). Raises AcquisitionError when they are text, a cell or complex."""
    if value.dtype.kind not in "buif":
        kinds = {"U": "text, no numbers", "c": "complex numbers, no real ones"}
        what = kinds.get(value.dtype.kind, "a cell or a structure, no numbers")
        raise AcquisitionError(f"{name}: param.{field} holds {what}")
    return value.astype(np.float64).ravel()


SOURCE = SourceKind(
    name="MUST (MAT 5)",
    title="channel data",
    magic=(b"MATLAB 5.0 MAT-file",),
    options=OPTIONS,
    open=open_must_5,
)
