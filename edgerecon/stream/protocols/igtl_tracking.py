"""What trackers send by OpenIGTLink: one transform a message (TRANSFORM, POSITION, QTRANS) or many (TDATA, QTDATA).

http://openigtlink.org/developers/spec. A matrix is 12 numbers, column by column; a quaternion is x, y, z, w.
"""

from __future__ import annotations

import math
import struct
from collections.abc import Callable, Sequence

import numpy as np

from edgerecon.core.errors import printable
from edgerecon.core.pose import OK, Matrix, Transform, matrix_of, plausible_time
from edgerecon.stream.protocols.openigtlink import NAME_BYTES, TRANSFORM_STATUS, Header, unwrap

_STATUS_LETTERS = 40
_NAMED_BYTES = NAME_BYTES + 2  # name, type of the tracker, reserved
_MATRIX, _PLACE = struct.Struct(">12f"), struct.Struct(">7f")
_DAMAGED = "damaged OpenIGTLink tracking message: "


def unpack_tracking(header: Header, body: bytes) -> list[Transform]:
    """Check and read the body of a message whose type is in ``TRACKING``; a name of its own goes before the device's.

    Raises:
        ValueError: the checksum does not match, or the body is damaged. The message is one line.
    """
    content, metadata, _ = unwrap(header, body, header.type.lower())
    status = printable(metadata.get(TRANSFORM_STATUS, OK))[:_STATUS_LETTERS] or OK
    time_s = plausible_time(header.timestamp_s)
    return [
        Transform(name or header.device, matrix, status, time_s)
        for name, matrix in TRACKING[header.type](bytes(content))
    ]


def _one_matrix(content: bytes) -> list[tuple[str, Matrix]]:
    if len(content) < _MATRIX.size:
        raise ValueError(_DAMAGED + "it is too short")
    return [("", _matrix(_MATRIX.unpack_from(content)))]


def _one_place(content: bytes) -> list[tuple[str, Matrix]]:
    """Three numbers are a point, six leave the quaternion's w to be found."""
    if len(content) not in (12, 24, 28):
        raise ValueError(_DAMAGED + "it has no such size")
    numbers = struct.unpack(f">{len(content) // 4}f", content)
    if len(numbers) == 3:
        numbers += (0.0, 0.0, 0.0, 1.0)
    elif len(numbers) == 6:
        numbers += (math.sqrt(max(0.0, 1.0 - sum(number * number for number in numbers[3:]))),)
    return [("", _placed(numbers))]


def _matrices(content: bytes) -> list[tuple[str, Matrix]]:
    return [(name, _matrix(numbers)) for name, numbers in _named(content, _MATRIX)]


def _places(content: bytes) -> list[tuple[str, Matrix]]:
    return [(name, _placed(numbers)) for name, numbers in _named(content, _PLACE)]


TRACKING: dict[str, Callable[[bytes], list[tuple[str, Matrix]]]] = {
    "TRANSFORM": _one_matrix,
    "POSITION": _one_place,
    "QTRANS": _one_place,
    "TDATA": _matrices,
    "QTDATA": _places,
}
"""How the content of each type of message is read: name, or "" where it has none, and matrix."""


def _named(content: bytes, numbers: struct.Struct) -> list[tuple[str, tuple[float, ...]]]:
    each = _NAMED_BYTES + numbers.size
    if len(content) % each:
        raise ValueError(_DAMAGED + "it has no such size")
    found = []
    for at in range(0, len(content), each):
        name = content[at : at + NAME_BYTES].split(b"\0")[0].decode("utf-8", "replace")
        found.append((printable(name), numbers.unpack_from(content, at + _NAMED_BYTES)))
    return found


def _matrix(numbers: Sequence[float]) -> Matrix:
    found = matrix_of([*np.array(numbers).reshape(4, 3).T.ravel(), 0, 0, 0, 1])
    if found is None:
        raise ValueError(_DAMAGED + "its numbers are none")
    return found


def _placed(numbers: Sequence[float]) -> Matrix:
    """The matrix of a place and a quaternion of any length above 0."""
    quaternion = np.array(numbers[3:])
    length = float(np.linalg.norm(quaternion))
    if not 0 < length < math.inf:
        raise ValueError(_DAMAGED + "its numbers are none")
    x, y, z, w = quaternion / length
    return _matrix(
        [
            *(1 - 2 * (y * y + z * z), 2 * (x * y + z * w), 2 * (x * z - y * w)),
            *(2 * (x * y - z * w), 1 - 2 * (x * x + z * z), 2 * (y * z + x * w)),
            *(2 * (x * z + y * w), 2 * (y * z - x * w), 1 - 2 * (x * x + y * y)),
            *numbers[:3],
        ]
    )
