"""Protocol buffers, read straight off the wire: ONNX is written in them, and the device install has no onnx package.

Wire format: protobuf.dev, "Encoding". Whatever bytes come, the answer is fields or ``Corrupt``.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator

Value = int | float | memoryview
_VARINT, _FIXED64, _BYTES, _FIXED32 = 0, 1, 2, 5


class Corrupt(Exception):
    """The bytes are not protocol buffers, or a field is of another type than it should be."""


def fields(message: memoryview) -> Iterator[tuple[int, Value]]:
    """Number and value of each field, in order; fixed 32 bits are a float. Fixed 64 bits are stepped over."""
    at = 0
    while at < len(message):
        tag, at = _varint(message, at)
        kind = tag & 7
        if kind == _VARINT:
            value, at = _varint(message, at)
            yield tag >> 3, value
        elif kind == _BYTES:
            length, at = _varint(message, at)
            if at + length > len(message):
                raise Corrupt
            yield tag >> 3, message[at : at + length]
            at += length
        elif kind == _FIXED32:
            if at + 4 > len(message):
                raise Corrupt
            yield tag >> 3, float(struct.unpack_from("<f", message, at)[0])
            at += 4
        elif kind == _FIXED64:
            at += 8
        else:
            raise Corrupt
    if at > len(message):
        raise Corrupt


def parts(message: memoryview) -> Iterator[tuple[int, memoryview]]:
    """The fields that have a length: messages, texts and bytes."""
    return ((number, value) for number, value in fields(message) if isinstance(value, memoryview))


def numbers(value: Value) -> list[int]:
    """Of a repeated field: one, or several packed together."""
    if isinstance(value, int):
        return [value]
    if isinstance(value, float):
        raise Corrupt
    found, at = [], 0
    while at < len(value):
        number, at = _varint(value, at)
        found.append(number)
    return found


def _varint(message: memoryview, at: int) -> tuple[int, int]:
    value = 0
    for shift in range(0, 70, 7):
        if at >= len(message):
            raise Corrupt
        byte = message[at]
        at += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value, at
    raise Corrupt
