"""Drops the Identity nodes of a graph: they compute nothing, and some engines have no kernel for them."""

from __future__ import annotations

from edgerecon.deploy.adopt.foreign import ModelProto
from edgerecon.deploy.adopt.graph_parts import NodeProto, every_graph


def drop_identities(model: ModelProto) -> None:
    """Join the two names of every Identity node of the main graph, in place; ports keep their names.

    An Identity stays that joins two ports or makes an output of a constant, and one of a value that a graph inside a
    loop or a branch reads.
    """
    graph = model.graph
    ports = {one.name for one in (*graph.input, *graph.output)}
    made = {name for node in graph.node for name in node.output}
    inside = _read_inside(model)
    kept: list[NodeProto] = []
    names: dict[str, str] = {}
    for node in graph.node:
        if node.op_type != "Identity" or node.domain not in ("", "ai.onnx"):
            kept.append(node)
            continue
        source, target = names.get(node.input[0], node.input[0]), node.output[0]
        if {source, target, node.input[0]} & inside or (target in ports and (source in ports or source not in made)):
            kept.append(node)
        elif target in ports:
            names |= {name: target for name, now in names.items() if now == source} | {source: target}
        else:
            names[target] = source
    for node in kept:
        node.input[:] = [names.get(name, name) for name in node.input]
        node.output[:] = [names.get(name, name) for name in node.output]
    del graph.node[:]
    graph.node.extend(kept)


def _read_inside(model: ModelProto) -> set[str]:
    """Names that the graphs of loops and branches read or give."""
    held = [graph for graph in every_graph(model) if graph is not model.graph]
    nodes = {name for graph in held for node in graph.node for name in node.input}
    return nodes | {one.name for graph in held for one in graph.output}
