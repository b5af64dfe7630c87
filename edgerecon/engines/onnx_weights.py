"""Nodes and constants of an ONNX graph, read straight off the wire (the device install has no onnx package).

Field numbers: onnx.proto3 of ONNX 1.16 (ModelProto, GraphProto, NodeProto, AttributeProto, TensorProto).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edgerecon.engines.model_file import ModelFile, _Corrupt, _varint
from edgerecon.errors import ModelError

Field = tuple[int, int | memoryview]
_TYPES = {1: np.float32, 2: np.uint8, 3: np.int8, 6: np.int32, 7: np.int64, 10: np.float16}
_VARINT, _FIXED64, _BYTES, _FIXED32 = 0, 1, 2, 5


@dataclass(frozen=True)
class Node:
    """One operator. ``attributes``: those that are whole numbers, lists of them, or text."""

    kind: str
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    attributes: dict[str, Any]


def read_graph(file: ModelFile) -> tuple[list[Node], dict[str, NDArray[Any]]]:
    """Nodes in the order of the file, and constants by name.

    Raises:
        ModelError: the file is damaged, or a constant is of a kind that our exports do not hold.
    """
    try:
        graph = next(message for number, message in _fields(memoryview(file.content)) if number == 7)
        parts = list(_fields(_bytes(graph)))
        nodes = [_node(_bytes(message)) for number, message in parts if number == 1]
        constants = dict(_tensor(_bytes(message)) for number, message in parts if number == 5)
    except (_Corrupt, StopIteration, KeyError, UnicodeDecodeError, ValueError):
        raise ModelError(f"the graph of {file.path} cannot be read: export it again") from None
    return nodes, constants


def _node(message: memoryview) -> Node:
    fields = list(_fields(message))
    texts = [(number, bytes(_bytes(value)).decode()) for number, value in fields if number in (1, 2, 4)]
    attributes = dict(_attribute(_bytes(value)) for number, value in fields if number == 5)
    kind = next(text for number, text in texts if number == 4)
    return Node(kind, tuple(text for number, text in texts if number == 1),
                tuple(text for number, text in texts if number == 2), attributes)  # fmt: skip


def _attribute(message: memoryview) -> tuple[str, Any]:
    name, numbers = "", list[int]()
    value: int | str | memoryview | None = None
    for number, content in _fields(message):
        if number == 1:
            name = bytes(_bytes(content)).decode()
        elif number == 3:
            value = content
        elif number == 4:
            value = bytes(_bytes(content)).decode()
        elif number == 8:
            numbers += _numbers(content)
    return name, tuple(numbers) if numbers else value


def _tensor(message: memoryview) -> tuple[str, NDArray[Any]]:
    name, shape, kind, raw = "", list[int](), 0, b""
    for number, content in _fields(message):
        if number == 1:
            shape += _numbers(content)
        elif number == 2:
            kind = int(content) if isinstance(content, int) else 0
        elif number == 8:
            name = bytes(_bytes(content)).decode()
        elif number == 9:
            raw = bytes(_bytes(content))
    return name, np.frombuffer(raw, np.dtype(_TYPES[kind]).newbyteorder("<")).astype(_TYPES[kind]).reshape(shape)


def _numbers(content: int | memoryview) -> list[int]:
    """Of a repeated field: one, or several packed together."""
    if isinstance(content, int):
        return [content]
    numbers, at = [], 0
    while at < len(content):
        number, at = _varint(content, at)
        numbers.append(number)
    return numbers


def _bytes(value: int | memoryview) -> memoryview:
    if isinstance(value, int):
        raise _Corrupt
    return value


def _fields(message: memoryview) -> Iterator[Field]:
    """Fields of a message, in order: numbers, and what has a length; fixed-size ones are stepped over."""
    at = 0
    while at < len(message):
        tag, at = _varint(message, at)
        kind = tag & 7
        if kind in (_VARINT, _BYTES):
            value, at = _varint(message, at)
            if kind == _VARINT:
                yield tag >> 3, value
                continue
            if at + value > len(message):
                raise _Corrupt
            yield tag >> 3, message[at : at + value]
            at += value
        elif kind in (_FIXED64, _FIXED32):
            at += 8 if kind == _FIXED64 else 4
        else:
            raise _Corrupt
    if at > len(message):
        raise _Corrupt
