"""Protocol buffers, read straight off the wire: ONNX is written in them, and the device install has no onnx package.

Wire format: protobuf.dev, "Encoding". Whatever bytes come, the answer is fields or ``Corrupt``.
"""

from __future__ import annotations

from collections.abc import Iterator

_VARINT, _FIXED64, _BYTES, _FIXED32 = 0, 1, 2, 5


class Corrupt(Exception):
    """The bytes are not protocol buffers, or a field is of another type than it should be."""


def fields(message: memoryview) -> Iterator[tuple[int, int | memoryview]]:
    """Number and value of each field, in order: whole numbers, and what has a length. Floats are stepped over."""
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
        elif kind in (_FIXED64, _FIXED32):
            at += 8 if kind == _FIXED64 else 4
        else:
            raise Corrupt
    if at > len(message):
        raise Corrupt


def parts(message: memoryview) -> Iterator[tuple[int, memoryview]]:
    """The fields that have a length: messages, texts and bytes."""
    return ((number, value) for number, value in fields(message) if not isinstance(value, int))


def numbers(value: int | memoryview) -> list[int]:
    """Of a repeated field: one, or several packed together."""
    if isinstance(value, int):
        return [value]
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
