"""fp32 ONNX file → fp16 ONNX file with explicit casts.

Strongly typed: every type is written in the file, weights are stored in 16 bits, and no runtime has anything to decide.
Input and output stay float32, and so does the skip from the network's input (see ``graph.skips``): the converter that
comes with onnxruntime sends it through 16 bits with all else, which is why it is not used.

The convolution that reads the frame stays in float32, too, where the network has a second scale. A frame is positive
and such weights cancel, so that a sum passes 16 on its way to a value below 2. ARM CPUs add up in 16 bits, which hold
steps of 1/64 there, four grey levels. It is 5 % of the arithmetic. Networks of one scale stay whole, since our CUDA
kernel takes one type for all their layers: their sums of 16 bits differ by less than half a grey level anyway.
"""

from __future__ import annotations

import numpy as np

from edgerecon.core.errors import ModelError
from edgerecon.workshop.compress import graph as g
from edgerecon.workshop.compress.graph import GraphProto, ModelProto, NodeProto, onnx

_GREATEST = float(np.finfo(np.float16).max)
_TYPED = ("Cast", "Constant", "ConstantOfShape")
"""Operators whose attributes name the type of their output."""
_LEFT_ALONE = {"Resize": (1, 2)}
"""Inputs that an operator demands in float32."""


def to_half(model: bytes | ModelProto) -> ModelProto:
    """Make the fp16 file.

    Returns:
        A valid model with the metadata of ``model`` and precision "fp16"; opset and IR version unchanged.

    Raises:
        ModelError: not an fp32 file of ours; or a weight is beyond 65504, the greatest value of 16 bits.
    """
    result = g.load(model)
    g.require_fp32(result)
    graph = result.graph
    typed = [node for node in graph.node if node.op_type in _TYPED]
    single = {node.name for node in (*typed, *g.skips(graph), *_of_frame(graph))}
    floats = _float_tensors(result)
    half_read, single_read = _reads(graph, single, floats)
    nodes = [_cast(value.name, to_half=True) for value in graph.input if value.name in half_read]
    for node in graph.node:
        in_half = node.name not in single
        nodes.append(_renamed(node, floats) if in_half else node)
        # An activation exists in the type that its maker gives it, and in the other one if anybody reads that.
        others = single_read if in_half else half_read
        nodes += [_cast(name, to_half=not in_half) for name in node.output if name in others]
    g.replace_nodes(graph, nodes)
    _store(graph, half_read)
    g.drop_unused_constants(graph)
    del graph.value_info[:]
    g.describe(result, precision="fp16")
    return g.checked(result)


def _of_frame(graph: GraphProto) -> list[NodeProto]:
    """The nodes up to the first activation, which stay in float32; none in a network of one scale."""
    if not any(node.op_type == "ConvTranspose" for node in graph.node):
        return []
    own = g.of_input(graph)
    moves = [node for node in graph.node if own & set(node.output)]
    first = [node for node in graph.node if node.op_type == "Conv" and node.input[0] in own]
    made = {name for node in first for name in node.output}
    return [*moves, *first, *(node for node in graph.node if node.op_type == "Relu" and node.input[0] in made)]


def _float_tensors(model: ModelProto) -> set[str]:
    typed = onnx.shape_inference.infer_shapes(model).graph
    values = (*typed.input, *typed.value_info, *typed.output)
    activations = {v.name for v in values if v.type.tensor_type.elem_type == onnx.TensorProto.FLOAT}
    return activations | {t.name for t in typed.initializer if t.data_type == onnx.TensorProto.FLOAT}


def _reads(graph: GraphProto, single: set[str], floats: set[str]) -> tuple[set[str], set[str]]:
    """Names of the float tensors that are read in 16 bits, and of those that are read in 32."""
    half_read: set[str] = set()
    single_read = {value.name for value in graph.output}
    for node in graph.node:
        for at, name in enumerate(node.input):
            if name in floats:
                (half_read if node.name not in single and _convertible(node, at) else single_read).add(name)
    return half_read, single_read & floats


def _renamed(node: NodeProto, floats: set[str]) -> NodeProto:
    """The node between tensors of 16 bits."""
    new = onnx.NodeProto()
    new.CopyFrom(node)
    new.input[:] = [
        _half(name) if name in floats and _convertible(node, at) else name for at, name in enumerate(node.input)
    ]
    new.output[:] = [_half(name) if name in floats else name for name in node.output]
    return new


def _convertible(node: NodeProto, at: int) -> bool:
    return at not in _LEFT_ALONE.get(node.op_type, ())


def _cast(name: str, to_half: bool) -> NodeProto:
    before, after = (name, _half(name)) if to_half else (_half(name), name)
    kind = onnx.TensorProto.FLOAT16 if to_half else onnx.TensorProto.FLOAT
    return onnx.helper.make_node("Cast", [before], [after], f"{after}_cast", to=kind)


def _store(graph: GraphProto, names: set[str]) -> None:
    """Add the constants that are read in 16 bits."""
    for name, value in g.constants(graph).items():
        if name in names:
            if not np.abs(value).max(initial=0) <= _GREATEST:
                raise ModelError(f"'{name}' holds values beyond {_GREATEST:g}, too great for fp16: keep the fp32 file")
            graph.initializer.append(onnx.numpy_helper.from_array(value.astype(np.float16), _half(name)))


def _half(name: str) -> str:
    return f"{name}_half"
