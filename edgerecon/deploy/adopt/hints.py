"""What the graph itself says of its ranges: constants beside the input, and limits beside the output."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edgerecon.deploy.adopt.foreign import ModelProto, onnx
from edgerecon.deploy.adopt.graph_parts import NodeProto
from edgerecon.deploy.adopt.ranges import BYTE, SIGNED, UNIT, Range

_PASSES = {"Cast", "Identity", "Transpose", "Squeeze", "Unsqueeze", "Reshape", "Round", "Concat", "Expand"}
"""Operators that leave values as they are."""
_NEAR = 0.02


def input_hint(model: ModelProto, name: str) -> tuple[Range, str] | None:
    """The range that the first operations on an input speak of, and by what; None where they are silent."""
    constants = _constants(model)
    for node, other in _readers(model, name, constants):
        value = None if other is None else float(np.mean(np.abs(other)))
        if value is None:
            continue
        factor = 1 / value if node.op_type == "Div" and value else value
        if node.op_type in ("Div", "Mul") and abs(factor * 255 - 1) < _NEAR:
            return BYTE, "its first step divides by 255"
        if node.op_type in ("Div", "Mul") and abs(factor * 127.5 - 1) < _NEAR:
            return BYTE, "its first step divides by 127.5"
        if node.op_type == "Mul" and abs(factor - 255) < 1:
            return UNIT, "its first step multiplies by 255"
        if node.op_type == "Mul" and abs(factor - 2) < _NEAR or node.op_type == "Div" and abs(factor - 2) < _NEAR:
            return UNIT, "its first step multiplies by 2"
        if node.op_type == "Add" and abs(value - 1) < _NEAR:
            return SIGNED, "its first step adds 1"
        if node.op_type == "Sub" and abs(value - 127.5) < 1:
            return BYTE, "its first step subtracts 127.5"
    return None


def output_hint(model: ModelProto, name: str) -> tuple[Range, str] | None:
    """The range that the last operation on an output speaks of, and by what; None where it is silent."""
    constants = _constants(model)
    makers = {output: node for node in model.graph.node for output in node.output}
    node = makers.get(name)
    while node is not None and node.op_type in _PASSES:
        node = makers.get(node.input[0])
    if node is None:
        return None
    if node.op_type == "Sigmoid":
        return UNIT, "it ends in a sigmoid"
    if node.op_type == "Tanh":
        return SIGNED, "it ends in a tanh"
    if node.op_type == "Mul":
        other = next((constants[one] for one in node.input if one in constants), None)
        if other is not None and abs(float(np.mean(other)) - 255) < 1:
            return BYTE, "its last step multiplies by 255"
    if node.op_type == "Clip":
        limits = tuple(
            float(constants[one]) for one in node.input[1:3] if one in constants and constants[one].size == 1
        )
        for one, pair in ((UNIT, (0.0, 1.0)), (BYTE, (0.0, 255.0)), (SIGNED, (-1.0, 1.0))):
            if limits == pair:
                return one, f"it ends in a limit to {one.title}"
    return None


def _readers(
    model: ModelProto, name: str, constants: dict[str, NDArray[Any]]
) -> Iterator[tuple[NodeProto, NDArray[Any] | None]]:
    """Nodes that take an input, or what operators that pass it on make of it; with the constant that they take too."""
    names = {name}
    for node in model.graph.node:
        if not names & set(node.input):
            continue
        if node.op_type in _PASSES:
            names.update(node.output)
        else:
            yield node, next((constants[one] for one in node.input if one in constants), None)


def _constants(model: ModelProto) -> dict[str, NDArray[Any]]:
    found = {tensor.name: onnx.numpy_helper.to_array(tensor) for tensor in model.graph.initializer}
    for node in model.graph.node:
        if node.op_type == "Constant":
            for attribute in node.attribute:
                if attribute.name == "value":
                    found[node.output[0]] = onnx.numpy_helper.to_array(attribute.t)
                elif attribute.name == "value_float":
                    found[node.output[0]] = np.float32(attribute.f)  # type: ignore[assignment]
    return found
