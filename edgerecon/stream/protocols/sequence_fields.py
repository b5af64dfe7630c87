"""What a PLUS sequence file (.mha, .nrrd) says of each frame, in fields named ``Seq_FrameNNNN_NAME``.

https://pluslib.readthedocs.io/en/latest/file-formats/FileSequenceFile.html. Transforms are 16 numbers, row by row, each
beside a status. What PLUS does not know are its custom fields: the coordinates of the reference where they are LPS, and
the time of a transform where it is another than the image's.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from urllib.parse import quote, unquote

import numpy as np

from edgerecon.core.errors import printable
from edgerecon.core.pose import OK, Matrix, Plane, Pose, Transform, matrix_of, plausible_time

HEADER_BYTES, HEADER_LINES = 1 << 27, 1_000_000
"""A header of more is not read: it is some 0.6 kB and six lines a frame, an hour and a half at 30 frames a second."""

PREFIX = b"Seq_Frame"
INVALID = "INVALID"
FRAME_NUMBER, TIMESTAMP = "FrameNumber", "Timestamp"
_TRANSFORM, _STATUS, _TIME = "Transform", "TransformStatus", "TransformTimestamp"
_IMAGE_NAME = "ImageToReference"
IMAGE = _IMAGE_NAME + _TRANSFORM
"""Where the image lies."""

_COORDINATES = "ReferenceCoordinates"


ORIENTATION = "UltrasoundImageOrientation"
"""Where columns and rows lead, as one letter each: to the marked or the unmarked side, far from the probe or near."""


def reversed_axes(orientation: str) -> tuple[int, ...]:
    """Axes of a stored image, 0 rows and 1 columns, that PLUS turns round to get the usual picture, MF.

    The transforms are of that picture already.
    """
    letters = orientation.strip().upper()[:2]
    if len(letters) < 2 or letters[0] not in "MU" or letters[1] not in "FN":
        return ()  # RF lines lie along the rows: FM
    return tuple(axis for axis, other in ((0, letters[1] == "N"), (1, letters[0] == "U")) if other)


def fields_of(pose: Pose, shape: Sequence[int]) -> dict[str, str]:
    """The fields of a pose, by their names within the frame.

    Args:
        shape: (H, W) of the image that the plane belongs to.
    """
    plane = pose.plane
    found = {IMAGE: _text(plane.matrix(shape) if plane else np.eye(4))}
    found[_IMAGE_NAME + _STATUS] = OK if plane else INVALID
    if plane is not None and plane.coordinates != "RAS":
        found[_COORDINATES] = plane.coordinates
    for name, transform in pose.newest().items():
        key = quote(name, safe="")
        found |= {key + _TRANSFORM: _text(transform.matrix), key + _STATUS: quote(transform.status, safe=" ")}
        if transform.timestamp_s not in (None, pose.timestamp_s):
            found[key + _TIME] = repr(transform.timestamp_s)
    if pose.timestamp_s is not None:
        found[TIMESTAMP] = repr(pose.timestamp_s)
    return found


def pose_of(fields: Mapping[str, str], shape: Sequence[int]) -> Pose:
    """The pose that a frame's fields tell; what cannot be read is left out.

    Args:
        shape: (H, W, ...) of the image.
    """
    time_s = _time(fields.get(TIMESTAMP))
    transforms = {}
    for key, text in fields.items():
        if key.endswith(_TRANSFORM):
            name = key.removesuffix(_TRANSFORM)
            matrix = _matrix(text)
            if matrix is not None:
                own_s = _time(fields.get(name + _TIME)) or time_s
                status = printable(unquote(fields.get(name + _STATUS, OK)))
                transforms[name] = Transform(printable(unquote(name)), matrix, status, own_s)
    image, plane = transforms.pop(_IMAGE_NAME, None), None
    if image is not None and image.status == OK:
        plane = Plane.from_matrix(image.matrix, shape, "LPS" if fields.get(_COORDINATES) == "LPS" else "RAS")
    return Pose(plane, tuple(transforms.values()), time_s)


def _matrix(text: str) -> Matrix | None:
    try:
        return matrix_of([float(number) for number in text.split()])
    except ValueError:
        return None


def _time(text: str | None) -> float | None:
    """Seconds; 0 is a time here, that of a recording's first frame."""
    try:
        seconds = float(text) if text else None
    except ValueError:
        return None
    return seconds if seconds == 0 else plausible_time(seconds)


def _text(matrix: Matrix) -> str:
    """Every digit that there is: what is read back is the same number."""
    return " ".join(repr(number).removesuffix(".0") for number in matrix.ravel().tolist())
