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

from edgerecon.core.pose import Transform  # noqa: E402
from edgerecon.stream.protocols import openigtlink  # noqa: E402
from edgerecon.stream.protocols.igtl_tracking import unpack_tracking  # noqa: E402
from edgerecon.stream.protocols.openigtlink import (  # noqa: E402
    BODY_BYTES,
    HEADER_BYTES,
    StrayBytes,
    pack_image,
    pack_transform,
    parse_header,
    unpack_image,
)
from edgerecon.stream.sources.live.igtl import Reader  # noqa: E402


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
    for damaged in (unchecked[:70], unchecked[:-3]):
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


def named(name: bytes, message: bytes) -> bytes:
    return message[:14] + name.ljust(20, b"\0")[:20] + message[34:]


def with_metadata(*entries: tuple[bytes, bytes], charset: int = 3) -> bytes:
    """A message whose keys and values are these bytes, whatever the character set says."""
    plain = pyigtl_bytes(np.full((1, 4, 4), 9, np.uint8), message_id=5)
    content = plain[HEADER_BYTES + 12 : -2]
    table = struct.pack(">H", len(entries)) + b"".join(
        struct.pack(">HHI", len(key), charset, len(value)) for key, value in entries
    )
    text = b"".join(key + value for key, value in entries)
    body = struct.pack(">HHII", 12, len(table), len(text), 5) + content + table + text
    return plain[:42] + struct.pack(">QQ", len(body), pyigtl.messages.CRC64(body)) + body


@pytest.mark.parametrize(
    ("sent", "read"),
    [
        ("Échographe".encode(), "Échographe"),
        ("Échographe".encode("latin-1"), "Échographe"),
        ("超声波探头図像出力".encode(), "超声波探头"),  # six letters and two thirds of one
        (b"\x1b[2J\x07Probe\n", r"\x1b[2J\x07Probe\n"),
        ("Probe\N{RIGHT-TO-LEFT OVERRIDE}".encode(), r"Probe\u202e"),
        (b"Probe\0rest of memory", "Probe"),
        (b"", ""),
    ],
)
def test_any_device_name_is_text_that_can_be_printed(sent, read) -> None:
    header = parse_header(named(sent, pyigtl_bytes(np.zeros((1, 2, 2), np.uint8)))[:HEADER_BYTES])
    assert header.device.startswith(read) and header.device.isprintable()
    assert header.is_from(sent.split(b"\0")[0].decode("utf-8", "ignore")) or not sent.isascii()


@pytest.mark.parametrize("name", ["Échographe", "UltrasoundOfTheLeftKnee", "超声波探头図像出力", "Probe \ud800"])
def test_a_device_is_matched_by_as_much_as_a_header_holds(name) -> None:
    data = b"".join(pack_image(np.zeros((2, 2), np.uint8), None, name, 1, 1.0))
    header = parse_header(data[:HEADER_BYTES])
    assert header.is_from(name) and not header.is_from("Other" + name)
    latin = parse_header(named("Sonde échographique du genou".encode("latin-1"), data)[:HEADER_BYTES])
    assert latin.is_from("Sonde échographique du genou")


@pytest.mark.parametrize("charset", [3, 106, 99])
def test_metadata_beyond_ascii_cost_no_image(charset) -> None:
    data = with_metadata(("Übung".encode(), "Größe".encode()), (b"\xff\xfe", b"\xff" * 9), (b"FrameNumber", b"41"))
    body = unpacked(data)
    assert body.pixels.mean() == 9 and body.index == 41
    assert unpacked(with_metadata((b"\xff", "é".encode("latin-1")), charset=charset)).index == 5


def test_metadata_whose_table_lies_cost_no_image() -> None:
    data = bytearray(with_metadata((b"key", b"value")))
    data[50:58] = bytes(8)  # no checksum
    table = len(data) - len("keyvalue") - 10
    for entries, key_bytes in ((0xFFFF, 3), (1, 0xFFFF)):
        data[table : table + 4] = struct.pack(">HH", entries, key_bytes)
        assert unpacked(bytes(data)).pixels.mean() == 9


def test_an_image_that_its_sender_calls_invalid_is_none() -> None:
    assert unpacked(with_metadata((b"ImageStatus", b"OK"))).valid
    assert not unpacked(with_metadata((b"ImageStatus", b"INVALID"))).valid


def tilted(rng) -> np.ndarray:
    turn, _ = np.linalg.qr(rng.normal(size=(3, 3)))
    matrix = np.eye(4)
    matrix[:3, :3], matrix[:3, 3] = turn * [0.1, 0.2, 1.0], rng.uniform(-300, 300, 3)
    return matrix


@pytest.mark.parametrize("coordinates", ["ras", "lps"])
def test_the_plane_of_pyigtl_is_read_and_sent_as_it_came(coordinates, rng) -> None:
    for _ in range(50):
        matrix = tilted(rng)
        first = pyigtl.ImageMessage(
            np.zeros((1, 6, 9), np.uint8), ijk_to_world_matrix=matrix, world_coordinate_system=coordinates
        ).pack()
        plane = unpacked(first).plane
        np.testing.assert_allclose(plane.matrix((6, 9)), matrix, atol=1e-4)
        again = b"".join(pack_image(np.zeros((6, 9), np.uint8), None, "edgerecon", 1, 1.0, plane))
        assert again[HEADER_BYTES + 12 :][:60] == first[HEADER_BYTES:][:60]  # the image's header, bit for bit


def test_an_image_along_j_and_k_lies_where_pyigtl_puts_it(rng) -> None:
    matrix = tilted(rng)
    plane = unpacked(pyigtl.ImageMessage(np.zeros((6, 9), np.uint8), ijk_to_world_matrix=matrix).pack()).plane
    for row, column in ((0, 0), (5, 8), (2, 3)):
        here = plane.matrix((6, 9)) @ [column, row, 0, 1]
        np.testing.assert_allclose(here, matrix @ [0, column, row, 1], atol=1e-4)
    assert np.linalg.det(plane.axes) * np.linalg.det(matrix[:3, :3]) > 0


def test_transforms_are_those_of_pyigtl_in_both_directions(rng) -> None:
    matrix = tilted(rng)
    sent = pyigtl.TransformMessage(matrix, device_name="ProbeToTracker", timestamp=12.5)
    for version in (1, 2):
        sent.header_version = version
        data = sent.pack()
        (read,) = unpack_tracking(parse_header(data[:HEADER_BYTES]), data[HEADER_BYTES:])
        np.testing.assert_array_equal(np.float32(read.matrix), np.float32(matrix))
        assert (read.name, read.status, read.timestamp_s) == ("ProbeToTracker", "OK", 12.5)
        assert b"".join(pack_transform(read, 0.0, version)) == data or version == 2
    lost = b"".join(pack_transform(Transform("Größe", matrix, "OUT_OF_VIEW", 12.5), 0.0))
    message = pyigtl.TransformMessage()
    message.unpack(pyigtl.MessageBase.parse_header(lost[:HEADER_BYTES]), lost[HEADER_BYTES:])
    np.testing.assert_array_equal(np.float32(message.matrix), np.float32(matrix))
    assert (message.device_name, message.metadata) == ("Größe", {"TransformStatus": "OUT_OF_VIEW"})
    (read,) = unpack_tracking(parse_header(lost[:HEADER_BYTES]), lost[HEADER_BYTES:])
    assert read.status == "OUT_OF_VIEW"


def test_damaged_transforms_are_named() -> None:
    data = pyigtl.TransformMessage(np.eye(4), device_name="A").pack()
    unchecked = data[:50] + bytes(8) + data[58:]
    nan = unchecked[:-4] + b"\xff" * 4
    for damaged, why in ((data[:-1] + b"\7", "checksum"), (unchecked[:-4], "too short"), (nan, "none")):
        with pytest.raises(ValueError, match=why):
            unpack_tracking(parse_header(damaged[:HEADER_BYTES]), damaged[HEADER_BYTES:])


@pytest.mark.parametrize("spacing", [(1e300, 1e300), (1e-300, 0.1), (float("nan"), 1.0), (-1.0, 1.0)])
@pytest.mark.parametrize("time_s", [1e300, -5.0, float("nan"), float("inf")])
def test_numbers_beyond_the_protocol_are_sent_as_unknown(spacing, time_s) -> None:
    data = b"".join(pack_image(np.full((2, 2), 9, np.uint8), spacing, "A", 2**70, time_s))
    assert unpacked(data).spacing_mm is None and parse_header(data[:HEADER_BYTES]).timestamp_s == 0
    many = bytearray(pyigtl_bytes(np.zeros((1, 2, 2), np.uint8)))
    many[50:58], many[HEADER_BYTES + 24 : HEADER_BYTES + 28] = bytes(8), struct.pack(">f", np.inf)
    assert unpacked(bytes(many)).plane is None


@pytest.mark.parametrize("version", [1, 2])
def test_pyigtl_reads_both_versions(version, rng) -> None:
    image = rng.integers(0, 256, (5, 7)).astype(np.uint8)
    data = b"".join(pack_image(image, (0.25, 0.125), "edgerecon", 7, 1.5, version=version))
    fields = pyigtl.MessageBase.parse_header(data[:HEADER_BYTES])
    message = pyigtl.ImageMessage()
    message.unpack(fields, data[HEADER_BYTES:])
    assert (fields["header_version"], message.message_id) == (version, 7 if version == 2 else 0)
    np.testing.assert_array_equal(message.image[0], image)


def changed(at: int, data: bytes, dtype: str = "<u2") -> bytes:
    """An image of 9×6 pixels with other bytes in its header, and without a checksum."""
    whole = pyigtl_bytes(np.arange(54, dtype=dtype).reshape(1, 6, 9), version=1)
    start = HEADER_BYTES + at
    return whole[:50] + bytes(8) + whole[58:start] + data + whole[start + len(data) :]


@pytest.mark.parametrize(
    ("at", "data", "words"),
    [
        (3, b"\x63", "of scalar type 99"),
        (3, b"\x0d", "of scalar type 13: 2, 3, 4, 5, 6, 7, 10, 11 are read"),
        (4, b"\x03", "of byte order 3: 1 is big-endian, 2 little-endian"),
        (60, b"\0\1", "an OpenIGTLink sub-image of 9×6×1 voxels of 9×6×1"),
        (66, b"\0\4", "an OpenIGTLink sub-image of 4×6×1 voxels of 9×6×1"),
    ],
)
def test_what_is_not_read_of_an_image_is_named(at: int, data: bytes, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        unpacked(changed(at, data))


def test_bytes_have_no_order() -> None:
    assert unpacked(changed(4, b"\x00", "u1")).pixels.shape == (6, 9)
