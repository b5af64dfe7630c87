"""What a compressed frame declares of itself, read before a decoder takes memory for it."""

from __future__ import annotations

import struct
from dataclasses import dataclass

from edgerecon.core.errors import SourceError

_SCANS_AT_MOST = 100
"""Of a progressive JPEG: encoders write about 10, and each is a pass over the whole image."""

_WITHOUT_LENGTH = {0x01, *range(0xD0, 0xD9)}
_FRAME_HEADERS = {*range(0xC0, 0xD0), 0xF7} - {0xC4, 0xC8, 0xCC}  # JPEG and JPEG-LS
_START_OF_SCAN, _ADOBE, _JFIF = 0xDA, 0xEE, 0xE0
_J2K_SIZE = b"\xff\x4f\xff\x51"


@dataclass(frozen=True)
class Codestream:
    """A JPEG, JPEG-LS or JPEG 2000 image.

    Attributes:
        rows, columns, samples, bits: its size. ids: of its components. subsampled: whether they differ in size.
        transform: of the Adobe marker (0: none, 1: YCbCr), or None without one. jfif: whether it is a JFIF file.
    """

    rows: int
    columns: int
    samples: int
    bits: int
    ids: bytes = b""
    subsampled: bool = False
    transform: int | None = None
    jfif: bool = False

    @property
    def is_ycbcr(self) -> bool | None:
        """Whether the three components are YCbCr by what the codestream says; None when it does not say."""
        if self.jfif:
            return True
        if self.transform is not None:
            return self.transform == 1
        if self.ids == b"RGB":
            return False
        return True if self.subsampled else None


def parse_codestream(data: bytes) -> Codestream:
    """Read the frame header.

    Raises:
        SourceError: there is none, or the image takes more passes than any encoder makes.
    """
    at = data.find(_J2K_SIZE, 0, 1 << 16)
    if at >= 0 and not data.startswith(b"\xff\xd8"):
        return _jpeg2000(data, at)
    found = _jpeg(data)
    if found is None:
        raise SourceError("it is no JPEG image, or damaged")
    if data.count(b"\xff\xda") > _SCANS_AT_MOST:
        raise SourceError(f"its JPEG image takes more than {_SCANS_AT_MOST} passes")
    return found


def _jpeg(data: bytes) -> Codestream | None:
    at, transform, jfif = 2, None, False
    while data.startswith(b"\xff\xd8") and at + 4 <= len(data):
        if data[at] != 0xFF:
            return None
        marker = data[at + 1]
        if marker == 0xFF or marker in _WITHOUT_LENGTH:
            at += 1 if marker == 0xFF else 2
            continue
        body = data[at + 4 : at + 2 + int.from_bytes(data[at + 2 : at + 4], "big")]
        if marker == _START_OF_SCAN:
            return None
        if marker == _JFIF and body.startswith(b"JFIF"):
            jfif = True
        elif marker == _ADOBE and body.startswith(b"Adobe") and len(body) >= 12:
            transform = body[11]
        elif marker in _FRAME_HEADERS and len(body) >= 6:
            bits, rows, columns, samples = struct.unpack_from(">BHHB", body)
            ids, factors = body[6 : 6 + 3 * samples : 3], set(body[7 : 6 + 3 * samples : 3])
            return Codestream(rows, columns, samples, bits, ids, len(factors) > 1, transform, jfif)
        at += 4 + len(body)
    return None


def _jpeg2000(data: bytes, at: int) -> Codestream:
    if len(data) < at + 43:
        raise SourceError("its JPEG 2000 image is truncated")
    right, bottom, left, top = struct.unpack_from(">4I", data, at + 8)
    samples, depth = struct.unpack_from(">HB", data, at + 40)
    return Codestream(bottom - top, right - left, samples, (depth & 0x7F) + 1)
