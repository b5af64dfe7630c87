"""How much a network computes: the multiply-accumulates of one pixel, counted in its graph."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from edgerecon.deploy.adopt.foreign import ModelProto, onnx, open_session
from edgerecon.deploy.adopt.graph_parts import NodeProto
from edgerecon.deploy.adopt.network import Network

_COUNTED = ("Conv", "ConvTranspose", "MatMul", "Gemm", "QLinearConv", "ConvInteger")
_UNCOUNTED = {"LSTM", "GRU", "RNN", "Einsum", "Attention", "DeformConv", "MatMulInteger", "QLinearMatMul", "FusedConv"}
"""Arithmetic whose amount is not known here; better no figure than a wrong one."""


def count_macs(model: ModelProto, network: Network, size: tuple[int, int]) -> float | None:
    """Multiply-accumulates of convolutions and matrix products for one pixel of a frame; None where not known.

    The shapes are those of a run, so that none has to be inferred; those inside the branches of an If, the body of a
    Loop or a function of the file's own are not seen by it.
    """
    if next(_beyond_count(model), None) is not None:
        return None
    shapes = _shapes(model, network, size)
    total = sum(_macs(node, shapes) for node in model.graph.node)
    return total / (size[0] * size[1] * network.ports.layout.batch)


def _macs(node: Any, shapes: dict[str, tuple[int, ...]]) -> float:
    ins, out = [shapes.get(name, ()) for name in node.input], shapes.get(node.output[0], ())
    if node.op_type in ("Conv", "ConvInteger") and len(ins[1]) > 2:
        return float(np.prod(out, dtype=float) * np.prod(ins[1][1:]))
    if node.op_type == "QLinearConv" and len(ins[3]) > 2:
        return float(np.prod(out, dtype=float) * np.prod(ins[3][1:]))
    if node.op_type == "ConvTranspose" and len(ins[1]) > 2:
        return float(np.prod(ins[0], dtype=float) * np.prod(ins[1][1:]))
    if node.op_type in ("MatMul", "Gemm") and ins[0] and out:
        inner = ins[0][0] if any(a.name == "transA" and a.i for a in node.attribute) else ins[0][-1]
        return float(np.prod(out, dtype=float) * inner)
    return 0.0


def _beyond_count(model: ModelProto) -> Iterator[str]:
    """Operators that compute, and are not counted."""
    for node in model.graph.node:
        if node.op_type in _UNCOUNTED:
            yield node.op_type
        yield from _inner_arithmetic(node)
    for function in model.functions:
        yield from (node.op_type for node in function.node if node.op_type in (*_COUNTED, *_UNCOUNTED))


def _inner_arithmetic(node: NodeProto) -> Iterator[str]:
    """What computes within the graphs of a node."""
    for attribute in node.attribute:
        for graph in (attribute.g, *attribute.graphs):
            for inner in graph.node:
                if inner.op_type in (*_COUNTED, *_UNCOUNTED):
                    yield inner.op_type
                yield from _inner_arithmetic(inner)


def _shapes(model: ModelProto, network: Network, size: tuple[int, int]) -> dict[str, tuple[int, ...]]:
    """Of every constant, and of what the nodes that compute anything read and write."""
    copy = ModelProto()
    copy.CopyFrom(model)
    asked = {
        name for node in copy.graph.node if node.op_type in _COUNTED for name in (*node.input, *node.output) if name
    }
    made = {name for node in copy.graph.node for name in node.output}
    constants = {tensor.name: tuple(tensor.dims) for tensor in copy.graph.initializer}
    shown = {value.name for value in copy.graph.output}
    copy.graph.output.extend(onnx.ValueInfoProto(name=name) for name in sorted((asked & made) - shown))
    session = open_session(copy)
    names = [value.name for value in session.get_outputs()]
    picture = np.full((network.ports.layout.channels, *size), 0.5)
    feeds = network.ports.feeds(picture)
    arrays = session.run(names, feeds)
    inputs = {name: array.shape for name, array in feeds.items()}
    return constants | inputs | {name: np.shape(array) for name, array in zip(names, arrays, strict=True)}
