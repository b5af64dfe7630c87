"""Networks in bfloat16, which ONNX Runtime does not compute on a CPU, as float32: every bfloat16 number is one."""

from __future__ import annotations

import numpy as np

from edgerecon.core.errors import needed
from edgerecon.deploy.adopt.graph_parts import every_graph, every_node, every_tensor

with needed("adopt", "onnx"):
    from onnx import ModelProto, TensorProto, numpy_helper

_TYPE_ATTRIBUTES = ("to", "dtype", "output_dtype")
"""Attributes that name the type of what a node gives."""


def has_bfloat16_ports(model: ModelProto) -> bool:
    """Whether an input or output of the graph is bfloat16."""
    ports = (*model.graph.input, *model.graph.output)
    return any(value.type.tensor_type.elem_type == TensorProto.BFLOAT16 for value in ports)


def widen(model: ModelProto) -> None:
    """Make every bfloat16 tensor, cast and port of a model float32."""
    for tensor in every_tensor(model):
        if tensor.data_type == TensorProto.BFLOAT16:
            values = numpy_helper.to_array(tensor).astype(np.float32)
            tensor.CopyFrom(numpy_helper.from_array(values, tensor.name))
    for node in every_node(model):
        for attribute in node.attribute:
            if attribute.name in _TYPE_ATTRIBUTES and attribute.i == TensorProto.BFLOAT16:
                attribute.i = TensorProto.FLOAT
    for graph in every_graph(model):
        for value in (*graph.input, *graph.output, *graph.value_info):
            if value.type.tensor_type.elem_type == TensorProto.BFLOAT16:
                value.type.tensor_type.elem_type = TensorProto.FLOAT
