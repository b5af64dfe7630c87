"""Nodes and constants of an ONNX graph.

Field numbers: onnx.proto3 of ONNX 1.16 (ModelProto, GraphProto, NodeProto, AttributeProto, TensorProto).
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edgerecon.core.errors import ModelError
from edgerecon.modelfile.file import ModelFile
from edgerecon.modelfile.protobuf import Corrupt, Value, fields, numbers, parts

_FLOAT16, _BFLOAT16 = 10, 16
_TYPES = {
    1: np.float32,
    2: np.uint8,
    3: np.int8,
    5: np.int16,
    6: np.int32,
    7: np.int64,
    9: np.bool_,
    10: np.float16,
    11: np.float64,
}


@dataclass(frozen=True)
class Node:
    """One operator. ``attributes``: those that are numbers, lists of whole numbers, or text."""

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
        graph = next(message for number, message in parts(memoryview(file.content)) if number == 7)
        nodes = [_node(message) for number, message in parts(graph) if number == 1]
        constants = dict(_tensor(message) for number, message in parts(graph) if number == 5)
    except (Corrupt, StopIteration, KeyError, UnicodeDecodeError, ValueError):
        raise ModelError(f"the graph of {file.path} cannot be read: export it again") from None
    return nodes, constants


def _node(message: memoryview) -> Node:
    found = list(parts(message))
    texts = [(number, bytes(value).decode()) for number, value in found if number in (1, 2, 4)]
    attributes = dict(_attribute(value) for number, value in found if number == 5)
    kind = next(text for number, text in texts if number == 4)
    return Node(
        kind,
        tuple(text for number, text in texts if number == 1),
        tuple(text for number, text in texts if number == 2),
        attributes,
    )


def _attribute(message: memoryview) -> tuple[str, Any]:
    name, listed = "", list[int]()
    value: Value | str | None = None
    for number, content in fields(message):
        if number == 1:
            name = bytes(_bytes(content)).decode()
        elif number == 2 and isinstance(content, float):
            value = content
        elif number == 3:
            value = content - 2**64 if isinstance(content, int) and content >= 2**63 else content
        elif number == 4:
            value = bytes(_bytes(content)).decode()
        elif number == 8:
            listed += numbers(content)
    return name, tuple(listed) if listed else value


def _tensor(message: memoryview) -> tuple[str, NDArray[Any]]:
    """Its numbers stand as raw bytes, or as a list: of floats, or of whole numbers, which may be a float16's bits."""
    name, shape, kind, raw, whole = "", list[int](), 0, b"", list[int]()
    for number, content in fields(message):
        if number == 1:
            shape += numbers(content)
        elif number == 2:
            kind = int(content) if isinstance(content, int) else 0
        elif number == 4:
            raw += struct.pack("<f", content) if isinstance(content, float) else bytes(_bytes(content))
        elif number in (5, 7):
            whole += numbers(content)
        elif number == 8:
            name = bytes(_bytes(content)).decode()
        elif number in (9, 10):
            raw = bytes(_bytes(content))
    stored = np.dtype("<u2" if kind == _BFLOAT16 else _TYPES[kind]).newbyteorder("<")
    if whole:
        listed = np.array([value - 2**64 if value >= 2**63 else value for value in whole])
        raw = listed.astype("<u2" if kind in (_FLOAT16, _BFLOAT16) else stored).tobytes()
    values = np.frombuffer(raw, stored).reshape(shape)
    if kind == _BFLOAT16:  # the upper half of a float32
        return name, (values.astype(np.uint32) << 16).view(np.float32)
    return name, values.astype(_TYPES[kind])


def _bytes(value: Value) -> memoryview:
    if not isinstance(value, memoryview):
        raise Corrupt
    return value
