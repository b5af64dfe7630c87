"""Writes a foreign network's graph anew between our own ports.

What goes in is ``frame``, float32 N×1×H×W in [0, 1]; what comes out is ``reconstruction``, likewise. All that lies
between the two and the network (range, channels, layout, type, batch, noise level, residual) becomes nodes of the
graph, so that no runtime has to know of it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edgerecon.core import __version__
from edgerecon.core.errors import ModelError, first_line
from edgerecon.deploy.adopt.foreign import ModelProto, TensorProto, onnx
from edgerecon.deploy.adopt.graph_parts import NodeProto
from edgerecon.deploy.adopt.identities import drop_identities
from edgerecon.deploy.adopt.layout import LUMA, Layout
from edgerecon.deploy.adopt.maps import SCORES, MapReading
from edgerecon.deploy.adopt.network import Network
from edgerecon.deploy.adopt.ports import Port
from edgerecon.deploy.adopt.range_trial import DIRECT, MINUS, Reading
from edgerecon.deploy.adopt.ranges import OF_TYPE
from edgerecon.deploy.adopt.sizes import Sizes
from edgerecon.modelfile.ports import INPUT, OUTPUT, STATE_IN, STATE_OUT
from edgerecon.modelfile.spec import LABELS

_PREFIX = "net/"
_BUILT = "edgerecon/"
_AXES_AS_INPUT = 13
"""Opset from which Squeeze and Unsqueeze take their axes as an input."""


def wrap(model: ModelProto, network: Network, reading: Reading | MapReading, sizes: Sizes) -> ModelProto:
    """The network between our ports, with no metadata yet.

    Raises:
        ModelError: the graph that comes of it is not valid.
    """
    inner = onnx.compose.add_prefix(model, _PREFIX)
    _prefix_in_branches(inner.graph, {one.name for one in model.graph.initializer})
    _lift_constants(inner)
    graph = _Graph(inner, next(one.version for one in inner.opset_import if one.domain in ("", "ai.onnx")))
    before = _before(graph, network, reading, sizes)
    picture = (
        _map_after(graph, network, reading) if isinstance(reading, MapReading) else _after(graph, network, reading)
    )
    states = _states_after(graph, network)
    del inner.graph.input[:], inner.graph.output[:], inner.graph.value_info[:]
    inner.graph.input.extend(_ports(network, sizes, INPUT, STATE_IN, 1))
    if isinstance(reading, MapReading) and reading.way == SCORES:
        batch = _batch(network, sizes)
        inner.graph.output.append(
            onnx.helper.make_tensor_value_info(OUTPUT, TensorProto.FLOAT, [batch, 1, 1, reading.classes])
        )
    else:
        inner.graph.output.extend(_ports(network, sizes, OUTPUT, STATE_OUT, network.result.scale))
    nodes = [*before, *inner.graph.node, *picture, *states]
    del inner.graph.node[:], inner.metadata_props[:]
    inner.graph.node.extend(nodes)
    inner.graph.initializer.extend(graph.constants)
    drop_identities(inner)
    inner.producer_name, inner.producer_version, inner.doc_string = "edgerecon", __version__, ""
    try:
        onnx.checker.check_model(inner, full_check=False)
    except onnx.checker.ValidationError as error:
        raise ModelError(f"the network cannot be written again: {first_line(error)}") from None
    return inner


def _prefix_in_branches(graph: Any, weights: set[str]) -> None:
    """Rename what graphs inside a node read of the main graph's weights, which ``add_prefix`` leaves out."""
    for attribute in (one for node in graph.node for one in node.attribute):
        for branch in (*([attribute.g] if attribute.HasField("g") else []), *attribute.graphs):
            for node in branch.node:
                node.input[:] = [_PREFIX + name if name in weights else name for name in node.input]
            _prefix_in_branches(branch, weights)


def _lift_constants(model: ModelProto) -> None:
    """Turn nodes that only hold a tensor into initializers, which every runtime knows."""
    kept = []
    for node in model.graph.node:
        value = next((one.t for one in node.attribute if one.name == "value"), None)
        if node.op_type != "Constant" or value is None:
            kept.append(node)
            continue
        value.name = node.output[0]
        model.graph.initializer.append(value)
    del model.graph.node[:]
    model.graph.node.extend(kept)


@dataclass
class _Graph:
    """Nodes and constants that are added, under names that no network has."""

    model: ModelProto
    opset: int
    constants: list[TensorProto] = field(default_factory=list)
    _count: int = 0

    def name(self) -> str:
        self._count += 1
        return f"{_BUILT}{self._count}"

    def constant(self, value: NDArray[Any]) -> str:
        name = self.name()
        self.constants.append(onnx.numpy_helper.from_array(value, name))
        return name

    def node(self, kind: str, inputs: Sequence[str], nodes: list[NodeProto], **attributes: Any) -> str:
        """Add a node with one output. Returns the name of that."""
        output = self.name()
        nodes.append(onnx.helper.make_node(kind, list(inputs), [output], name=output, **attributes))
        return output

    def unsqueeze(self, tensor: str, axis: int, nodes: list[NodeProto]) -> str:
        if self.opset < _AXES_AS_INPUT:
            return self.node("Unsqueeze", [tensor], nodes, axes=[axis])
        return self.node("Unsqueeze", [tensor, self.constant(np.array([axis], np.int64))], nodes)

    def drop_axis(self, tensor: str, axis: int, nodes: list[NodeProto]) -> str:
        """The first along an axis, without that axis."""
        return self.node("Gather", [tensor, self.constant(np.array(0, np.int64))], nodes, axis=axis)

    def affine(self, tensor: str, gain: Any, offset: Any, nodes: list[NodeProto]) -> str:
        """gain · x + offset, constants of the shape (1, C, 1, 1)."""
        for kind, values, neutral in (("Mul", gain, 1.0), ("Add", offset, 0.0)):
            array = np.float32(values).reshape(1, -1, 1, 1)
            if np.any(array != neutral):
                tensor = self.node(kind, [tensor, self.constant(array)], nodes)
        return tensor


def _before(graph: _Graph, network: Network, reading: Reading | MapReading, sizes: Sizes) -> list[NodeProto]:
    """From the frame and the state to the network's inputs."""
    nodes: list[NodeProto] = []
    ports, layout = network.ports, network.ports.layout
    gain, offset = reading.given.gain, reading.given.offset
    # OpenVINO cannot fuse a product that makes three channels of one into the convolution behind it.
    channels = [INPUT] * layout.channels
    picture = graph.node("Concat", channels, nodes, axis=1) if layout.channels > 1 else INPUT
    if network.result.kind == SCORES and sizes.fixed:
        shape = graph.constant(np.array([1, layout.channels, *sizes.fixed], np.int64))
        picture = graph.node("Resize", [picture, "", "", shape], nodes, mode="linear")
    picture = graph.affine(picture, gain, offset, nodes)
    if ports.image.dtype in OF_TYPE:
        picture = graph.node("Round", [picture], nodes)
    picture = _cast(graph, picture, ports.image, nodes)
    picture = _laid_out(graph, picture, layout, nodes)
    _rename(graph, nodes, picture, ports.image.name)
    for port in ports.noise:
        _noise(graph, network, port, reading, sizes, nodes)
    if ports.states:
        parts = [one.channels for one in ports.states]
        state = STATE_IN
        pieces = _split(graph, state, parts, nodes)
        for one, piece in zip(ports.states, pieces, strict=True):
            _rename(graph, nodes, _cast(graph, piece, one.given, nodes), one.given.name)
    return nodes


def _laid_out(graph: _Graph, picture: str, layout: Layout, nodes: list[NodeProto]) -> str:
    """N×C×H×W → the network's own axes."""
    if layout.batch > 1:
        picture = graph.node("Concat", [picture] * layout.batch, nodes, axis=0)
    if "N" not in layout.axes:
        picture = graph.drop_axis(picture, 0, nodes)
        have = "CHW"
    else:
        have = "NCHW"
    if "C" not in layout.axes:
        return graph.drop_axis(picture, have.index("C"), nodes)
    if have == layout.axes:
        return picture
    return graph.node("Transpose", [picture], nodes, perm=[have.index(axis) for axis in layout.axes])


def _noise(
    graph: _Graph, network: Network, port: Port, reading: Reading | MapReading, sizes: Sizes, nodes: list[NodeProto]
) -> None:
    """A noise level as a constant: one number, or a map as large as the picture."""
    level = network.noise_value(reading.given)
    if port.single or sizes.fixed:
        shape = network.ports.noise_shape(port, *network.ports.size)
        value = graph.constant(np.full(shape, level, port.dtype))
        _rename(graph, nodes, value, port.name)
        return
    ports, divisor = network.ports, network.ports.noise_divisor
    small = INPUT
    if divisor > 1:
        small = graph.node("MaxPool", [INPUT], nodes, kernel_shape=[divisor] * 2, strides=[divisor] * 2)
    zero = graph.node("Mul", [small, graph.constant(np.array(0, np.float32))], nodes)
    everywhere = graph.node("Add", [zero, graph.constant(np.array(level, np.float32))], nodes)
    channels = ports.noise_channels(port)
    if channels > 1:
        everywhere = graph.node("Concat", [everywhere] * channels, nodes, axis=1)
    _rename(graph, nodes, _laid_out(graph, _cast(graph, everywhere, port, nodes), ports.layout, nodes), port.name)


def _after(graph: _Graph, network: Network, reading: Reading) -> list[NodeProto]:
    """From the network's output to the picture of luminance in [0, 1]."""
    nodes: list[NodeProto] = []
    layout = network.result.layout
    picture = _channels_first(graph, _output(graph, network, nodes), layout, nodes)
    picture = _first_of_batch(graph, picture, layout.batch, nodes)
    direct = reading.way == DIRECT
    gain = np.resize(reading.returned.gain, layout.channels)
    offset = np.resize(reading.returned.offset, layout.channels) if direct else np.zeros(layout.channels)
    if layout.channels == 1:
        picture = graph.affine(picture, 1 / gain, -offset / gain, nodes)
    else:  # luminance is a convolution of 1×1, which takes the range in as well
        weights = graph.constant(np.float32(LUMA / gain).reshape(1, -1, 1, 1))
        bias = graph.constant(np.array([-np.sum(LUMA * offset / gain)], np.float32))
        picture = graph.node("Conv", [picture, weights, bias], nodes, kernel_shape=[1, 1])
    if not direct:
        picture = graph.node("Sub" if reading.way == MINUS else "Add", [INPUT, picture], nodes)
    nodes.append(onnx.helper.make_node("Identity", [picture], [OUTPUT], name=f"{_BUILT}{OUTPUT}"))
    return nodes


def _map_after(graph: _Graph, network: Network, reading: MapReading) -> list[NodeProto]:
    """From the network's output to what ``MapReading`` says."""
    nodes: list[NodeProto] = []
    values, layout = _output(graph, network, nodes), network.result.layout
    if reading.way == SCORES:
        values = _first_of_batch(graph, values, network.ports.layout.batch, nodes)
        shape = [1 if network.ports.layout.batch > 1 else -1, 1, 1, reading.classes]
        values = graph.node("Reshape", [values, graph.constant(np.array(shape, np.int64))], nodes)
    else:
        values = _channels_first(graph, values, layout, nodes)
        values = _first_of_batch(graph, values, layout.batch, nodes)
    if reading.way == LABELS:
        if layout.channels > 1:
            likeliest = graph.node("ArgMax", [values], nodes, axis=1, keepdims=1)
            values = graph.node("Cast", [likeliest], nodes, to=TensorProto.FLOAT)
        values = graph.affine(values, 1 / 255, 0.0, nodes)
    if reading.activation:
        axis = {"axis": 3} if reading.activation == "Softmax" else {}
        values = graph.node(reading.activation, [values], nodes, **axis)
    nodes.append(onnx.helper.make_node("Identity", [values], [OUTPUT], name=f"{_BUILT}{OUTPUT}"))
    return nodes


def _output(graph: _Graph, network: Network, nodes: list[NodeProto]) -> str:
    """What the network gives, as float32."""
    port = network.result.port
    name = _PREFIX + port.name
    return name if port.dtype == np.float32 else graph.node("Cast", [name], nodes, to=TensorProto.FLOAT)


def _first_of_batch(graph: _Graph, picture: str, batch: int, nodes: list[NodeProto]) -> str:
    if batch == 1:
        return picture
    first = [graph.constant(np.array([value], np.int64)) for value in (0, 1, 0)]
    return graph.node("Slice", [picture, *first], nodes)


def _channels_first(graph: _Graph, output: str, layout: Layout, nodes: list[NodeProto]) -> str:
    """The network's own axes → N×C×H×W."""
    axes = layout.axes
    if "C" not in axes:
        at = axes.index("H")
        output, axes = graph.unsqueeze(output, at, nodes), f"{axes[:at]}C{axes[at:]}"
    if "N" not in axes:
        output, axes = graph.unsqueeze(output, 0, nodes), f"N{axes}"
    if axes == "NCHW":
        return output
    return graph.node("Transpose", [output], nodes, perm=[axes.index(axis) for axis in "NCHW"])


def _states_after(graph: _Graph, network: Network) -> list[NodeProto]:
    nodes: list[NodeProto] = []
    states = network.ports.states
    if not states:
        return nodes
    parts = []
    for one in states:
        part = _PREFIX + one.returned.name
        parts.append(
            graph.node("Cast", [part], nodes, to=TensorProto.FLOAT) if one.returned.dtype != np.float32 else part
        )
    joined = graph.node("Concat", parts, nodes, axis=1) if len(parts) > 1 else parts[0]
    nodes.append(onnx.helper.make_node("Identity", [joined], [STATE_OUT], name=f"{_BUILT}{STATE_OUT}"))
    return nodes


def _split(graph: _Graph, state: str, parts: Sequence[int], nodes: list[NodeProto]) -> list[str]:
    """Pieces of so many channels each."""
    if len(parts) == 1:
        return [state]
    edges = np.cumsum([0, *parts])
    return [
        graph.node("Slice", [state, *(graph.constant(np.array([value], np.int64)) for value in (begin, end, 1))], nodes)
        for begin, end in zip(edges[:-1], edges[1:], strict=True)
    ]


def _cast(graph: _Graph, tensor: str, port: Port, nodes: list[NodeProto]) -> str:
    if port.dtype == np.float32:
        return tensor
    return graph.node("Cast", [tensor], nodes, to=onnx.helper.np_dtype_to_tensor_dtype(port.dtype))


def _rename(graph: _Graph, nodes: list[NodeProto], tensor: str, port: str) -> None:
    nodes.append(onnx.helper.make_node("Identity", [tensor], [_PREFIX + port], name=f"{_BUILT}{port}"))


def _ports(network: Network, sizes: Sizes, picture: str, state: str, scale: int) -> list[Any]:
    """Value infos of our own ports."""
    batch = _batch(network, sizes)
    size: list[int | str] = (
        [length * scale for length in sizes.fixed]
        if sizes.fixed and network.result.kind != SCORES
        else [f"{axis}*{scale}" if scale > 1 else axis for axis in "HW"]
    )
    found = [onnx.helper.make_tensor_value_info(picture, TensorProto.FLOAT, [batch, 1, *size])]
    if states := network.ports.states:
        divisor = states[0].divisor
        axes = [f"{axis}/{divisor}" if divisor > 1 else axis for axis in "HW"]
        shape = [batch, sum(one.channels for one in states), *axes]
        found.append(onnx.helper.make_tensor_value_info(state, TensorProto.FLOAT, shape))
    return found


def _batch(network: Network, sizes: Sizes) -> int | str:
    """Of our ports: any number, where the network takes any and nothing inside is made for one frame."""
    layout = network.ports.layout
    free = "N" in layout.axes and layout.batch == 1 and network.ports.image.dims[0] is None
    return "N" if free and not sizes.fixed else 1  # one size inside is often one frame inside
