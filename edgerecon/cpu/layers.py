"""A network as the list of layers that kernels/cpu runs, read from the graph of an ONNX file.

Maps are numbered: 0 is the frame, the others are what each layer but the last writes. A convolution carries the ReLU
that follows it, and the map that is added after that.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field, replace
from enum import IntEnum
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edgerecon.core.errors import ModelError
from edgerecon.modelfile.file import ModelFile
from edgerecon.modelfile.graph import Node, read_graph
from edgerecon.modelfile.ports import INPUT, OUTPUT

Floats = NDArray[np.float32]
PIXEL_LEVELS = 255
_NONE, _NO_INTEGERS = np.empty(0, np.float32), np.empty(0, np.int32)


class Kind(IntEnum):
    """What a layer does, as edgerecon_cpu.h counts."""

    UNSHUFFLE = 0
    CONVOLUTION = 1
    TRANSPOSED = 2
    SHUFFLE = 3


@dataclass(frozen=True)
class Integers:
    """The int16 form of a convolution: its sums with their offset, then >> shift and clipped (edgerecon_cpu.h).

    Attributes:
        weights: int16, of the layer's shape. offset, shift: int32, one an output channel.
        floor, ceiling: the least and the largest level that is written; floor is at most 0.
        gain: int32, one an output channel, of a layer that adds a map; else empty.
        step: float32, one an output channel, of a layer that ends the integers; else empty.
    """

    weights: NDArray[np.int16]
    offset: NDArray[np.int32]
    shift: NDArray[np.int32]
    floor: int = 0
    ceiling: int = 0
    gain: NDArray[np.int32] = field(default_factory=lambda: _NO_INTEGERS)
    step: Floats = field(default_factory=lambda: _NONE)


@dataclass(frozen=True)
class Layer:
    """One layer.

    Attributes:
        name: of its node in the file, for messages. inputs, outputs: channels.
        source, added, target: maps; added: 0 for nothing; in a shuffle 1 to add the frame.
        kernel: edge of the kernel, or block of a shuffle.
        weights: outputs × inputs × kernel × kernel; a transposed convolution's are inputs × outputs × kernel × kernel.
        integers: its int16 form; None in float32.
    """

    kind: Kind
    name: str
    source: int
    target: int
    inputs: int
    outputs: int
    kernel: int
    added: int = 0
    stride: int = 1
    dilation: int = 1
    padding: int = 0
    relu: bool = False
    weights: Floats = field(default_factory=lambda: _NONE)
    bias: Floats = field(default_factory=lambda: _NONE)
    integers: Integers | None = None

    @property
    def winograd(self) -> bool:
        """Whether the kernels run it by Winograd's F(4×4), as network.h decides."""
        plain = self.kind is Kind.CONVOLUTION and self.kernel == 3 and self.stride == 1
        return plain and self.padding == self.dilation


def read_layers(file: ModelFile) -> list[Layer]:
    """The layers of a file, in the order they run.

    Raises:
        ModelError: the file is damaged, or holds what has no kernel here; the operator is named.
    """
    if file.spec.state_channels or file.spec.fixed_output:
        raise ModelError(f"{file.path.name} carries state or gives no image: use backend onnxruntime")
    nodes, constants = read_graph(file)
    try:
        return _Reader(nodes, constants).layers()
    except (KeyError, IndexError, ValueError, TypeError) as error:
        raise ModelError(f"{file.path} is corrupt: its graph refers to what is not there ({error})") from None


class _Reader:
    def __init__(self, nodes: list[Node], constants: dict[str, NDArray[Any]]) -> None:
        self._nodes, self._constants = nodes, constants
        self._readers = Counter(name for node in nodes for name in node.inputs)
        self._layers: list[Layer] = []
        self._maps: dict[str, int] = {}
        self._channels: dict[int, int] = {}
        self._pixels: set[str] = set()
        """Values that have left the maps: what the shuffle gives."""

    def layers(self) -> list[Layer]:
        operators = {
            "SpaceToDepth": self._unshuffle,
            "Conv": self._convolution,
            "ConvTranspose": self._convolution,
            "IntegerConv": self._integers,
            "IntegerConvTranspose": self._integers,
            "Relu": self._relu,
            "Add": self._add,
            "DepthToSpace": self._shuffle,
        }
        for node in self._nodes:
            if node.kind not in operators:
                raise ModelError(f"backend native has no operator {node.kind}: use backend onnxruntime")
            operators[node.kind](node)
        if OUTPUT not in self._pixels:
            self._to_pixels(OUTPUT, OUTPUT, 1)
        return self._layers

    def _unshuffle(self, node: Node) -> None:
        if node.inputs[0] != INPUT:
            raise _unfit(node, "of anything but the frame")
        block = int(node.attributes["blocksize"])
        self._append(node.outputs[0], Layer(Kind.UNSHUFFLE, node.outputs[0], 0, 0, 1, block**2, block))

    def _convolution(self, node: Node) -> None:
        weights = self._constants[node.inputs[1]].astype(np.float32)
        named = len(node.inputs) > 2 and node.inputs[2]
        layer = self._shaped(node, weights)
        bias = self._constants[node.inputs[2]].astype(np.float32) if named else np.zeros(layer.outputs, np.float32)
        if len(bias) != layer.outputs:
            raise ValueError(f"{node.inputs[2]} has not one number an output")
        self._append(node.outputs[0], replace(layer, weights=weights, bias=bias))

    def _integers(self, node: Node) -> None:
        """Of a file that ``edgerecon.workshop.compress.int16`` made."""
        _, weights, offset, shift, gain, added, step = (*node.inputs, *[""] * (7 - len(node.inputs)))
        arrays = {"offset": offset, "shift": shift, "gain": gain, "step": step}
        given = {name: self._constants[value] for name, value in arrays.items() if value}
        if "shift" not in given:
            given["shift"] = np.zeros_like(given["offset"])
        floor, ceiling = int(node.attributes["floor"]), int(node.attributes["ceiling"])
        form = Integers(self._constants[weights], **given, floor=floor, ceiling=ceiling)
        layer = self._shaped(node, form.weights)
        if any(len(values) != layer.outputs for values in given.values()):
            raise ValueError(f"{node.inputs[1]} has not one number an output")
        number = self._map(added) if added else 0
        relu = bool(node.attributes["relu"])
        self._append(node.outputs[0], replace(layer, relu=relu, added=number, integers=form))

    def _shaped(self, node: Node, weights: NDArray[Any]) -> Layer:
        """The layer of a convolution, without its numbers."""
        transposed = node.kind.endswith("ConvTranspose")
        attributes = node.attributes
        stride, dilation = (_same(node, attributes.get(name, (1, 1)), name) for name in ("strides", "dilations"))
        padding = _same(node, attributes.get("pads", (0,) * 4), "pads")
        kernel = _same(node, weights.shape[2:], "a kernel")
        if attributes.get("group", 1) != 1 or attributes.get("auto_pad", "NOTSET") != "NOTSET":
            raise _unfit(node, "with groups or automatic padding")
        if transposed and (kernel != stride or padding or dilation != 1 or any(attributes.get("output_padding", ()))):
            raise _unfit(node, "whose outputs overlap")
        outputs, inputs = (weights.shape[1], weights.shape[0]) if transposed else weights.shape[:2]
        return Layer(
            Kind.TRANSPOSED if transposed else Kind.CONVOLUTION,
            node.inputs[1],
            self._map(node.inputs[0]),
            0,
            inputs,
            outputs,
            kernel,
            stride=stride,
            dilation=dilation,
            padding=padding,
        )

    def _relu(self, node: Node) -> None:
        number = self._maps[node.inputs[0]]
        layer = self._layers[number - 1]
        if self._readers[node.inputs[0]] != 1 or layer.kind is Kind.UNSHUFFLE or layer.relu or layer.added:
            raise _unfit(node, "that does not follow its own convolution")
        self._layers[number - 1] = replace(layer, relu=True)
        self._maps[node.outputs[0]] = number

    def _add(self, node: Node) -> None:
        if INPUT in node.inputs:
            other = node.inputs[1 - node.inputs.index(INPUT)]
            if other not in self._pixels:
                self._to_pixels(node.outputs[0], other, 1)
            self._layers[-1] = replace(self._layers[-1], added=1)
            self._pixels.add(node.outputs[0])
            return
        first, last = sorted(node.inputs, key=lambda name: self._map(name))
        number = self._maps[last]
        layer = self._layers[number - 1]
        if first == last or self._readers[last] != 1 or layer.added or layer.kind is Kind.UNSHUFFLE:
            raise _unfit(node, "that does not end a convolution")
        self._layers[number - 1] = replace(layer, added=self._maps[first])
        self._maps[node.outputs[0]] = number

    def _shuffle(self, node: Node) -> None:
        self._to_pixels(node.outputs[0], node.inputs[0], int(node.attributes["blocksize"]))

    def _to_pixels(self, name: str, source: str, block: int) -> None:
        number = self._map(source)
        if self._pixels or self._channels[number] != block**2:
            raise ModelError("backend native ends a network with one channel only: use backend onnxruntime")
        self._layers.append(Layer(Kind.SHUFFLE, name, number, 0, block**2, 1, block))
        self._pixels.add(name)

    def _append(self, name: str, layer: Layer) -> None:
        self._maps[name] = number = len(self._layers) + 1
        self._channels[number] = layer.outputs
        self._layers.append(replace(layer, target=number))

    def _map(self, name: str) -> int:
        """Number of a value; the frame becomes a map of one channel when a layer wants it as one."""
        if name == INPUT and INPUT not in self._maps:
            self._append(INPUT, Layer(Kind.UNSHUFFLE, INPUT, 0, 0, 1, 1, 1))
        return self._maps[name]


def _same(node: Node, values: tuple[int, ...], what: str) -> int:
    if len(set(values)) != 1:
        raise _unfit(node, f"whose {what.removeprefix('a ')} differ by axis")
    return int(values[0])


def _unfit(node: Node, why: str) -> ModelError:
    return ModelError(f"backend native has no {node.kind} {why}: use backend onnxruntime")
