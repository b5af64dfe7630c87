"""The shown frames as an .npz file."""

from __future__ import annotations

import tempfile
import zipfile
from base64 import b64decode, b64encode
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import IO

import numpy as np
from numpy.lib import format as npy
from numpy.typing import NDArray

from edgerecon.core.frame import Frame
from edgerecon.core.pose import Pose
from edgerecon.stream.protocols.pose_columns import COLUMNS, ROW, row_of
from edgerecon.stream.sinks.files.spool import Spool, SpooledSink
from edgerecon.stream.sinks.files.stamps import Stamps, recorded_pose
from edgerecon.stream.sinks.kind import SinkKind

_ROWS = 4096  # of a column, written at a time
_POSE = "pose"  # in the journal: the row of its columns, every bit of it


class NpzSink(SpooledSink):
    """Writes ``frames`` (uint8 T×H×W, or T×H×W×3 in colour), ``fps``, ``timestamps`` (float64 T, seconds since the
    first frame) and, when known and the same for all frames, ``spacing_mm`` (row, column); and where a frame has a
    pose, the columns of ``edgerecon.stream.protocols.pose_columns``.
    """

    def _fields(self, frame: Frame) -> dict[str, str] | None:
        assert self.shape is not None
        pose = recorded_pose(frame, self.shape)
        return None if pose is None else {_POSE: b64encode(table_of([pose], self.shape).tobytes()).decode()}

    def pack(self, spool: Spool, to: IO[bytes]) -> None:
        unknown = table_of([None], spool.shape).tobytes()
        with zipfile.ZipFile(to, "w") as archive, tempfile.TemporaryFile(dir=spool.path.parent) as room:
            write_rows(archive, "frames", np.dtype("u1"), spool.frames.shape, spool.frames)
            write_facts(archive, spool.stamps)
            posed = False
            for fields in spool.fields():
                posed |= _POSE in fields
                room.write(b64decode(fields[_POSE]) if _POSE in fields else unknown)
            if posed:
                room.flush()
                write_poses(archive, np.memmap(room, ROW, "r"))


def table_of(poses: list[Pose | None], shape: tuple[int, ...]) -> NDArray[np.void]:
    """One row of ``ROW`` for each pose of an image of (H, W)."""
    table = np.empty(len(poses), ROW)
    for at, pose in enumerate(poses):
        for name, value in row_of(pose, shape).items():
            table[name][at] = value
    return table


def write_rows(
    archive: zipfile.ZipFile, name: str, dtype: np.dtype, shape: tuple[int, ...], rows: Iterable[NDArray[np.generic]]
) -> None:
    """An array of ``shape``, some rows at a time: a copy of all would take as much memory again."""
    with archive.open(f"{name}.npy", "w", force_zip64=True) as file:
        header = {"descr": npy.dtype_to_descr(dtype), "fortran_order": False, "shape": shape}
        npy.write_array_header_1_0(file, header)
        for row in rows:
            file.write(np.ascontiguousarray(row, dtype).data)


def write_facts(archive: zipfile.ZipFile, stamps: Stamps) -> None:
    """The rate, the times and, where it is known, the spacing of the frames."""
    facts = {"fps": 1 / stamps.period_s, "timestamps": stamps.seconds, "spacing_mm": stamps.spacing_mm}
    for name, value in facts.items():
        if value is not None:
            with archive.open(f"{name}.npy", "w") as file:
                npy.write_array(file, np.array(value, np.float64))


def write_poses(archive: zipfile.ZipFile, table: NDArray[np.void]) -> None:
    """The columns of a table of ``ROW``."""

    def blocks(name: str) -> Iterator[NDArray[np.generic]]:
        return (table[name][start : start + _ROWS] for start in range(0, len(table), _ROWS))

    for name, (kind, more) in COLUMNS.items():
        write_rows(archive, name, np.dtype(kind), (len(table), *more), blocks(name))


SINK = SinkKind(
    name="NumPy",
    title="a NumPy file",
    endings=(".npz",),
    open=lambda place, query: NpzSink(Path(place)),
)
