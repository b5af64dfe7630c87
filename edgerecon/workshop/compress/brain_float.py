"""fp32 ONNX file → bf16 ONNX file: weights stored in bfloat16, half the size, with the range of float32.

Each weight is stored as BFLOAT16 and cast to float32 in the graph, so that every runtime that knows the cast (opset 13)
runs the file. A runtime whose processor multiplies in bfloat16 may fold the casts away.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from edgerecon.workshop.compress import graph as g
from edgerecon.workshop.compress.graph import ModelProto, onnx


def to_brain_float(model: bytes | ModelProto) -> ModelProto:
    """Make the bf16 file.

    Returns:
        A valid model with the metadata of ``model`` and precision "bf16"; opset and IR version unchanged.

    Raises:
        ModelError: not an fp32 file of ours.
    """
    result = g.load(model)
    g.require_fp32(result)
    graph = result.graph
    casts = []
    for tensor in list(graph.initializer):
        if tensor.data_type != onnx.TensorProto.FLOAT:
            continue
        stored = f"{tensor.name}_bf16"
        values = onnx.numpy_helper.to_array(tensor)
        words = rounded_words(values).tobytes()
        graph.initializer.remove(tensor)
        graph.initializer.append(
            onnx.helper.make_tensor(stored, onnx.TensorProto.BFLOAT16, values.shape, words, raw=True)
        )
        casts.append(
            onnx.helper.make_node("Cast", [stored], [tensor.name], f"{tensor.name}_cast", to=onnx.TensorProto.FLOAT)
        )
    g.replace_nodes(graph, [*casts, *graph.node])
    g.describe(result, precision="bf16")
    return g.checked(result)


def rounded_words(values: NDArray[np.float32]) -> NDArray[np.uint16]:
    """The upper halves of float32, rounded to nearest, ties to even, as IEEE 754 rounds.

    Args:
        values: finite float32 of any shape.
    """
    bits = np.ascontiguousarray(values, np.float32).view(np.uint32)
    return ((bits + 0x7FFF + ((bits >> 16) & 1)) >> 16).astype("<u2")
