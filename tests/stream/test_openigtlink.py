"""OpenIGTLink messages against pyigtl, and against bytes that nobody should send."""

from __future__ import annotations

import socket
import struct
import tracemalloc

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

pyigtl = pytest.importorskip("pyigtl", reason="pyigtl is not installed")

from edgerecon.stream import openigtlink  # noqa: E402
from edgerecon.stream.openigtlink import (  # noqa: E402
    BODY_BYTES,
    HEADER_BYTES,
    StrayBytes,
    pack_image,
    parse_header,
    unpack_image,
)
from edgerecon.stream.sources.igtl import Reader  # noqa: E402


def pyigtl_bytes(image: np.ndarray, spacing=(0.1, 0.2, 1.0), version: int = 2, **fields: object) -> bytes:
    message = pyigtl.ImageMessage(image, ijk_to_world_matrix=np.diag([*spacing, 1.0]), device_name="Probe")
    message.header_version = version
    for name, value in fields.items():
        setattr(message, name, value)
    return message.pack()


def unpacked(data: bytes):
    return unpack_image(parse_header(data[:HEADER_BYTES]), data[HEADER_BYTES:])


@pytest.mark.parametrize("dtype", ["u1", "i1", "<u2", "<i2", "<u4", "<i4", "<f4", "<f8"])
@pytest.mark.parametrize("version", [1, 2])
def test_every_scalar_type_that_pyigtl_packs_is_read(dtype, version, rng) -> None:
    image = rng.integers(0, 100, (1, 6, 9)).astype(dtype)
    body = unpacked(pyigtl_bytes(image, version=version, timestamp=12.5, message_id=7))
    np.testing.assert_array_equal(body.pixels, image[0])
    assert body.spacing_mm == (0.2, 0.1)  # rows lie along j
    assert body.index == (7 if version == 2 else None)


def test_big_endian_pixels_are_read() -> None:
    image = np.arange(54, dtype="<u2").reshape(1, 6, 9)
    little = pyigtl_bytes(image, version=1)
    pixels = HEADER_BYTES + 72
    big = little[:50] + bytes(8) + little[58:62] + b"\1" + little[63:pixels] + image.astype(">u2").tobytes()
    np.testing.assert_array_equal(unpacked(big).pixels, image[0])


def test_colour_and_both_ways_of_packing_a_plane(rng) -> None:
    colour = rng.integers(0, 256, (1, 6, 9, 3), np.uint8)
    np.testing.assert_array_equal(unpacked(pyigtl_bytes(colour)).pixels, colour[0])
    flat = rng.integers(0, 256, (6, 9), np.uint8)  # pyigtl sends it along k and j
    body = unpacked(pyigtl_bytes(flat, spacing=(1.0, 0.1, 0.3)))
    np.testing.assert_array_equal(body.pixels, flat)
    assert body.spacing_mm == (0.3, 0.1)
    assert unpacked(pyigtl_bytes(flat, spacing=(1.0, 1.0, 1.0))).spacing_mm is None


def test_what_is_packed_is_read_by_pyigtl(rng) -> None:
    image = rng.integers(0, 256, (300, 401), np.uint8)  # more than one piece of the checksum
    data = b"".join(pack_image(image, (0.25, 0.125), "edgerecon", 2**32 + 5, 1_700_000_000.25))
    fields = pyigtl.MessageBase.parse_header(data[:HEADER_BYTES])
    assert fields["timestamp"] == pytest.approx(1_700_000_000.25, abs=1e-6)
    assert fields["body_size"] == len(data) - HEADER_BYTES
    assert struct.unpack(">Q", data[50:58])[0] == pyigtl.messages.CRC64(data[HEADER_BYTES:])
    message = pyigtl.ImageMessage()
    message.unpack(fields, data[HEADER_BYTES:])
    np.testing.assert_array_equal(message.image[0], image)
    assert (message.device_name, message.message_id, message.world_coordinate_system) == ("edgerecon", 5, "ras")
    np.testing.assert_allclose(message.ijk_to_world_matrix, np.diag([0.125, 0.25, 1.0, 1.0]), atol=1e-5)


def test_the_frame_number_of_plus_counts_before_the_message_id() -> None:
    image = np.zeros((1, 2, 2), np.uint8)
    assert unpacked(pyigtl_bytes(image, message_id=3, metadata={"FrameNumber": "41"})).index == 41
    assert unpacked(pyigtl_bytes(image, message_id=3, metadata={"FrameNumber": "many"})).index == 3
    assert unpacked(pyigtl_bytes(image, message_id=0)).index is None


def test_damage_is_named() -> None:
    good = pyigtl_bytes(np.full((1, 4, 4), 9, np.uint8))
    with pytest.raises(ValueError, match="checksum"):
        unpacked(good[:-1] + b"\7")
    unchecked = good[:50] + bytes(8) + good[58:]  # senders that make no checksum send 0
    assert unpacked(unchecked).pixels.mean() == 9
    for damaged in (unchecked[:70], unchecked[:-3], unchecked[:73] + b"\x63" + unchecked[74:]):
        with pytest.raises(ValueError, match="damaged OpenIGTLink image"):
            unpacked(damaged)
    with pytest.raises(ValueError, match="volume of 3 slices of 5×4"):
        unpacked(pyigtl_bytes(np.zeros((3, 4, 5), np.uint8)))


def test_stray_bytes_are_no_header() -> None:
    good = pyigtl_bytes(np.zeros((1, 2, 2), np.uint8))[:HEADER_BYTES]
    assert parse_header(good).device == "Probe"
    for stray in (
        b"GET / HTTP/1.1\r\n" * 4,
        b"\0\2" + b"\xff" * 56,
        b"\0\2" + bytes(56),
        good[:42] + (BODY_BYTES + 1).to_bytes(8, "big") + good[50:],
        good[:42] + b"\xff" * 16,
    ):
        with pytest.raises(StrayBytes):
            parse_header(stray[:HEADER_BYTES])


def test_a_header_that_promises_much_takes_no_memory() -> None:
    here, there = socket.socketpair()
    here.settimeout(0.01)
    reader = Reader(here)
    header = pyigtl_bytes(np.zeros((1, 2, 2), np.uint8))[:42] + BODY_BYTES.to_bytes(8, "big") + bytes(8)
    tracemalloc.start()
    with there:
        there.sendall(header + bytes(1000))
        assert reader.read(lambda header: True) is None
        assert tracemalloc.get_traced_memory()[1] < 1_000_000
    tracemalloc.stop()
    reader.close()


def feed(data: bytes) -> int:
    """Everything that a reader makes of these bytes; returns how many images."""
    here, there = socket.socketpair()
    here.settimeout(0.001)
    reader, images = Reader(here), 0
    with there:
        there.sendall(data)
        there.shutdown(socket.SHUT_WR)
        try:
            while (message := reader.read(lambda header: header.type == "IMAGE")) is not None:
                try:
                    unpack_image(*message)
                    images += 1
                except ValueError:
                    pass
        except (StrayBytes, ConnectionError):
            pass
        finally:
            reader.close()
    return images


@settings(max_examples=60, deadline=None)
@given(st.binary(max_size=400), st.integers(0, 300), st.binary(max_size=12))
def test_no_bytes_do_harm(garbage: bytes, position: int, splice: bytes) -> None:
    good = pyigtl_bytes(np.arange(48, dtype=np.uint8).reshape(1, 6, 8), message_id=3, metadata={"FrameNumber": "7"})
    unchecked = good[:50] + bytes(8) + good[58:]
    assert feed(good + good + garbage) >= 2
    feed(garbage)
    feed(unchecked[:position] + splice + unchecked[position + len(splice) :])


def test_both_checksums_are_that_of_pyigtl(rng) -> None:
    data = rng.bytes(200_001)
    parts = memoryview(data)[:70_000], memoryview(data)[70_000:]
    assert openigtlink._slow_crc64(*parts) == openigtlink._crc64(*parts) == pyigtl.messages.CRC64(data)
