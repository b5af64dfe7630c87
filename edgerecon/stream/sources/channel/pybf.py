"""HDF5 of pybf (ETH Zürich, https://github.com/ieetelk/pybf): `data/rf_data/frame_N/shot_M` of plane waves."""

from __future__ import annotations

import re
from collections.abc import Iterable
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from edgerecon.beamform import Acquisition, linear_array, plane_wave
from edgerecon.core.errors import AcquisitionError, SourceError
from edgerecon.stream.sources.channel.channel import OPTIONS, ChannelSource
from edgerecon.stream.sources.files.hdf5_chunks import read as read_values
from edgerecon.stream.sources.files.hdf5_superblock import MAGIC
from edgerecon.stream.sources.frame_rate import period_of_rate
from edgerecon.stream.sources.hdf5_file import dataset, group, numbers, one_line_errors, opened, scalar
from edgerecon.stream.sources.kind import SourceKind
from edgerecon.stream.sources.query import Query

_SPEED = 1540.0  # the format does not state one; ?c= does


def open_pybf(place: str, query: Query) -> ChannelSource:
    """Open channel data of a linear probe and plane waves.

    Raises:
        SourceError: another transmit mode, or datasets that do not fit each other.
    """
    path = Path(place)
    with one_line_errors(path.name):
        return _open(path, query)


def _open(path: Path, query: Query) -> ChannelSource:
    with opened(path) as file:
        frames = _natural(group(file, "data/rf_data"))
        shots = _natural(group(file, f"data/rf_data/{frames[0]}")) if frames else []
        if not shots:
            raise SourceError(f"{path.name} holds no frame of channel data")
        mode = next(iter(group(file, "data/tx_mode")), "") if "data/tx_mode" in file else ""
        if not mode.startswith("PW"):
            raise AcquisitionError(f"{path.name}: tx_mode '{mode}' is unknown: pybf's plane waves (PW…) are known")
        angles = np.radians(numbers(file, f"data/tx_mode/{mode}").ravel()[: len(shots)])
        first = dataset(file, f"data/rf_data/{frames[0]}/{shots[0]}")
        if first.ndim != 2:
            raise SourceError(f"{path.name}: '{shots[0]}' has the shape {first.shape}, not (elements, samples)")
        elements, samples = first.shape
        if angles.size != len(shots):
            raise SourceError(f"{path.name} states {angles.size} angles for {len(shots)} waves")
        pitch = scalar(file, "trans_params/x_pitch") or 0.0
        start = (scalar(file, "hardware_params/start_time") or 0.0) - (
            scalar(file, "hardware_params/correction_time") or 0.0
        )
        rate = scalar(file, "data/f_sampling") or scalar(file, "hardware_params/f_sampling_hz") or 0.0
        fps = scalar(file, "data/fps", float("nan")) if "data/fps" in file else None
        carrier = scalar(file, "trans_params/f_central") or 0.0
    acquisition = Acquisition(
        probe=linear_array(elements, pitch),
        transmits=tuple(plane_wave(float(angle), start) for angle in angles),
        samples=samples,
        sample_rate_hz=rate,
        carrier_hz=carrier,
        sound_speed_m_s=_SPEED,
        iq=False,
        frames=len(frames),
        period_s=period_of_rate(path.name, fps),
    )

    def read(frame: int) -> NDArray[np.generic]:
        with opened(path) as file:
            lines = [dataset(file, f"data/rf_data/{frames[frame]}/{shot}") for shot in shots]
            if any(one.shape != (elements, samples) for one in lines):
                raise ValueError("its waves are of different sizes")
            return np.stack([read_values(one, 0, elements) for one in lines])

    return ChannelSource(path.name, acquisition, read, query)


def _natural(names: Iterable[str]) -> list[str]:
    """Names of a group's members, frame_2 before frame_10."""
    return sorted(names, key=lambda name: [int(part) for part in re.findall(r"\d+", name)])


SOURCE = SourceKind(
    name="pybf",
    title="channel data",
    magic=(MAGIC,),
    options=OPTIONS,
    holds=lambda file: "data/rf_data" in file,
    open=open_pybf,
)
