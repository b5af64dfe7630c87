"""Foreign networks that give no picture: maps of probabilities or classes, class scores, and a detector's boxes."""

from __future__ import annotations

from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper

from tests.support.foreign_networks import KERNEL, Graph

PORT = {"classes": TensorProto.INT64}


def _model(graph: Graph, y: str, shape: list[Any], name: str = "y", size: list[Any] | None = None) -> onnx.ModelProto:
    kind = TensorProto.INT64 if name == "classes" else TensorProto.FLOAT
    graph.nodes.append(helper.make_node("Identity", [y], [name]))
    ports = [
        helper.make_tensor_value_info("x", TensorProto.FLOAT, ["n", 1, *(size or ["h", "w"])]),
        helper.make_tensor_value_info(name, kind, shape),
    ]
    made = helper.make_graph(graph.nodes, "maps", ports[:1], ports[1:], graph.constants)
    return helper.make_model(made, opset_imports=[helper.make_opsetid("", 18)], ir_version=8)


def _logits(graph: Graph, classes: int) -> str:
    """Class k is likeliest where the smoothed picture is nearest to k / (classes − 1)."""
    smooth = graph.conv("x", KERNEL[None, None])
    levels = np.arange(classes) / max(classes - 1, 1)
    return graph.conv(smooth, 2 * levels.reshape(-1, 1, 1, 1), -(levels**2))


def probability(closed: bool = True) -> onnx.ModelProto:
    """Bright tissue: sigmoid(20 · (smoothed − 0.4)), or what is before the sigmoid."""
    graph = Graph(18)
    y = graph.conv("x", 20 * KERNEL[None, None], np.array([-8.0]))
    return _model(graph, graph.node("Sigmoid", y) if closed else y, ["n", 1, "h", "w"])


def classes(count: int = 4, whole: bool = False) -> onnx.ModelProto:
    """One logit a class, or (``whole``) the classes themselves as int64 N×H×W."""
    graph = Graph(18)
    y = _logits(graph, count)
    if not whole:
        return _model(graph, y, ["n", count, "h", "w"])
    return _model(graph, graph.node("ArgMax", y, axis=1, keepdims=0), ["n", "h", "w"], "classes")


def scores(count: int = 5, side: int | None = None) -> onnx.ModelProto:
    """One logit a class for the whole picture; of one frame size alone where ``side`` is given."""
    graph = Graph(18)
    x = "x"
    if side:
        x = graph.node("Reshape", x, graph.constant([1, 1, side, side], np.int64))
        graph.nodes[-1].input[0] = "x"
    smooth = graph.conv(x, np.linspace(-9, 9, count).reshape(-1, 1, 1, 1) * KERNEL)
    mean = graph.node("Flatten", graph.node("GlobalAveragePool", smooth))
    return _model(graph, mean, ["n", count], size=[side, side] if side else None)


def boxes(name: str = "detections") -> onnx.ModelProto:
    """84 numbers for each of the picture's eighths."""
    graph = Graph(18)
    small = graph.conv("x", np.ones((84, 1, 8, 8)), pads=[0] * 4, strides=[8, 8])
    return _model(graph, graph.node("Reshape", small, graph.constant([0, 84, -1], np.int64)), ["n", 84, "m"], name)
