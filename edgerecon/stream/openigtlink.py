"""OpenIGTLink messages: http://openigtlink.org/developers/spec, header versions 1 and 2. The sockets are elsewhere."""

from __future__ import annotations

import math
import struct
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edgerecon.errors import DependencyError
from edgerecon.frame import MAX_PIXELS

PORT = 18944
HEADER_BYTES = 58
BODY_BYTES = MAX_PIXELS + (1 << 20)
"""Larger messages are refused before any of it is kept."""

_HEADER = struct.Struct(">H12s20sIIQQ")
_EXTENDED = struct.Struct(">HHII")
_IMAGE = struct.Struct(">HBBBBHHH12fHHHHHH")
_UINT8, _LITTLE_ENDIAN, _RAS = 3, 2, 1
_CRC_PIECE = 1 << 16
_FRAME_NUMBER = "FrameNumber"  # as PLUS names it


class StrayBytes(ValueError):
    """The bytes are no OpenIGTLink header: where the next message begins is unknown from here on."""


@dataclass(frozen=True)
class Header:
    """What stands before every message.

    Attributes:
        type: "IMAGE", "TRANSFORM", ... device: name that the sender gave. timestamp_s: Unix time; 0 when not set.
        body_bytes: at most BODY_BYTES. crc: of the body; 0 when the sender makes none.
    """

    version: int
    type: str
    device: str
    timestamp_s: float
    body_bytes: int
    crc: int


@dataclass(frozen=True)
class ImageBody:
    """A two-dimensional image.

    Attributes:
        pixels: (H, W) or (H, W, channels), any scalar type of the standard, in the sender's byte order.
        spacing_mm: (row, column), or None when the sender does not know it.
        index: of the sender's count of frames, or None when it does not count.
    """

    pixels: NDArray[Any]
    spacing_mm: tuple[float, float] | None
    index: int | None


def parse_header(data: bytes | bytearray | memoryview) -> Header:
    """Read the first HEADER_BYTES.

    Raises:
        StrayBytes: an unknown version, names that are not text, or a body larger than BODY_BYTES.
    """
    version, kind, device, seconds, fraction, body_bytes, crc = _HEADER.unpack(data)
    if version not in (1, 2):
        raise StrayBytes(f"not an OpenIGTLink header (version {version})")
    if body_bytes > BODY_BYTES:
        raise StrayBytes(f"an OpenIGTLink message of {body_bytes:,} bytes: at most {BODY_BYTES:,} are read")
    try:
        names = [text.rstrip(b"\0 ").decode("ascii") for text in (kind, device.split(b"\0")[0])]
    except UnicodeDecodeError:
        raise StrayBytes("not an OpenIGTLink header (its names are not text)") from None
    if not (names[0] and all(name.isprintable() for name in names)):
        raise StrayBytes("not an OpenIGTLink header (its names are not text)")
    return Header(version, names[0], names[1], seconds + fraction / 2**32, body_bytes, crc)


def unpack_image(header: Header, body: bytes) -> ImageBody:
    """Check and read the body of an IMAGE message.

    Raises:
        ValueError: the checksum does not match, the body is damaged, or it is a volume. The message is one line.
        DependencyError: pyigtl is absent.
    """
    messages = _pyigtl()
    if header.crc and _crc64(body) != header.crc:
        raise ValueError("damaged OpenIGTLink image: its checksum does not match")
    message = messages.ImageMessage()
    fields = {
        "header_version": header.version,
        "message_type": header.type,
        "device_name": header.device,
        "timestamp": header.timestamp_s,
    }
    try:
        message.unpack(fields, body)
        voxels, matrix = message.image, message.ijk_to_world_matrix
        index = _index(message)
    except Exception as error:  # noqa: BLE001 - pyigtl fails in many ways on damaged bytes
        raise ValueError(f"damaged OpenIGTLink image: {' '.join(str(error).split()) or type(error).__name__}") from None
    return ImageBody(*_plane(voxels, matrix), index)


def _index(message: Any) -> int | None:
    number = message.metadata.get(_FRAME_NUMBER, "")
    return int(number) if number.isascii() and number.isdigit() and len(number) < 20 else message.message_id or None


def _plane(voxels: NDArray[Any], matrix: NDArray[Any]) -> tuple[NDArray[Any], tuple[float, float] | None]:
    """The two axes that hold something, of (k, j, i); pyigtl sends images along k and j, others along j and i."""
    if voxels.size == 0:
        raise ValueError("an OpenIGTLink image without pixels")
    axes = [axis for axis in range(3) if voxels.shape[axis] > 1]
    if len(axes) > 2:
        slices, height, width = voxels.shape[:3]
        raise ValueError(f"a volume of {slices} slices of {width}×{height} pixels: send two-dimensional images")
    flat = next(axis for axis in range(3) if voxels.shape[axis] == 1)
    pixels = voxels.reshape([side for axis, side in enumerate(voxels.shape) if axis != flat])
    steps = [round(float(np.linalg.norm(matrix[:3, 2 - axis])), 6) for axis in range(3) if axis != flat]
    known = all(math.isfinite(step) and step > 0 for step in steps) and steps != [1.0, 1.0]
    return pixels, (steps[0], steps[1]) if known else None


def pack_image(
    pixels: NDArray[np.uint8], spacing_mm: tuple[float, float] | None, device: str, index: int, timestamp_s: float
) -> list[memoryview]:
    """An IMAGE message with header version 2, in parts, of which the second is ``pixels`` itself.

    Args:
        pixels: (H, W), C-contiguous, each side below 65536. spacing_mm: (row, column); None is sent as 1 and 1.
        device: at most 20 ASCII characters. index: becomes the message's id, modulo 2³².
        timestamp_s: Unix time.
    """
    height, width = pixels.shape
    row, column = spacing_mm or (1.0, 1.0)
    centre = ((width - 1) / 2 * column, (height - 1) / 2 * row, 0.0)
    about = _EXTENDED.pack(_EXTENDED.size, 2, 0, index % 2**32) + _IMAGE.pack(
        1, 1, _UINT8, _LITTLE_ENDIAN, _RAS, width, height, 1,
        column, 0, 0, 0, row, 0, 0, 0, 1, *centre, 0, 0, 0, width, height, 1,
    )  # fmt: skip
    no_metadata = b"\0\0"
    crc = _crc64(about, pixels.data.cast("B"), no_metadata)
    seconds = math.floor(timestamp_s)
    fraction = int((timestamp_s - seconds) * 2**32)
    body_bytes = len(about) + pixels.size + len(no_metadata)
    header = _HEADER.pack(2, b"IMAGE", device.encode("ascii"), seconds, fraction, body_bytes, crc)
    return [memoryview(header + about), pixels.data.cast("B"), memoryview(no_metadata)]


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
    try:
        from pyigtl import messages
    except ImportError as error:
        raise DependencyError("pyigtl", "stream") from error
    return messages


def require() -> None:
    """Raises DependencyError when pyigtl is absent: at the start rather than at the first image."""
    _pyigtl()
