"""All graphs, nodes and tensors of an ONNX model, those inside loops, branches and functions too."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from edgerecon.core.errors import needed

with needed("adopt", "onnx"):
    from onnx import GraphProto, ModelProto, NodeProto, TensorProto


def every_graph(model: ModelProto) -> Iterator[GraphProto]:
    """The model's graph, and those that nodes hold."""
    yield model.graph
    for node in every_node(model):
        yield from _held(node)


def every_node(model: ModelProto) -> Iterator[NodeProto]:
    """Nodes of the model's graph, of its functions, and of the graphs that nodes hold."""
    yield from _nodes(model.graph.node)
    for function in model.functions:
        yield from _nodes(function.node)


def every_tensor(model: ModelProto) -> Iterator[TensorProto]:
    """Initializers, and the tensors that nodes hold."""
    for graph in every_graph(model):
        yield from graph.initializer
    for node in every_node(model):
        for attribute in node.attribute:
            if attribute.HasField("t"):
                yield attribute.t
            yield from attribute.tensors


def _nodes(nodes: Iterable[NodeProto]) -> Iterator[NodeProto]:
    for node in nodes:
        yield node
        for graph in _held(node):
            yield from _nodes(graph.node)


def _held(node: NodeProto) -> Iterator[GraphProto]:
    for attribute in node.attribute:
        if attribute.HasField("g"):
            yield attribute.g
        yield from attribute.graphs
