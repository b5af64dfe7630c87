"""A zoo of small foreign networks, made by hand, whose true ranges and layouts are known.

The weights are random in nothing but their smoothing, so that a wrong range shows: every network limits its values to
the range that it is made for, by convolutions with biases and ReLUs, as a trained one does.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

KERNEL = np.outer([1, 2, 1], [1, 2, 1]) / 16
LIMITS = {"0..1": (0.0, 1.0), "0..255": (0.0, 255.0), "-1..1": (-1.0, 1.0)}
MEAN, STD = np.array([0.485, 0.456, 0.406]), np.array([0.229, 0.224, 0.225])
TYPES = {"float32": TensorProto.FLOAT, "float16": TensorProto.FLOAT16, "uint8": TensorProto.UINT8}
LUMA = np.float32([0.299, 0.587, 0.114])


@dataclass(frozen=True)
class Foreign:
    """One network of the zoo, and the truth about it.

    Attributes:
        body: what stands between the limits. given: range of what goes in and comes out. axes: layout.
        size: rows and columns that the file states, None for any. batch: stated, None for any.
        stiff: whether a constant shape inside ties it to its size. clip: whether a Clip to the range closes it.
        way: "image", or "noise" for a network that gives what is to be subtracted.
        spoil: changes the finished graph, for mutations.
    """

    name: str
    body: str = "dncnn"
    given: str = "0..1"
    axes: str = "NCHW"
    channels: int = 1
    dtype: str = "float32"
    opset: int = 18
    size: tuple[int, int] | None = None
    batch: int | None = None
    scale: int = 1
    way: str = "image"
    noise: str = ""
    clip: bool = False
    stiff: bool = False
    spoil: Callable[[onnx.ModelProto], None] | None = None

    def but(self, **changes: Any) -> Foreign:
        return replace(self, **changes)


class Graph:
    """Nodes and constants of a network under construction."""

    def __init__(self, opset: int, kind: type[np.floating[Any]] = np.float32) -> None:
        self.nodes: list[onnx.NodeProto] = []
        self.constants: list[TensorProto] = []
        self.opset, self.kind = opset, kind

    def constant(self, value: Any, dtype: Any = None) -> str:
        name = f"c{len(self.constants)}"
        self.constants.append(numpy_helper.from_array(np.asarray(value, dtype or self.kind), name))
        return name

    def node(self, kind: str, *inputs: str, **attributes: Any) -> str:
        output = f"t{len(self.nodes)}"
        self.nodes.append(helper.make_node(kind, list(inputs), [output], name=output, **attributes))
        return output

    def conv(self, x: str, weights: NDArray[Any], bias: NDArray[Any] | None = None, **attributes: Any) -> str:
        side = weights.shape[-1]
        inputs = [x, self.constant(weights)] + ([] if bias is None else [self.constant(bias)])
        pads = attributes.pop("pads", [side // 2] * 4)
        return self.node("Conv", *inputs, kernel_shape=[side, side], pads=pads, **attributes)


def eye(channels: int, kernel: NDArray[Any]) -> NDArray[Any]:
    """Each channel by itself."""
    weights = np.zeros((channels, channels, *kernel.shape))
    weights[range(channels), range(channels)] = kernel
    return weights


def limits(network: Foreign) -> tuple[NDArray[Any], NDArray[Any]]:
    """Least and greatest value of each channel."""
    if network.given == "imagenet":
        return -MEAN / STD, (1 - MEAN) / STD
    low, high = LIMITS[network.given]
    return np.full(network.channels, low), np.full(network.channels, high)


def limited(graph: Graph, x: str, network: Foreign, kernel: NDArray[Any] = KERNEL) -> str:
    """Smoothed, and kept within the range by two ReLUs: low + relu(k∗x − low) − relu(k∗x − high)."""
    low, high = limits(network)
    channels = len(low)
    each = eye(channels, kernel)
    hidden = graph.node("Relu", graph.conv(x, np.concatenate([each, each]), np.concatenate([-low, -high])))
    one = np.eye(channels)[:, :, None, None]
    return graph.conv(hidden, np.concatenate([one, -one], 1), low)


def _dncnn(graph: Graph, x: str, network: Foreign) -> str:
    return limited(graph, x, network)


def _unet(graph: Graph, x: str, network: Foreign) -> str:
    """Two levels with a skip; frames are multiples of 4."""
    channels = network.channels
    inner = limited(graph, x, network)
    down = graph.node("AveragePool", inner, kernel_shape=[2, 2], strides=[2, 2])
    low = graph.node("AveragePool", down, kernel_shape=[2, 2], strides=[2, 2])
    for _ in range(2):
        ones = eye(channels, np.ones((2, 2)))
        low = graph.node("ConvTranspose", low, graph.constant(ones), kernel_shape=[2, 2], strides=[2, 2])
    both = graph.node("Concat", inner, low, axis=1)
    one = np.eye(channels)[:, :, None, None]
    return graph.conv(both, np.concatenate([0.8 * one, 0.2 * one], 1), np.zeros(channels))


def _srresnet(graph: Graph, x: str, network: Foreign) -> str:
    """Sub-pixel convolution: every pixel becomes s×s alike."""
    channels, scale = network.channels, network.scale
    inner = limited(graph, x, network)
    weights = np.zeros((channels * scale**2, channels, 3, 3))
    for channel in range(channels):
        weights[channel * scale**2 : (channel + 1) * scale**2, channel, 1, 1] = 1
    return graph.node("DepthToSpace", graph.conv(inner, weights, np.zeros(len(weights))), blocksize=scale, mode="CRD")


def _rrdb(graph: Graph, x: str, network: Foreign) -> str:
    """Dense blocks: each layer sees all before it; two of them, in residual."""
    channels = network.channels
    for _ in range(2):
        inner = limited(graph, x, network)
        more = limited(graph, inner, network)
        both = graph.node("Concat", x, inner, more, axis=1)
        one = np.eye(channels)[:, :, None, None]
        step = graph.conv(both, np.concatenate([-0.4 * one, 0.2 * one, 0.2 * one], 1))
        x = graph.node("Add", x, step)
    return limited(graph, x, network, np.pad([[1.0]], 1))


def _squeeze(graph: Graph, x: str, network: Foreign) -> str:
    """Every pixel sees the mean of the whole picture."""
    inner = limited(graph, x, network)
    mean = graph.node("GlobalAveragePool", inner)
    shares = [graph.node("Mul", one, graph.constant(share)) for one, share in ((inner, 0.7), (mean, 0.3))]
    return graph.node("Add", *shares)


def _pools_by_32(graph: Graph, x: str, network: Foreign) -> str:
    """Needs rows and columns that are multiples of 32, as a U-Net of five levels."""
    inner = limited(graph, x, network)
    low = graph.node("AveragePool", inner, kernel_shape=[32, 32], strides=[32, 32])
    ones = graph.constant(eye(network.channels, np.ones((32, 32))))
    low = graph.node("ConvTranspose", low, ones, kernel_shape=[32, 32], strides=[32, 32])
    one = np.eye(network.channels)[:, :, None, None]
    both = graph.node("Concat", inner, low, axis=1)
    return graph.conv(both, np.concatenate([0.9 * one, 0.1 * one], 1), np.zeros(network.channels))


def recurrent() -> onnx.ModelProto:
    """A ConvLSTM with two states of its own names: what it remembers is half of what it saw before."""
    network = Foreign("convlstm")
    graph = Graph(18)
    seen = limited(graph, "image", network)
    two = graph.conv(seen, np.ones((2, 1, 1, 1)))
    half = graph.constant(0.5)
    cell = graph.node("Add", graph.node("Mul", "cell_in", half), graph.node("Mul", two, half))
    hidden = graph.node("Mul", graph.node("Add", "hidden_in", cell), half)
    y = graph.conv(graph.node("Concat", cell, hidden, two, axis=1), np.full((1, 6, 1, 1), 1 / 6))
    for made, name in ((y, "picture"), (hidden, "hidden_out"), (cell, "cell_out")):
        graph.nodes.append(helper.make_node("Identity", [made], [name]))

    def ports(*names: str) -> list[Any]:
        shapes = ([1, 1, "h", "w"], [1, 2, "h", "w"], [1, 2, "h", "w"])
        return [helper.make_tensor_value_info(n, TensorProto.FLOAT, s) for n, s in zip(names, shapes, strict=True)]

    inputs, outputs = ports("image", "cell_in", "hidden_in"), ports("picture", "hidden_out", "cell_out")
    made = helper.make_graph(graph.nodes, "convlstm", inputs, outputs, graph.constants)
    return helper.make_model(made, opset_imports=[helper.make_opsetid("", 18)], ir_version=8)


BODIES = {
    "dncnn": _dncnn,
    "unet": _unet,
    "srresnet": _srresnet,
    "rrdb": _rrdb,
    "squeeze": _squeeze,
    "pools-by-32": _pools_by_32,
}


def build(network: Foreign) -> onnx.ModelProto:
    """The network as an ONNX model without metadata."""
    half = network.dtype == "float16"
    graph = Graph(network.opset, np.float16 if half else np.float32)
    x = "x"
    if network.dtype == "uint8":
        x = graph.node("Cast", x, to=TensorProto.FLOAT)
    x = _to_nchw(graph, x, network)
    if network.noise:
        x = graph.node("Add", x, graph.node("Mul", "sigma", graph.constant(0.02)))
    if network.stiff and network.size:
        x = graph.node("Reshape", x, graph.constant([1, network.channels, *network.size], np.int64))
    y = BODIES[network.body](graph, x, network)
    if network.way == "noise":
        y = graph.node("Sub", x, y)
    y = _from_nchw(graph, y, network)
    if network.clip:
        low, high = LIMITS[network.given]
        y = graph.node("Clip", y, graph.constant(low), graph.constant(high))
    if network.dtype == "uint8":
        rounded = graph.node("Round", graph.node("Clip", y, graph.constant(0.0), graph.constant(255.0)))
        y = graph.node("Cast", rounded, to=TensorProto.UINT8)
    graph.nodes.append(helper.make_node("Identity", [y], ["y"]))
    rows, columns = network.size or ("h", "w")
    scaled = [side * network.scale if isinstance(side, int) else f"{side}s" for side in (rows, columns)]
    inputs = [_port("x", network, rows, columns)]
    if network.noise:
        shape = {"number": [1], "map": ["n", 1, rows, columns]}[network.noise]
        inputs.append(helper.make_tensor_value_info("sigma", TYPES[network.dtype], shape))
    made = helper.make_graph(graph.nodes, network.name, inputs, [_port("y", network, *scaled)], graph.constants)
    model = helper.make_model(made, opset_imports=[helper.make_opsetid("", network.opset)], ir_version=8)
    if network.spoil is not None:
        network.spoil(model)
    return model


def _port(name: str, network: Foreign, rows: Any, columns: Any) -> Any:
    lengths = {"N": network.batch or "n", "C": network.channels, "H": rows, "W": columns}
    return helper.make_tensor_value_info(name, TYPES[network.dtype], [lengths[axis] for axis in network.axes])


def _to_nchw(graph: Graph, x: str, network: Foreign) -> str:
    axes = network.axes
    if "C" not in axes:
        at = axes.index("H")
        x, axes = _unsqueeze(graph, x, at), axes[:at] + "C" + axes[at:]
    if "N" not in axes:
        x, axes = _unsqueeze(graph, x, 0), "N" + axes
    return x if axes == "NCHW" else graph.node("Transpose", x, perm=[axes.index(axis) for axis in "NCHW"])


def _from_nchw(graph: Graph, y: str, network: Foreign) -> str:
    have = "NCHW"
    for axis in "NC":
        if axis not in network.axes:
            y = graph.node("Gather", y, graph.constant(0, np.int64), axis=have.index(axis))
            have = have.replace(axis, "")
    return y if have == network.axes else graph.node("Transpose", y, perm=[have.index(axis) for axis in network.axes])


def _unsqueeze(graph: Graph, x: str, axis: int) -> str:
    if graph.opset < 13:
        return graph.node("Unsqueeze", x, axes=[axis])
    return graph.node("Unsqueeze", x, graph.constant([axis], np.int64))


def truth(network: Foreign, model: onnx.ModelProto, frame: NDArray[np.float32], sigma: float = 0.0) -> NDArray[Any]:
    """What the network makes of a frame (H, W) of levels in [0, 1], by a run of its own and the known truth alone."""
    import onnxruntime as ort

    session = ort.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    low, high = (values.reshape(-1, 1, 1) for values in limits(network))
    values = np.repeat(frame[None], network.channels, 0) * (high - low) + low
    if network.dtype == "uint8":
        values = np.rint(values)
    array = values[None].astype(network.dtype)
    order = ["NCHW".index(axis) for axis in network.axes]
    dropped = tuple(at for at in range(4) if at not in order)
    order += dropped
    laid = array.transpose(order).reshape([array.shape[at] for at in order if at not in dropped])
    if network.batch:
        laid = np.repeat(laid, network.batch, 0)
    feeds = {"x": laid}
    if network.noise:
        level = sigma * float(np.mean(high - low))
        shape = (1,) if network.noise == "number" else (1, 1, *frame.shape)
        feeds["sigma"] = np.full(shape, level, network.dtype)
    found = np.asarray(session.run(["y"], feeds)[0], np.float32)
    found = found[:1] if network.batch else found
    full = found.reshape(*found.shape, *[1] * len(dropped))
    picture = full.transpose(np.argsort(order))[0]
    if network.way == "noise":
        return frame - (picture / (high - low))[0]
    levels = (picture - low) / (high - low)
    return levels[0] if network.channels == 1 else np.tensordot(LUMA, levels, 1)


ZOO = (
    Foreign("dncnn-noise", way="noise"),
    Foreign("dncnn-byte", given="0..255", opset=11),
    Foreign("dncnn-byte-noise", given="0..255", way="noise", opset=13),
    Foreign("dncnn-signed", given="-1..1", opset=23),
    Foreign("dncnn-imagenet", given="imagenet", channels=3),
    Foreign("dncnn-imagenet-nhwc", given="imagenet", channels=3, axes="NHWC"),
    Foreign("dncnn-uint8", given="0..255", dtype="uint8"),
    Foreign("dncnn-uint8-nhwc", given="0..255", dtype="uint8", axes="NHWC", channels=3),
    Foreign("dncnn-half", dtype="float16"),
    Foreign("dncnn-rgb", channels=3),
    Foreign("dncnn-nhw", axes="NHW", opset=12),
    Foreign("dncnn-hw", axes="HW", size=(64, 96)),
    Foreign("dncnn-batch", batch=4),
    Foreign("unet-signed", body="unet", given="-1..1", clip=True),
    Foreign("unet-fixed", body="unet", size=(64, 64)),
    Foreign("unet-byte-nhwc", body="unet", given="0..255", axes="NHWC", opset=16),
    Foreign("srresnet-2", body="srresnet", scale=2),
    Foreign("srresnet-3-signed", body="srresnet", scale=3, given="-1..1"),
    Foreign("srresnet-4-byte", body="srresnet", scale=4, given="0..255", opset=21),
    Foreign("srresnet-8", body="srresnet", scale=8),
    Foreign("rrdb", body="rrdb"),
    Foreign("rrdb-byte", body="rrdb", given="0..255"),
    Foreign("rrdb-imagenet-half", body="rrdb", given="imagenet", channels=3, dtype="float16"),
    Foreign("rrdb-hwc", body="rrdb", axes="HWC", channels=3, size=(48, 80), stiff=True),
)
