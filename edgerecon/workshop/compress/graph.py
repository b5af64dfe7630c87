"""What compression asks of an ONNX graph: who makes and reads a tensor, and which values are the input's own."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edgerecon.core.errors import ModelError, needed
from edgerecon.modelfile.file import PREFIX

with needed("train", "onnx"):
    import onnx
    from google.protobuf.message import DecodeError
    from onnx import GraphProto, ModelProto, NodeProto

MOVES = ("SpaceToDepth", "DepthToSpace", "Reshape", "Transpose", "Slice", "Identity", "Squeeze", "Unsqueeze")
"""Operators that move values without changing them."""


def load(model: bytes | ModelProto) -> ModelProto:
    """A copy that may be changed.

    Raises:
        ModelError: the bytes are not ONNX.
    """
    copy = ModelProto()
    try:
        copy.CopyFrom(model) if isinstance(model, ModelProto) else copy.ParseFromString(model)
    except DecodeError:
        raise ModelError("the model to compress is not an ONNX file, or it is corrupt: export it again") from None
    if not copy.graph.node:
        raise ModelError("the model to compress holds no operator: export it again")
    return copy


def checked(model: ModelProto) -> ModelProto:
    """The model itself, after onnx's checker with shape inference has passed it.

    Raises:
        ModelError: it is not valid.
    """
    try:
        onnx.checker.check_model(model, full_check=True)
    except (onnx.checker.ValidationError, onnx.shape_inference.InferenceError) as error:
        raise ModelError(f"the compressed graph is not valid ONNX: {str(error).splitlines()[0]}") from None
    return model


def constants(graph: GraphProto) -> dict[str, NDArray[np.generic]]:
    """Initializers by name."""
    return {tensor.name: onnx.numpy_helper.to_array(tensor) for tensor in graph.initializer}


def attribute(node: NodeProto, name: str, default: Any) -> Any:
    """Value of an attribute, or what ONNX takes when it is absent."""
    return next((onnx.helper.get_attribute_value(a) for a in node.attribute if a.name == name), default)


def readers(graph: GraphProto, tensor: str) -> list[NodeProto]:
    """Nodes that take a tensor."""
    return [node for node in graph.node if tensor in node.input]


def leading_to(graph: GraphProto, nodes: Sequence[NodeProto]) -> set[str]:
    """Every tensor on which the first input of some of the nodes depends, those inputs included."""
    wanted = {node.input[0] for node in nodes}
    for node in reversed(graph.node):
        if wanted & set(node.output):
            wanted.update(node.input)
    return wanted


def of_input(graph: GraphProto) -> set[str]:
    """Names of the graph's inputs and of what operators that only move values make of them."""
    names = {value.name for value in graph.input}
    for node in graph.node:  # in topological order, as ONNX demands
        if node.op_type in MOVES and node.input[0] in names:
            names.update(node.output)
    return names


def skips(graph: GraphProto) -> list[NodeProto]:
    """Additions that bring the network's input back: y = x + f(x).

    They are left in float32, with x as it came: eight or eleven bits there would coarsen every grey level of the frame,
    while f(x) is small and so are its errors.
    """
    own = of_input(graph)
    return [node for node in graph.node if node.op_type == "Add" and own & set(node.input)]


def metadata(model: ModelProto) -> dict[str, str]:
    """What the file says of itself, without our prefix."""
    return {p.key.removeprefix(PREFIX): p.value for p in model.metadata_props if p.key.startswith(PREFIX)}


def require_fp32(model: ModelProto) -> None:
    """Raises ModelError when the file has been through a change of precision."""
    precision = metadata(model).get("precision", "fp32")
    if precision != "fp32":
        raise ModelError(f"the model is {precision} already: start from the fp32 file that edgerecon export writes")


def describe(model: ModelProto, **facts: str) -> None:
    """Set metadata of ours and keep the rest."""
    props = {p.key: p.value for p in model.metadata_props} | {PREFIX + key: value for key, value in facts.items()}
    onnx.helper.set_model_props(model, props)


def drop_unused_constants(graph: GraphProto) -> None:
    """Initializers that no node reads any more."""
    read = {name for node in graph.node for name in node.input} | {value.name for value in graph.output}
    kept = [tensor for tensor in graph.initializer if tensor.name in read]
    del graph.initializer[:]
    graph.initializer.extend(kept)


def replace_nodes(graph: GraphProto, nodes: Sequence[NodeProto]) -> None:
    """The same graph with other nodes, in topological order."""
    del graph.node[:]
    graph.node.extend(nodes)
