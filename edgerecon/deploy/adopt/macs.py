"""How much a network computes: the multiply-accumulates of one pixel, counted in its graph."""

from __future__ import annotations

from typing import Any

import numpy as np

from edgerecon.deploy.adopt.foreign import ModelProto, onnx, open_session
from edgerecon.deploy.adopt.network import Network


def count_macs(model: ModelProto, network: Network, size: tuple[int, int]) -> float:
    """Multiply-accumulates of convolutions and matrix products for one pixel of a frame.

    The shapes are those of a run, so that none has to be inferred.
    """
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


def _shapes(model: ModelProto, network: Network, size: tuple[int, int]) -> dict[str, tuple[int, ...]]:
    """Of every constant, and of what the nodes that compute anything read and write."""
    copy = ModelProto()
    copy.CopyFrom(model)
    kinds = ("Conv", "ConvTranspose", "MatMul", "Gemm", "QLinearConv", "ConvInteger")
    asked = {name for node in copy.graph.node if node.op_type in kinds for name in (*node.input, *node.output) if name}
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
