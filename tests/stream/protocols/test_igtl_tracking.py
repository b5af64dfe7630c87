"""What trackers send beside images: every type of message, against SciPy's rotations, and damage."""

from __future__ import annotations

import struct

import numpy as np
import pytest

pytest.importorskip("pyigtl", reason="pyigtl is not installed")
Rotation = pytest.importorskip("scipy.spatial.transform", reason="SciPy is not installed").Rotation

from edgerecon.core.pose import Transform  # noqa: E402
from edgerecon.stream.protocols.igtl_tracking import TRACKING, unpack_tracking  # noqa: E402
from edgerecon.stream.protocols.openigtlink import HEADER_BYTES, pack_transform, parse_header  # noqa: E402

QUATERNION = np.array([0.1, -0.5, 0.3, 0.8]) / np.linalg.norm([0.1, -0.5, 0.3, 0.8])
PLACE = np.array([12.5, -3.0, 80.25])


def message(kind: str, content: bytes, name: str = "Tracker") -> bytes:
    """Version 1, without a checksum."""
    return struct.pack(">H12s20sIIQQ", 1, kind.encode(), name.encode(), 1000, 1 << 31, len(content), 0) + content


def read(data: bytes) -> list[Transform]:
    return unpack_tracking(parse_header(data[:HEADER_BYTES]), data[HEADER_BYTES:])


def expected(quaternion: np.ndarray = QUATERNION) -> np.ndarray:
    matrix = np.eye(4)
    matrix[:3, :3], matrix[:3, 3] = Rotation.from_quat(quaternion).as_matrix(), PLACE
    return matrix


def floats(*numbers: float) -> bytes:
    return struct.pack(f">{len(numbers)}f", *numbers)


def twelve(matrix: np.ndarray) -> bytes:
    return floats(*matrix[:3].T.ravel())


def named(name: str, content: bytes) -> bytes:
    return struct.pack(">20sBB", name.encode(), 1, 0) + content


@pytest.mark.parametrize(
    ("kind", "content"),
    [
        ("TRANSFORM", twelve(expected())),
        ("POSITION", floats(*PLACE, *QUATERNION)),
        ("POSITION", floats(*PLACE, *QUATERNION[:3])),
        ("QTRANS", floats(*PLACE, *(3 * QUATERNION))),
    ],
)
def test_one_transform_of_a_message(kind: str, content: bytes) -> None:
    (found,) = read(message(kind, content))
    np.testing.assert_allclose(found.matrix, expected(), atol=1e-5)
    assert (found.name, found.status, found.timestamp_s) == ("Tracker", "OK", 1000.5)


def test_a_point_has_no_rotation() -> None:
    (found,) = read(message("POSITION", floats(*PLACE)))
    np.testing.assert_allclose(found.matrix, expected(np.array([0, 0, 0, 1.0])), atol=1e-5)


@pytest.mark.parametrize(("kind", "pack"), [("TDATA", twelve), ("QTDATA", None)])
def test_many_transforms_of_a_message(kind: str, pack) -> None:
    other = np.array([0.0, 0.0, 1.0, 0.0])
    sent = [("Probe", QUATERNION), ("Größe der Nadelspitz", other), ("", other)]
    bodies = [pack(expected(one)) if pack else floats(*PLACE, *one) for _, one in sent]
    names = ["Probe", "Größe der Nadelspitz".encode()[:20].decode("utf-8", "ignore"), ""]
    content = b"".join(named(name, body) for name, body in zip(names, bodies, strict=True))
    found = read(message(kind, content))
    assert [one.name for one in found] == ["Probe", names[1], "Tracker"]
    for one, (_, quaternion) in zip(found, sent, strict=True):
        np.testing.assert_allclose(one.matrix, expected(quaternion), atol=1e-5)


@pytest.mark.parametrize("kind", TRACKING)
@pytest.mark.parametrize(
    "content",
    [b"x", bytes(27), bytes(49), bytes(71), b"\xff" * 28, b"\xff" * 48, b"\xff" * 50, b"\xff" * 70, bytes(28)],
)
def test_damage_is_one_line_or_numbers(kind: str, content: bytes) -> None:
    try:
        assert all(np.isfinite(one.matrix).all() for one in read(message(kind, content)))
    except ValueError as error:
        assert "damaged OpenIGTLink tracking message" in str(error) and "\n" not in str(error)


def test_a_status_goes_with_every_transform_of_a_message() -> None:
    data = b"".join(pack_transform(Transform("Probe", expected(), "OUT_OF_VIEW"), 1.0))
    assert [one.status for one in read(data)] == ["OUT_OF_VIEW"]
