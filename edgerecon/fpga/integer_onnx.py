"""ONNX file → integer network: reads a po2 file of a compact network, and refuses whatever is anything else by name."""

from __future__ import annotations

import hashlib
import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edgerecon.core.errors import ModelError
from edgerecon.fpga.integer_ir import CELL, FRAME_EXPONENT, WIDTH, IntegerLayer, IntegerNetwork
from edgerecon.modelfile.file import ModelFile
from edgerecon.modelfile.graph import Node, read_graph
from edgerecon.modelfile.ports import INPUT, OUTPUT

Constants = dict[str, NDArray[Any]]


@dataclass(frozen=True)
class _Value:
    """A tensor on the way from the frame to the picture.

    what: "frame", "cells", "sum" (of a convolution), "levels" (of a layer), "residual" or "picture".
    exponent: a level is 2 to this power; None before rounding. layer: index of the convolution that made it.
    """

    what: str
    exponent: int | None = None
    layer: int = -1


def integer_network(file: ModelFile, width: int = WIDTH) -> IntegerNetwork:
    """The integer form of a po2 file.

    Args:
        width: widest frame in pixels.

    Raises:
        ModelError: a scale that is no power of two, a zero point that is not 0, an operator or an order of operators
        that the integer form does not have, or numbers out of its ranges: the tensor or the layer is named.
    """
    nodes, constants = read_graph(file)
    try:
        layers = _Walk(constants).layers_of(nodes)
    except _Other as reason:
        raise ModelError(
            f"{file.path.name} has no integer form: {reason}; make one with  edgerecon export RECIPE, "
            'targets.precisions = ["po2"]'
        ) from None
    return IntegerNetwork(file.spec.name, layers, width, hashlib.sha256(file.content).hexdigest())


class _Other(Exception):
    """Why the file has no integer form."""


class _Walk:
    """Follows the picture through the graph, node by node in the order of the file."""

    def __init__(self, constants: Constants) -> None:
        self.constants = constants
        self.weights: dict[str, tuple[NDArray[Any], NDArray[np.int32]]] = {}
        self.values = {INPUT: _Value("frame")}
        self.layers: list[dict[str, Any]] = []

    def layers_of(self, nodes: list[Node]) -> tuple[IntegerLayer, ...]:
        steps = {
            "QuantizeLinear": self._round,
            "DequantizeLinear": self._level,
            "Conv": self._convolve,
            "Relu": self._rectify,
            "SpaceToDepth": self._unshuffle,
            "DepthToSpace": self._shuffle,
            "Add": self._add,
        }
        for node in nodes:
            if node.kind not in steps:
                raise _Other(f"{node.kind}, which makes '{node.outputs[0]}', is no layer of it")
            steps[node.kind](node)
        made = self.values.get(OUTPUT)
        if made is None or made.what != "picture" or made.exponent is None:
            raise _Other(f"'{OUTPUT}' is not the rounded sum of the frame and the last convolution")
        return tuple(IntegerLayer(**layer) for layer in self.layers)

    def _value(self, node: Node, index: int = 0) -> _Value:
        name = node.inputs[index]
        if name not in self.values:
            raise _Other(f"{node.kind}, which makes '{node.outputs[0]}', takes '{name}', not what comes before it")
        return self.values[name]

    def _round(self, node: Node) -> None:
        value, exponent = self._value(node), int(self._exponents(node, np.uint8)[0])
        target = node.outputs[0]
        if value.exponent is not None:
            if value.exponent != exponent:
                raise _Other(f"'{node.inputs[0]}' is rounded to 2^{value.exponent} and again to 2^{exponent}")
        elif value.what in ("frame", "cells", "picture") and exponent != FRAME_EXPONENT:
            raise _Other(f"'{node.inputs[0]}' is rounded to 2^{exponent}; frame and picture want 2^{FRAME_EXPONENT}")
        elif value.what in ("sum", "picture"):
            self._finish(value.layer, target, exponent)
        what = "levels" if value.what == "sum" else value.what
        self.values[target] = _Value(what, exponent, value.layer)

    def _finish(self, index: int, name: str, exponent: int) -> None:
        """The layer's rounding is known: so are its shifts."""
        layer = self.layers[index]
        if "exponent" in layer:
            raise _Other(f"layer {index + 1} is rounded twice, the second time to '{name}'")
        layer |= {"name": name, "exponent": exponent, "shift": (exponent - layer["shift"]).astype(np.int32)}

    def _level(self, node: Node) -> None:
        name = node.inputs[0]
        if name in self.constants:
            whole = self.constants[name]
            self.weights[node.outputs[0]] = whole, self._exponents(node, whole.dtype.type)
            return
        value, exponent = self._value(node), int(self._exponents(node, np.uint8)[0])
        if exponent != value.exponent:
            raise _Other(f"'{name}' is rounded to 2^{value.exponent} and read as 2^{exponent}")
        self.values[node.outputs[0]] = value

    def _convolve(self, node: Node) -> None:
        number = len(self.layers) + 1
        value = self._value(node)
        before = ("cells", -1) if number == 1 else ("levels", number - 2)
        if (value.what, value.layer) != before or value.exponent is None:
            raise _Other(f"convolution {number} takes '{node.inputs[0]}', not the rounded output of the one before it")
        whole, steps = self._weight(node, 1, np.int8)
        bias, bias_steps = self._weight(node, 2, np.int32)
        dilations = node.attributes.get("dilations", (1, 1))
        pads, strides = node.attributes.get("pads", (0,) * 4), node.attributes.get("strides", (1, 1))
        same = len(set(dilations)) == 1 and set(pads) == set(dilations) and set(strides) == {1}
        if whole.shape[2:] != (3, 3) or not same or node.attributes.get("group", 1) != 1:
            raise _Other(
                f"convolution {number} ('{node.inputs[1]}') is {whole.shape[2:]} with pads {list(pads)} and "
                f"dilations {list(dilations)}, not 3×3 that keeps the size"
            )
        scale = np.broadcast_to(steps + value.exponent, len(whole))
        if not np.array_equal(np.broadcast_to(bias_steps, len(whole)), scale):
            raise _Other(f"the bias '{node.inputs[2]}' has not the scale of the sums of convolution {number}")
        self.layers.append({"weight": whole, "bias": bias, "shift": scale, "dilation": int(dilations[0])})
        self.values[node.outputs[0]] = _Value("sum", None, number - 1)

    def _weight(self, node: Node, index: int, kind: type) -> tuple[NDArray[Any], NDArray[np.int32]]:
        name = node.inputs[index] if len(node.inputs) > index else ""
        if name not in self.weights or self.weights[name][0].dtype != kind:
            raise _Other(
                f"the {'weight' if index == 1 else 'bias'} '{name}' of convolution {len(self.layers) + 1} is "
                f"no constant {np.dtype(kind).name} with a scale"
            )
        return self.weights[name]

    def _rectify(self, node: Node) -> None:
        self.values[node.outputs[0]] = self._of(node, "sum")  # uint8 with zero point 0 has no negative numbers

    def _unshuffle(self, node: Node) -> None:
        value = self._of(node, "frame")
        self.values[node.outputs[0]] = _Value("cells", value.exponent)

    def _shuffle(self, node: Node) -> None:
        value = self._of(node, "sum")
        self.values[node.outputs[0]] = _Value("residual", None, value.layer)

    def _of(self, node: Node, what: str) -> _Value:
        value = self._value(node)
        if value.what != what or node.attributes.get("blocksize", CELL) != CELL:
            raise _Other(f"{node.kind}, which makes '{node.outputs[0]}', takes a {value.what}, not a {what}")
        return value

    def _add(self, node: Node) -> None:
        found = {value.what: value for value in (self._value(node, 0), self._value(node, 1))}
        if set(found) != {"frame", "residual"} or found["frame"].exponent is None:
            raise _Other(f"'{node.outputs[0]}' is not the sum of the rounded frame and the residual")
        if found["residual"].layer != len(self.layers) - 1:
            raise _Other(f"'{node.outputs[0]}' is not the sum of the frame and the last convolution")
        self.values[node.outputs[0]] = _Value("picture", None, found["residual"].layer)

    def _exponents(self, node: Node, kind: type) -> NDArray[np.int32]:
        """Of the scales of a rounding, whose zero points are 0."""
        given = [self.constants.get(name) for name in node.inputs[1:]]
        if len(given) != 2 or given[0] is None or given[1] is None:
            raise _Other(f"the rounding of '{node.inputs[0]}' has no constant scale and zero point")
        scales, zeros = np.atleast_1d(given[0]), given[1]
        if zeros.dtype != kind or zeros.any():
            raise _Other(
                f"'{node.inputs[0]}' is rounded to {zeros.dtype} around {zeros.ravel()[:1].tolist()}, "
                f"not to {np.dtype(kind).name} around 0 ('{node.inputs[2]}')"
            )
        return np.array([self._exponent(node, float(scale)) for scale in scales], np.int32)

    def _exponent(self, node: Node, scale: float) -> int:
        mantissa, exponent = math.frexp(scale)
        if mantissa != 0.5:
            raise _Other(f"the scale '{node.inputs[1]}' of '{node.inputs[0]}' is {scale:.9g}, not a power of two")
        return exponent - 1
