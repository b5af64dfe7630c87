"""What an HDF5, Zarr or .npz recording says of each frame's pose, in columns beside its stamps.

image_to_reference  float64 (T, 4, 4)     where the image lies: (column, row, 0, 1) to mm; NaN when unknown
reference_is_lps    uint8 (T)             1: the frame of reference is left, posterior, superior; 0: right, anterior
source_time_s       float64 (T)           the time by the device that took the image; NaN when it did not say
transform_names     uint8 (T, 8, 64)      UTF-8, of the tracker's transforms that came with the frame; 0 behind
transforms          float64 (T, 8, 4, 4)  their matrices, the newest of each name; NaN behind the last
transform_is_ok     uint8 (T, 8)          0: the tracker did not know it
transform_time_s    float64 (T, 8)        as source_time_s
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from edgerecon.core.errors import printable
from edgerecon.core.pose import OK, Plane, Pose, Transform, matrix_of, plausible_time
from edgerecon.stream.protocols.sequence_fields import INVALID

TRANSFORMS_AT_MOST, _NAME_BYTES = 8, 64
"""Transforms of further names are left out of a frame."""

COLUMNS: dict[str, tuple[str, tuple[int, ...]]] = {
    "image_to_reference": ("f8", (4, 4)),
    "reference_is_lps": ("u1", ()),
    "source_time_s": ("f8", ()),
    "transform_names": ("u1", (TRANSFORMS_AT_MOST, _NAME_BYTES)),
    "transforms": ("f8", (TRANSFORMS_AT_MOST, 4, 4)),
    "transform_is_ok": ("u1", (TRANSFORMS_AT_MOST,)),
    "transform_time_s": ("f8", (TRANSFORMS_AT_MOST,)),
}
"""Type and shape of each."""


ROW = np.dtype([(name, kind, more) for name, (kind, more) in COLUMNS.items()])
"""All of them, of one frame."""


def row_of(pose: Pose | None, shape: Sequence[int]) -> dict[str, Any]:
    """One row of the columns.

    Args:
        shape: (H, W) of the image that the plane belongs to.
    """
    pose = pose or Pose()
    row: dict[str, Any] = {
        name: np.full(more, 0 if kind == "u1" else np.nan, kind) for name, (kind, more) in COLUMNS.items()
    }
    if pose.plane is not None:
        row["image_to_reference"] = pose.plane.matrix(shape)
        row["reference_is_lps"] = np.uint8(pose.plane.coordinates == "LPS")
    row["source_time_s"] = _number(pose.timestamp_s)
    for at, one in enumerate([*pose.newest().values()][:TRANSFORMS_AT_MOST]):
        name = one.name.encode("utf-8", "replace")[:_NAME_BYTES]
        row["transform_names"][at, : len(name)] = np.frombuffer(name, np.uint8)
        row["transforms"][at] = one.matrix
        row["transform_is_ok"][at] = one.status == OK
        row["transform_time_s"][at] = _number(one.timestamp_s)
    return row


def read_poses(columns: Mapping[str, Any], column: Callable[[str], Any]) -> Callable[[int, Sequence[int]], Pose | None]:
    """Gives the pose of a frame by its number and its image's shape; None in a recording without poses.

    Args:
        columns: the names that there are. column: gives the rows of one.
    """
    if not all(name in columns for name in COLUMNS):
        return lambda number, shape: None
    found = {name: column(name) for name in COLUMNS}

    def pose_at(number: int, shape: Sequence[int]) -> Pose | None:
        if any(number >= len(rows) or rows.shape[1:] != COLUMNS[name][1] for name, rows in found.items()):
            return None
        return pose_of_row({name: np.asarray(rows[number]) for name, rows in found.items()}, shape)

    return pose_at


def pose_of_row(row: Mapping[str, Any], shape: Sequence[int]) -> Pose:
    """The pose that one row of the columns tells, for an image of (H, W, ...); what makes no sense is left out."""
    matrix = matrix_of(row["image_to_reference"].ravel())
    plane = None if matrix is None else Plane.from_matrix(matrix, shape, "LPS" if row["reference_is_lps"] else "RAS")
    transforms = []
    for at in range(TRANSFORMS_AT_MOST):
        matrix = matrix_of(row["transforms"][at].ravel())
        name = printable(row["transform_names"][at].astype(np.uint8).tobytes().rstrip(b"\0").decode("utf-8", "replace"))
        if matrix is not None:
            status = OK if row["transform_is_ok"][at] else INVALID
            transforms.append(Transform(name, matrix, status, plausible_time(float(row["transform_time_s"][at]))))
    return Pose(plane, tuple(transforms), plausible_time(float(row["source_time_s"])))


def _number(seconds: float | None) -> float:
    return np.nan if seconds is None else seconds
