"""Reads the layers that kernels/cpu runs from the graph of an ONNX file."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edgerecon.core.errors import ModelError
from edgerecon.cpu.affine import folded, pointwise, read_affine, read_slope
from edgerecon.cpu.layers import Floats, Integers, Kind, Layer
from edgerecon.modelfile.file import ModelFile
from edgerecon.modelfile.graph import Node, read_graph
from edgerecon.modelfile.ports import INPUT, OUTPUT

_ROUNDING = 1e-5


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
            "LeakyRelu": self._slope,
            "PRelu": self._slope,
            "BatchNormalization": self._affine,
            "Add": self._add,
            "Sub": self._subtract,
            "Mul": self._affine,
            "Div": self._affine,
            "Concat": self._repeat,
            "Clip": self._limit,
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

    def _slope(self, node: Node) -> None:
        """x below zero times a is x + ReLU((a − 1) · x), for every a of at most 1."""
        slope = read_slope(node, self._constants)
        if slope is None or slope.max() > 1:
            raise _unfit(node, "but with one slope of at most 1 a channel")
        number, name = self._map(node.inputs[0]), node.outputs[0]
        weights = np.diag(np.broadcast_to(slope - 1, self._channels[number]))
        layer = pointwise(name, number, weights, np.zeros(len(weights)))
        self._append(name, replace(layer, relu=True, added=number))

    def _add(self, node: Node) -> None:
        if set(node.inputs) & self._constants.keys():
            self._affine(node)
            return
        if INPUT in node.inputs and self._ends(node.outputs[0]):
            other = node.inputs[1 - node.inputs.index(INPUT)]
            if other not in self._pixels:
                self._to_pixels(other, other, 1)
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

    def _subtract(self, node: Node) -> None:
        """The second value, negated in the convolution that makes it, is added to the first."""
        if set(node.inputs) & self._constants.keys():
            self._affine(node)
            return
        kept, taken = node.inputs
        negated = f"{taken}, negated"
        self._scale(negated, taken, np.full(1, -1, np.float32), np.zeros(1, np.float32))
        self._readers[negated] = 1
        self._add(replace(node, kind="Add", inputs=(kept, negated)))

    def _affine(self, node: Node) -> None:
        found = read_affine(node, self._constants)
        if found is None:
            trains = node.kind == "BatchNormalization"
            raise _unfit(node, "as in training" if trains else "of two maps or by more than a number a channel")
        self._scale(node.outputs[0], found.source, found.gain, found.offset)

    def _scale(self, name: str, source: str, gain: Floats, offset: Floats) -> None:
        """gain · x + offset, in the convolution that makes x where nothing else reads that."""
        if source in self._pixels:
            self._scale_picture(name, gain, offset)
            return
        number = self._map(source)
        layer, channels = self._layers[number - 1], max(self._channels[number], len(gain), len(offset))
        gains, offsets = (np.broadcast_to(one, channels).astype(np.float32) for one in (gain, offset))
        if _is_plain(layer) and self._readers[source] == 1 and channels == layer.outputs:
            self._layers[number - 1] = folded(layer, gains, offsets)
            self._maps[name] = number
            return
        spread = np.eye(channels) if channels == self._channels[number] else np.ones((channels, self._channels[number]))
        self._append(name, pointwise(name, number, gains[:, None] * spread, offsets))

    def _scale_picture(self, name: str, gain: Floats, offset: Floats) -> None:
        """The same of the picture, in the convolution whose outputs are shuffled into it."""
        number, added = self._layers[-1].source, self._layers[-1].added
        layer, others = self._layers[number - 1], self._layers[:-1]
        read = any(number in (one.source, one.added) for one in others)
        if not _is_plain(layer) or added or read or gain.size > 1 or offset.size > 1:
            raise ModelError("backend native has nothing behind the picture: use backend onnxruntime")
        self._layers[number - 1] = folded(layer, *(np.broadcast_to(one, layer.outputs) for one in (gain, offset)))
        self._pixels.add(name)

    def _repeat(self, node: Node) -> None:
        """A frame as several equal channels."""
        source, *others = node.inputs
        number = self._map(source)
        if self._channels[number] != 1 or any(other != source for other in others) or node.attributes.get("axis") != 1:
            raise _unfit(node, "of different maps")
        count = len(node.inputs)
        self._append(node.outputs[0], pointwise(node.outputs[0], number, np.ones((count, 1)), np.zeros(count)))

    def _limit(self, node: Node) -> None:
        """A limit at the end, where the engine limits levels to [0, 1] anyway."""
        limits = [self._constants.get(name) for name in node.inputs[1:]]
        given, made = node.inputs[0], node.outputs[0]
        if len(limits) != 2 or not self._covers(made, *limits):
            raise _unfit(node, "but to [0, 1] at the end")
        if given in self._pixels:
            self._pixels.add(made)
            return
        self._maps[made] = self._map(given)
        self._readers[made] += self._readers[given] - 1

    def _covers(self, name: str, low: NDArray[Any] | None, high: NDArray[Any] | None) -> bool:
        """Whether steps of gain and offset alone make the output of a value, and [0, 1] of its limits, or more."""
        if low is None or high is None or low.size != 1 or high.size != 1:
            return False
        ends = np.array([low.item(), high.item()], np.float32)
        while name != OUTPUT:
            readers = [node for node in self._nodes if name in node.inputs]
            step = read_affine(readers[0], self._constants) if len(readers) == 1 else None
            if step is None or step.gain.size != 1 or step.offset.size != 1:
                return False
            name, ends = readers[0].outputs[0], np.asarray(ends * step.gain + step.offset, np.float32)
        return bool(ends.min() <= _ROUNDING and ends.max() >= 1 - _ROUNDING)

    def _ends(self, name: str) -> bool:
        """Whether a value is the output, but for a limit."""
        limits = [node.outputs[0] for node in self._nodes if name in node.inputs and node.kind == "Clip"]
        return name == OUTPUT or (limits == [OUTPUT] and self._readers[name] == 1)

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
        if name in self._pixels:
            raise ModelError("backend native has nothing behind the picture: use backend onnxruntime")
        return self._maps[name]


def _is_plain(layer: Layer) -> bool:
    """Whether it is a convolution and nothing else."""
    return layer.kind in (Kind.CONVOLUTION, Kind.TRANSPOSED) and not (layer.relu or layer.added or layer.integers)


def _same(node: Node, values: tuple[int, ...], what: str) -> int:
    if len(set(values)) != 1:
        raise _unfit(node, f"whose {what.removeprefix('a ')} differ by axis")
    return int(values[0])


def _unfit(node: Node, why: str) -> ModelError:
    return ModelError(f"backend native has no {node.kind} {why}: use backend onnxruntime")
