"""OpenIGTLink messages: http://openigtlink.org/developers/spec, header versions 1 and 2. The sockets are elsewhere."""

from __future__ import annotations

import codecs
import math
import struct
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edgerecon.core.errors import needed, printable
from edgerecon.core.frame import MAX_PIXELS, plausible_spacing
from edgerecon.core.pose import OK, Plane, Transform, plausible_time

PORT = 18944
HEADER_BYTES = 58
BODY_BYTES = MAX_PIXELS + (1 << 20)
"""Larger messages are refused before any of it is kept."""

NAME_BYTES = 20
"""Longer device names are cut: the header has no room for more."""

_HEADER = struct.Struct(">H12s20sIIQQ")
_EXTENDED = struct.Struct(">HHII")
_ENTRY = struct.Struct(">HHI")
_IMAGE = struct.Struct(">HBBBBHHH12fHHHHHH")
_MATRIX = struct.Struct(">12f")
_SCALAR, _UINT8, _BIG_ENDIAN, _LITTLE_ENDIAN, _RAS, _LPS = 1, 3, 1, 2, 1, 2
_SCALAR_BYTES = {2: 1, 3: 1, 4: 2, 5: 2, 6: 4, 7: 4, 10: 4, 11: 8}
"""The size of one value, by the number of its type: integers of 8, 16 and 32 bits, float32 and float64."""

_COORDINATES_AT, _MATRIX_AT = 5, 12  # in an image's header
_ASCII, _UTF8 = 3, 106  # numbers of character sets, as IANA has them
_CRC_PIECE = 1 << 16
TRANSFORM_STATUS = "TransformStatus"
"""Key of the metadata of a TRANSFORM, as PLUS names it."""

_FRAME_NUMBER, _IMAGE_STATUS = "FrameNumber", "ImageStatus"


class StrayBytes(ValueError):
    """The bytes are no OpenIGTLink header: where the next message begins is unknown from here on."""


@dataclass(frozen=True)
class Header:
    """What stands before every message.

    Attributes:
        type: "IMAGE", "TRANSFORM", ... name: of the device, as it was sent: at most 20 bytes.
        timestamp_s: Unix time; 0 when not set. body_bytes: at most BODY_BYTES.
        crc: of the body; 0 when the sender makes none.
    """

    version: int
    type: str
    name: bytes
    timestamp_s: float
    body_bytes: int
    crc: int

    @property
    def text(self) -> str:
        """The name in UTF-8 (a letter that the end cuts in two is left out), else in Latin-1."""
        try:
            return codecs.getincrementaldecoder("utf-8")().decode(self.name)
        except UnicodeDecodeError:
            return self.name.decode("latin-1")

    @property
    def device(self) -> str:
        """The name for people."""
        return printable(self.text)

    def is_from(self, device: str) -> bool:
        """Whether the sender has this name, of which a header holds the first 20 bytes of UTF-8 or Latin-1."""
        cuts = [device.encode(code, "replace")[:NAME_BYTES] for code in ("utf-8", "latin-1")]
        return self.name.rstrip() in [cut.rstrip() for cut in (*cuts, _whole_letters(device))]


@dataclass(frozen=True)
class ImageBody:
    """A two-dimensional image.

    Attributes:
        pixels: (H, W) or (H, W, channels), any scalar type of the standard, in the sender's byte order.
        spacing_mm: (row, column), or None when the sender does not know it.
        index: of the sender's count of frames, or None when it does not count.
        plane: where the image lies, exactly as it was sent; None when the numbers are none.
        valid: False when the sender says that these pixels are no image.
    """

    pixels: NDArray[Any]
    spacing_mm: tuple[float, float] | None
    index: int | None
    plane: Plane | None = None
    valid: bool = True


def parse_header(data: bytes | bytearray | memoryview) -> Header:
    """Read the first HEADER_BYTES.

    Raises:
        StrayBytes: an unknown version, a type that is no word, or a body larger than BODY_BYTES.
    """
    version, kind, device, seconds, fraction, body_bytes, crc = _HEADER.unpack(data)
    if version not in (1, 2):
        raise StrayBytes(f"not an OpenIGTLink header (version {version})")
    if body_bytes > BODY_BYTES:
        raise StrayBytes(f"an OpenIGTLink message of {body_bytes:,} bytes: at most {BODY_BYTES:,} are read")
    word = kind.rstrip(b"\0 ")
    if not (word.isascii() and word.decode("latin-1").isprintable() and word):
        raise StrayBytes("not an OpenIGTLink header (its type is no word)")
    name = device.split(b"\0")[0]
    return Header(version, word.decode(), name, seconds + fraction / 2**32, body_bytes, crc)


def unpack_image(header: Header, body: bytes) -> ImageBody:
    """Check and read the body of an IMAGE message. Metadata that cannot be read are left out.

    Raises:
        ValueError: the checksum does not match, the body is damaged, or it is a volume. The message is one line.
        DependencyError: pyigtl is absent.
    """
    message = _pyigtl().ImageMessage()
    content, metadata, number = unwrap(header, body, "image")
    _refuse_unread(content)
    fields = {"header_version": 1, "message_type": header.type, "device_name": "", "timestamp": 0.0}
    try:
        message.unpack(fields, content)  # as version 1, without metadata: pyigtl reads those in ASCII alone
        voxels = message.image
        columns = np.array(_MATRIX.unpack_from(content, _MATRIX_AT)).reshape(4, 3)
    except Exception as error:  # noqa: BLE001 - pyigtl fails in many ways on damaged bytes
        raise ValueError(f"damaged OpenIGTLink image: {' '.join(str(error).split()) or type(error).__name__}") from None
    if voxels.size == 0:
        raise ValueError("an OpenIGTLink image without pixels")
    if sum(side > 1 for side in voxels.shape[:3]) > 2:
        slices, height, width = voxels.shape[:3]
        raise ValueError(f"a volume of {slices} slices of {width}×{height} pixels: send two-dimensional images")
    column, row, across = _axes(voxels)
    pixels = voxels.reshape(voxels.shape[2 - row], voxels.shape[2 - column], *voxels.shape[3:])
    steps = round(math.hypot(*columns[row]), 6), round(math.hypot(*columns[column]), 6)
    normal = -columns[1] if across == 1 else columns[across]  # the hand of the axes stays
    plane = Plane.of(
        np.stack([columns[column], columns[row], normal], axis=1),
        columns[3],
        "LPS" if content[_COORDINATES_AT] == _LPS else "RAS",
    )
    spacing_mm = None if steps == (1.0, 1.0) else plausible_spacing(steps)
    valid = metadata.get(_IMAGE_STATUS, OK).strip().upper() != "INVALID"
    return ImageBody(pixels, spacing_mm, _index(metadata, number), plane, valid)


def _refuse_unread(content: memoryview) -> None:
    """Raises ValueError, which names the field, for what the standard has and nothing here reads."""
    if len(content) < _IMAGE.size:
        raise ValueError("damaged OpenIGTLink image: it is too short")
    _, _, scalar, endian, _, *rest = _IMAGE.unpack_from(content)
    size, offset, part = rest[:3], rest[-6:-3], rest[-3:]
    if scalar not in _SCALAR_BYTES:
        known = ", ".join(map(str, _SCALAR_BYTES))
        raise ValueError(f"an OpenIGTLink image of scalar type {scalar}: {known} are read")
    if endian not in (_BIG_ENDIAN, _LITTLE_ENDIAN) and _SCALAR_BYTES[scalar] > 1:
        raise ValueError(f"an OpenIGTLink image of byte order {endian}: 1 is big-endian, 2 little-endian")
    if any(offset) or part != size:
        sides, whole = ("×".join(map(str, one)) for one in (part, size))
        raise ValueError(f"an OpenIGTLink sub-image of {sides} voxels of {whole}: send whole images")


def _axes(voxels: NDArray[Any]) -> tuple[int, int, int]:
    """Which of i, j and k (0, 1, 2) run along the columns, along the rows and across the image.

    pyigtl sends an image along j and k, others along i and j.
    """
    across = next(axis for axis in (2, 1, 0) if voxels.shape[2 - axis] == 1)
    column, row = (axis for axis in range(3) if axis != across)
    return column, row, across


def unwrap(header: Header, body: bytes, what: str) -> tuple[memoryview, dict[str, str], int]:
    """Content, metadata and message id of a body whose checksum matches.

    Raises:
        ValueError: it does not, or the body is damaged. ``what`` it is, for the message, which is one line.
    """
    if header.crc and _crc64(body) != header.crc:
        raise ValueError(f"damaged OpenIGTLink {what}: its checksum does not match")
    whole = memoryview(body)
    if header.version < 2:
        return whole, {}, 0
    if len(body) < _EXTENDED.size:
        raise ValueError(f"damaged OpenIGTLink {what}: it is too short")
    begin, table_bytes, text_bytes, number = _EXTENDED.unpack_from(body)
    end = len(body) - table_bytes - text_bytes
    if not _EXTENDED.size <= begin <= end:
        raise ValueError(f"damaged OpenIGTLink {what}: its parts are larger than it is")
    return whole[begin:end], _metadata(whole[end:], table_bytes), number


def _metadata(data: memoryview, table_bytes: int) -> dict[str, str]:
    """Keys and values, as far as they are there; bytes that are no text become replacement characters."""
    count = min(int.from_bytes(data[:2], "big"), max(0, table_bytes - 2) // _ENTRY.size)
    found, at = {}, 2 + count * _ENTRY.size
    for number in range(count):
        key_bytes, charset, value_bytes = _ENTRY.unpack_from(data, 2 + number * _ENTRY.size)
        key, at = data[at : at + key_bytes], at + key_bytes
        value, at = data[at : at + value_bytes], at + value_bytes
        found[str(key, "utf-8", "replace")] = str(value, "utf-8", "replace")
    return found


def _index(metadata: Mapping[str, str], message_id: int) -> int | None:
    number = metadata.get(_FRAME_NUMBER, "")
    return int(number) if number.isascii() and number.isdigit() and len(number) < 20 else message_id or None


def pack_image(
    pixels: NDArray[np.uint8],
    spacing_mm: tuple[float, float] | None,
    device: str,
    index: int,
    timestamp_s: float,
    plane: Plane | None = None,
    version: int = 2,
) -> list[memoryview]:
    """An IMAGE message, in parts, of which one is ``pixels`` itself.

    Args:
        pixels: (H, W), C-contiguous, each side below 65536.
        spacing_mm: (row, column), where there is no plane; one that no scanner has, and None, are sent as 1 and 1.
        device: its first 20 bytes are sent. index: becomes the message's id, modulo 2³²; version 1 has none.
        timestamp_s: Unix time; one that cannot be is sent as 0, "not set".
        plane: where the image lies. version: of the header, 1 or 2.
    """
    height, width = pixels.shape
    if plane is None:
        row, column = plausible_spacing(spacing_mm) or (1.0, 1.0)
        centre = np.array([(width - 1) / 2 * column, (height - 1) / 2 * row, 0.0])
        plane = Plane(np.diag([column, row, 1.0]), centre)
    size = (width, height, 1)
    kind = (1, _SCALAR, _UINT8, _LITTLE_ENDIAN, _LPS if plane.coordinates == "LPS" else _RAS)
    about = _IMAGE.pack(*kind, *size, *plane.axes.T.ravel(), *plane.centre, 0, 0, 0, *size)
    return _wrap(b"IMAGE", device, timestamp_s, [memoryview(about), pixels.data.cast("B")], index, {}, version)


def pack_transform(transform: Transform, timestamp_s: float, version: int = 2) -> list[memoryview]:
    """A TRANSFORM message, in parts. Its status is in the metadata, which version 1 has not.

    Args:
        timestamp_s: Unix time, where the transform has none of its own. version: of the header, 1 or 2.
    """
    content = _MATRIX.pack(*transform.matrix[:3].T.ravel())
    time_s = timestamp_s if transform.timestamp_s is None else transform.timestamp_s
    metadata = {TRANSFORM_STATUS: transform.status}
    return _wrap(b"TRANSFORM", transform.name, time_s, [memoryview(content)], 0, metadata, version)


def _wrap(
    kind: bytes,
    device: str,
    timestamp_s: float,
    content: list[memoryview],
    number: int,
    metadata: Mapping[str, str],
    version: int,
) -> list[memoryview]:
    """The whole message: header, content, and with version 2 what goes before and behind it."""
    before, behind = b"", b""
    if version > 1:
        pairs = [(key.encode(), value.encode()) for key, value in metadata.items()]
        table, text = len(pairs).to_bytes(2, "big"), b""
        for key, value in pairs:
            table += _ENTRY.pack(len(key), _ASCII if value.isascii() else _UTF8, len(value))
            text += key + value
        before, behind = _EXTENDED.pack(_EXTENDED.size, len(table), len(text), number % 2**32), table + text
    body = [part for part in (memoryview(before), *content, memoryview(behind)) if part.nbytes]
    time_s = plausible_time(timestamp_s) or 0.0
    seconds = math.floor(time_s)
    fraction = int((time_s - seconds) * 2**32)
    size = sum(part.nbytes for part in body)
    header = _HEADER.pack(version, kind, _whole_letters(device), seconds, fraction, size, _crc64(*body))
    return [memoryview(header + before), *body[1 if before else 0 :]]


def _whole_letters(device: str) -> bytes:
    """As much of a name as a header holds, without half a letter at its end."""
    return device.encode("utf-8", "replace")[:NAME_BYTES].decode("utf-8", "ignore").encode()


def _crc64(*parts: bytes | memoryview) -> int:
    """CRC-64 of ECMA-182. By fastcrc where it is installed: it takes a 35th of the time of pyigtl's."""
    try:
        from fastcrc.crc64 import ecma_182
    except ImportError:
        return _slow_crc64(*parts)
    crc = 0
    for part in parts:
        crc = ecma_182(part, crc)
    return int(crc)


def _slow_crc64(*parts: bytes | memoryview) -> int:
    """Piece by piece: at some 350 MB/s, one call for a whole image would keep every other thread waiting."""
    crc64, crc = _pyigtl().CRC64, 0
    for part in parts:
        for start in range(0, len(part), _CRC_PIECE):
            crc = crc64(part[start : start + _CRC_PIECE], crc)
    return int(crc)


def _pyigtl() -> Any:
    with needed("stream", "pyigtl"):
        from pyigtl import messages
    return messages


def require() -> None:
    """Raises DependencyError when pyigtl is absent: at the start rather than at the first image."""
    _pyigtl()
