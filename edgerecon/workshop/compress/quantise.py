"""fp32 ONNX file + ranges → int8 ONNX file with explicit QuantizeLinear and DequantizeLinear.

Uniform affine quantisation (Jacob et al., CVPR 2018): q = clamp(round(x / s) + z), x ≈ s·(q − z), halves to even.
Convolutions are quantised, weights per output channel and symmetric; all else stays float32 and with it the skip from
the network's input (see ``graph.skips``). Input and output of the file stay float32.

Three forms, from the same ranges:

- "unsigned", for ONNX Runtime and OpenVINO on CPUs. Activations are uint8 with a zero point, at the inputs of
  convolutions and at the outputs that lead to another one, since ONNX Runtime has no int8 kernel with a float result.
  What goes into the picture stays float: rounding it costs quality and saves no time that could be measured. Biases are
  int32 at the scale of the products. Weights keep to [−64, 64]: CPUs without VNNI multiply with vpmaddubsw, which adds
  two products of u8 × s8 in 16 bits and saturates. Measured on an AVX2 CPU with all weights at 127 and all activations
  at 255, ONNX Runtime 1.31 and OpenVINO 2026.4 both return half of the true sum; at 64 two products are at most
  2·255·64 = 32 640 and fit, so that a file means the same on every CPU. CPUs with dot products get the same file:
  all 127 levels would gain them 0.02 dB at most (bench/weight_levels.py).
- "signed", for TensorRT. Activations are int8 with zero point 0, as it demands, at the inputs of convolutions and at
  what is added to a convolution's output inside the network; weights use [−127, 127]; biases stay float32.
- "po2", for integer hardware. As "unsigned", but every scale is a power of two, every zero point is 0, and the frame
  and the picture are rounded too, to levels of 1/256: nothing but integers and shifts goes from one end to the other
  (see ``fpga.integer_ir``). Activations are uint8 rather than int8, since a ReLU leaves no negative half to spend a
  bit on; weights use [−127, 127], of which a power of two leaves half unused at worst.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from edgerecon.core.errors import ModelError, UsageError
from edgerecon.workshop.compress import graph as g
from edgerecon.workshop.compress.calibration import Range
from edgerecon.workshop.compress.graph import GraphProto, ModelProto, NodeProto, onnx
from edgerecon.workshop.compress.rounding import round_weights

Form = Literal["unsigned", "signed", "po2"]

Constants = Mapping[str, NDArray[Any]]
WEIGHT_LIMIT: dict[Form, int] = {"unsigned": 64, "signed": 127, "po2": 127}
ACTIVATIONS = ("Relu", "Clip", "LeakyRelu")
"""Operators that runtimes fuse into the convolution before them."""

_BIAS_LIMIT = 2**24  # as int32; integers up to here are exact in float32 too
_LEAST_SCALE = 1e-8
_LEAST_PO2 = 2.0**-12
"""Finest step of po2 weights: a channel of next to nothing must not ask for a shift of thirty bits."""


@dataclass(frozen=True)
class Grid:
    """The levels of one activation: ``scale · (q − zero)`` for q in [low, high]."""

    scale: np.float32
    zero: int
    low: int
    high: int


@dataclass(frozen=True)
class Plan:
    """What is quantised.

    Attributes:
        convolutions: names of nodes whose weights become int8. tensors: activations that are rounded to a grid.
        floating: names of nodes that take those activations as they were before rounding.
    """

    convolutions: tuple[str, ...]
    tensors: tuple[str, ...]
    floating: frozenset[str]


def quantise(
    model: bytes | ModelProto,
    ranges: Mapping[str, Range],
    *,
    form: Form,
    keep: Collection[str] = (),
    moments: Mapping[str, NDArray[np.float64]] | None = None,
) -> ModelProto:
    """Make the int8 file.

    Args:
        model: the fp32 file. ranges: of its activations, from ``Calibration.ranges``.
        keep: names of Conv nodes left in float32, e.g. from ``sensitivity.most_sensitive_first``.
        moments: from ``Calibration``; without them each weight goes to its nearest level and no bias is corrected,
            which is what weights want that quantisation-aware training has settled.

    Returns:
        A valid model with the metadata of ``model``, precision "int8" and the form; opset and IR version unchanged.

    Raises:
        ModelError: not an fp32 file of ours, or nothing in it to quantise. UsageError: ``keep`` names no Conv of it, or
        a range is missing or not finite.
    """
    result = g.load(model)
    g.require_fp32(result)
    made = plan(result, form, keep)
    grids = grids_of(result.graph, made, ranges, form)
    nodes = _quantised_nodes(result.graph, made, grids, form, moments or {})
    g.replace_nodes(result.graph, nodes)
    g.drop_unused_constants(result.graph)
    g.describe(result, precision="int8", form=form)
    return g.checked(result)


def plan(model: ModelProto, form: Form, keep: Collection[str] = ()) -> Plan:
    """Decide what is quantised, in the order of the graph; arguments and errors as in ``quantise``."""
    graph = model.graph
    fixed = g.constants(graph)
    found = [node for node in graph.node if node.op_type == "Conv" and node.input[1] in fixed]
    if unknown := set(keep) - {node.name for node in found}:
        names = ", ".join(node.name for node in found)
        raise UsageError(f"there is no convolution '{min(unknown)}' to keep in float32: choose from {names}")
    chosen = [node for node in found if node.name not in keep]
    if not chosen:
        raise ModelError("the model has no convolution left to quantise: keep fewer in float32")
    floating = {node.name for node in g.skips(graph)}
    tensors = {node.input[0] for node in chosen}
    if form == "po2":
        tensors |= {
            graph.output[0].name,
            *(name for node in g.skips(graph) for name in node.input if name in g.of_input(graph)),
        }
        floating = set()
    elif form == "unsigned":
        tensors |= {_activated(graph, node) for node in chosen} & g.leading_to(graph, chosen)
    else:
        tensors |= set(_added(graph, chosen, floating))
        floating |= set(keep)  # a float convolution fuses no rounding of its input
    order = [value.name for value in graph.input] + [name for node in graph.node for name in node.output]
    return Plan(tuple(node.name for node in chosen), tuple(n for n in order if n in tensors), frozenset(floating))


def grids_of(graph: GraphProto, made: Plan, ranges: Mapping[str, Range], form: Form) -> dict[str, Grid]:
    """The levels of every planned tensor. In the po2 form frame and picture have those from 0 to 255/256."""
    ends = {*g.of_input(graph), graph.output[0].name} if form == "po2" else set()
    known = {**ranges, **dict.fromkeys(ends, (0.0, 255 / 256))}
    return {name: activation_grid(name, known, form) for name in made.tensors}


def activation_grid(tensor: str, ranges: Mapping[str, Range], form: Form) -> Grid:
    """Levels for a tensor's range; the range is widened to hold zero, which must be exact for padding and ReLU."""
    if tensor not in ranges:
        raise UsageError(f"there is no range for '{tensor}': calibrate on this very file")
    low, high = min(ranges[tensor][0], 0.0), max(ranges[tensor][1], 0.0)
    if not np.isfinite(high - low):
        raise UsageError(f"the range of '{tensor}' is not finite: calibrate again")
    if form == "signed":
        return Grid(np.float32(max(-low, high, 127 * _LEAST_SCALE) / 127), 0, -127, 127)
    scale = np.float32(max((high - low) / 255, _LEAST_SCALE))
    if form == "po2":
        if low < 0:
            raise ModelError(
                f"'{tensor}' goes down to {low:.3g}: in the po2 form every convolution but the last has a ReLU"
            )
        # The next greater one: clipping a third of the range costs more than it gains in finer steps.
        return Grid(np.float32(2.0 ** math.ceil(math.log2(scale))), 0, 0, 255)
    return Grid(scale, int(np.rint(-low / scale)), 0, 255)


def weight_scales(
    weight: NDArray[np.float32], bias: NDArray[np.float32], input_scale: np.float32, form: Form
) -> NDArray[np.float32]:
    """Step of each output channel, (C,); wide enough that the bias fits into int32 even where all weights are zero.

    A power of two is that from which on no weight is clipped.
    """
    peaks = np.abs(weight).reshape(len(weight), -1).max(axis=1) / WEIGHT_LIMIT[form]
    if form != "signed":
        peaks = np.maximum(peaks, np.abs(bias) / (input_scale * _BIAS_LIMIT))
    if form == "po2":
        peaks = np.exp2(np.ceil(np.log2(np.maximum(peaks, _LEAST_PO2))))
    return np.maximum(peaks, _LEAST_SCALE).astype(np.float32)


def integer_weights(
    node: NodeProto, values: Constants, grid: Grid, form: Form, moments: NDArray[np.float64] | None
) -> tuple[NDArray[np.int8], NDArray[np.float32], NDArray[np.float32]]:
    """Weights of a Conv as integers, their steps (C,) and the bias (C,) that goes with them.

    Args:
        values: constants of the graph. grid: of the Conv's input. moments: see ``quantise``.
    """
    weight = values[node.input[1]]
    bias = values[node.input[2]] if len(node.input) > 2 else np.zeros(len(weight), np.float32)
    scales = weight_scales(weight, bias, grid.scale, form)
    limit = WEIGHT_LIMIT[form]
    if moments is not None:
        whole, bias = round_weights(weight, bias, scales, limit, moments)
        return whole, scales, bias
    return np.clip(np.rint(weight / scales[:, None, None, None]), -limit, limit).astype(np.int8), scales, bias


def _activated(graph: GraphProto, node: NodeProto) -> str:
    """A convolution's output, after the activation that is its only reader."""
    after = g.readers(graph, node.output[0])
    alone = len(after) == 1 and after[0].op_type in ACTIVATIONS
    return str(after[0].output[0] if alone else node.output[0])


def _added(graph: GraphProto, chosen: list[NodeProto], floating: Collection[str]) -> list[str]:
    """What is added to the outputs of convolutions, so that TensorRT fuses the addition into them."""
    sums = {node.output[0] for node in chosen}
    fixed = g.constants(graph)
    return [
        name
        for node in graph.node
        if node.op_type == "Add" and node.name not in floating and sums & set(node.input)
        for name in node.input
        if name not in sums and name not in fixed
    ]


def _quantised_nodes(
    graph: GraphProto, made: Plan, grids: Mapping[str, Grid], form: Form, moments: Mapping[str, NDArray[np.float64]]
) -> list[NodeProto]:
    """The graph's nodes, rewired, with the new ones right after what they depend on; constants go into the graph."""
    new: list[NodeProto] = []
    for value in graph.input:
        if value.name in grids:
            new += _rounding(graph, value.name, grids[value.name], form)
    values = g.constants(graph)
    for original in list(graph.node):
        node = onnx.NodeProto()
        node.CopyFrom(original)
        if node.name in made.convolutions:
            seen = moments.get(node.name)
            new += _integer_weights(graph, node, values, grids[node.input[0]], form, seen)
        if node.name not in made.floating:
            for at, name in enumerate(node.input):
                if name in grids:
                    node.input[at] = f"{name}_dequantised"
        new.append(node)
        for at, name in enumerate(node.output):
            if name == graph.output[0].name and name in grids:
                node.output[at] = f"{name}_exact"
                new += _rounding(graph, f"{name}_exact", grids[name], form)
                new[-1].output[0] = name
            elif name in grids:
                new += _rounding(graph, name, grids[name], form)
    return new


def _rounding(graph: GraphProto, name: str, grid: Grid, form: Form) -> list[NodeProto]:
    """Quantise and dequantise an activation."""
    kind = np.int8 if form == "signed" else np.uint8
    _add(graph, f"{name}_scale", np.float32(grid.scale))
    _add(graph, f"{name}_zero", np.array(grid.zero, kind))
    how = [f"{name}_scale", f"{name}_zero"]
    return [
        onnx.helper.make_node("QuantizeLinear", [name, *how], [f"{name}_quantised"], f"{name}_quantise"),
        onnx.helper.make_node(
            "DequantizeLinear", [f"{name}_quantised", *how], [f"{name}_dequantised"], f"{name}_dequantise"
        ),
    ]


def _integer_weights(
    graph: GraphProto, node: NodeProto, values: Constants, grid: Grid, form: Form, moments: Any
) -> list[NodeProto]:
    """Rewire a Conv to int8 weights and, but in the signed form, to an int32 bias."""
    whole, scales, bias = integer_weights(node, values, grid, form, moments)
    new = [_constant(graph, f"{node.name}_weight", whole, scales)]
    if form != "signed":
        steps = scales * grid.scale
        new.append(_constant(graph, f"{node.name}_bias", np.rint(bias / steps).astype(np.int32), steps))
        bias_name = new[1].output[0]
    else:
        bias_name = f"{node.name}_bias"
        _add(graph, bias_name, bias)
    node.input[:] = [node.input[0], new[0].output[0], bias_name]
    return new


def _constant(graph: GraphProto, name: str, whole: NDArray[Any], scales: NDArray[np.float32]) -> NodeProto:
    """A constant tensor, dequantised per slice of its first axis."""
    _add(graph, f"{name}_quantised", whole)
    _add(graph, f"{name}_scale", scales)
    _add(graph, f"{name}_zero", np.zeros(len(scales), whole.dtype))
    inputs = [f"{name}_quantised", f"{name}_scale", f"{name}_zero"]
    return onnx.helper.make_node("DequantizeLinear", inputs, [f"{name}_dequantised"], f"{name}_dequantise", axis=0)


def _add(graph: GraphProto, name: str, value: NDArray[Any] | np.float32) -> None:
    graph.initializer.append(onnx.numpy_helper.from_array(np.asarray(value), name))
