"""How fast a model could possibly run on a device, from its graph and the device's data sheet alone.

    time ≥ max(operations / peak rate, bytes / bandwidth)

the roofline of Williams, Waterman & Patterson (Commun. ACM 52(4), 2009). It is a bound, not a measurement: kernels that
fill the arithmetic units badly (16 channels on tensor cores do), launches, copies to the GPU and back, and clocks that
sink under load all come on top. It holds for the arithmetic that the graph spells out: an algorithm that multiplies
less (Winograd, Lavin & Gray, CVPR 2016) or another precision (TF32 for fp32) may go below. For "host", whose rates are
measured on large matrix products instead of taken from a data sheet, it is only as firm as they are.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from edgerecon.core.errors import ModelError, UsageError, needed
from edgerecon.hardware.device import HOST, DeviceProfile, Precision
from edgerecon.modelfile.catalogue import open_file
from edgerecon.modelfile.file import ModelFile

BYTES: dict[Precision, int] = {"fp32": 4, "fp16": 2, "bf16": 2, "int8": 1}
"""The size of one element in bytes. Inputs and outputs of a model are float32 in every precision."""

# Matrix operators → positions of data and weight among the inputs.
_CONVOLUTIONS = {"Conv": (0, 1), "ConvInteger": (0, 1), "QLinearConv": (0, 3)}
_PRODUCTS = {"MatMul": (0, 1), "Gemm": (0, 1), "MatMulInteger": (0, 1), "QLinearMatMul": (0, 3)}
# No memory traffic of their own: views, and conversions that runtimes fold into the operator beside them.
_FOLDED = {"Identity", "Reshape", "Squeeze", "Unsqueeze", "Flatten", "Cast", "QuantizeLinear", "DequantizeLinear"}
_NO_DATA = {"Constant", "Shape", "Size"}
# Arithmetic that is not counted here; better no bound than a wrong one.
_REFUSED = {"LSTM", "GRU", "RNN", "Einsum", "Attention", "If", "Loop", "Scan", "DeformConv"}


@dataclass(frozen=True)
class Counts:
    """Work of a model on one frame, in numbers of elements; no precision yet.

    Attributes:
        height, width: of the frame, padded to what the model takes.
        macs: multiply-accumulates of convolutions and matrix products, padding included, as is customary.
        parameters: weights and biases. boundary: elements of the model's inputs and outputs.
        boundary_traffic, inner_traffic: elements of inputs and outputs, and of the tensors between, that are read and
            written when every operator goes to memory by itself.
    """

    height: int
    width: int
    macs: int
    parameters: int
    boundary: int
    boundary_traffic: int
    inner_traffic: int

    def fused_bytes(self, precision: Precision) -> int:
        """Everything fused: inputs, outputs and weights cross the memory bus once, all else stays on the chip."""
        return BYTES["fp32"] * self.boundary + BYTES[precision] * self.parameters

    def unfused_bytes(self, precision: Precision) -> int:
        """Nothing fused: every operator reads its inputs from memory and writes its outputs back."""
        inner = BYTES[precision] * (self.inner_traffic + self.parameters)
        return BYTES["fp32"] * self.boundary_traffic + inner


@dataclass(frozen=True)
class Roofline:
    """A bound, not a measurement.

    Attributes:
        device, precision: what it holds for.
        compute_ms: multiply-accumulates at the device's peak rate; None when no document gives that rate.
        memory_ms: fused bytes at its bandwidth; None when no document gives it.
        unfused_ms: unfused bytes at its bandwidth. No bound: where an engine without any fusion would stand.
    """

    device: str
    precision: Precision
    compute_ms: float | None
    memory_ms: float | None
    unfused_ms: float | None

    @property
    def ms(self) -> float:
        """The bound itself: the slower of the two."""
        return max(self.compute_ms or 0.0, self.memory_ms or 0.0)

    @property
    def binds(self) -> str:
        """What sets the bound: "compute" or "memory"."""
        return "compute" if (self.compute_ms or 0.0) >= (self.memory_ms or 0.0) else "memory"

    def __str__(self) -> str:
        parts = {"compute": self.compute_ms, "memory": self.memory_ms}
        told = ", ".join(f"{key} {'unknown' if ms is None else f'{ms:.3g} ms'}" for key, ms in parts.items())
        kind = "an estimate from measured rates" if self.device == HOST else "a bound, not a measurement"
        return f"{self.device}, {self.precision}: at least {self.ms:.3g} ms ({told}); {kind}"


def count(model: str | Path | ModelFile, height: int, width: int) -> Counts:
    """Count the work of a shipped, saved or read model on one frame of height × width pixels.

    Raises:
        UsageError: unknown name, or a size below 1. ModelError: see ``read_model``; or an operator is not counted here.
        DependencyError: the onnx package is absent.
    """
    with needed("train", "onnx"):
        import onnx
    if min(height, width) < 1:
        raise UsageError(f"a frame has at least 1×1 pixels, not {height}×{width}")
    file = open_file(model)
    multiple = file.spec.size_multiple
    graph = onnx.load_model_from_string(file.content)
    return count_graph(graph, height + -height % multiple, width + -width % multiple)


def count_graph(model: Any, height: int, width: int) -> Counts:
    """The same for an ``onnx.ModelProto`` with inputs N×C×H×W, N = 1; it is left as it was.

    Raises:
        ModelError: an operator is not counted here, the model is made for another size, or a shape stays unknown.
    """
    graph = _Graph(model, height, width)
    macs = sum(graph.macs(node) for node in graph.nodes)
    boundary_traffic = inner_traffic = 0
    parameters: set[str] = set()
    for node in graph.nodes:
        if node.op_type in _FOLDED | _NO_DATA:
            continue
        for name in filter(None, node.input):
            name = graph.origin(name)
            if name in graph.constants:
                parameters.add(name)
            elif name in graph.inputs:
                boundary_traffic += graph.elements(name)
            else:
                inner_traffic += graph.elements(name)
        for name in filter(None, node.output):
            if name in graph.leaving:
                boundary_traffic += graph.elements(name)
            else:
                inner_traffic += graph.elements(name)
    return Counts(
        height=height,
        width=width,
        macs=macs,
        parameters=sum(graph.elements(name) for name in parameters),
        boundary=sum(graph.elements(name) for name in (*graph.inputs, *graph.outputs)),
        boundary_traffic=boundary_traffic,
        inner_traffic=inner_traffic,
    )


def bound(counts: Counts, device: DeviceProfile, precision: Precision) -> Roofline:
    """Lower bound of the time for one frame; from compute alone or memory alone where only one is documented.

    Raises:
        UsageError: the profile has neither a peak rate for that precision nor a bandwidth.
    """
    rate, bandwidth = device.peak.get(precision), device.bandwidth_gbs
    if rate is None and bandwidth is None:
        known = ", ".join(device.peak) or "none"
        raise UsageError(
            f"{device.name} has no documented {precision} rate (known: {known}) and no bandwidth: no bound"
        )
    return Roofline(
        device=device.name,
        precision=precision,
        compute_ms=2 * counts.macs / rate / 1e6 if rate else None,
        memory_ms=counts.fused_bytes(precision) / bandwidth / 1e6 if bandwidth else None,
        unfused_ms=counts.unfused_bytes(precision) / bandwidth / 1e6 if bandwidth else None,
    )


class _Graph:
    """An ONNX graph with the shape of every tensor at one frame size."""

    def __init__(self, model: Any, height: int, width: int) -> None:
        import onnx

        sized = onnx.ModelProto()
        sized.CopyFrom(model)
        names = {tensor.name for tensor in sized.graph.initializer}
        _set_size((i for i in sized.graph.input if i.name not in names), height, width)
        for value in sized.graph.output:  # their symbolic sizes would contradict the inferred ones
            value.type.tensor_type.ClearField("shape")
        del sized.graph.value_info[:]
        try:
            graph = onnx.shape_inference.infer_shapes(sized, strict_mode=True, data_prop=True).graph
        except onnx.shape_inference.InferenceError as error:
            raise ModelError(f"the shapes of the model do not fit together: {str(error).splitlines()[0]}") from None
        self.nodes = list(graph.node)
        self.inputs = [i.name for i in graph.input if i.name not in names]
        self.outputs = [o.name for o in graph.output]
        self._shapes = {tensor.name: tuple(tensor.dims) for tensor in graph.initializer}
        for value in (*graph.input, *graph.output, *graph.value_info):
            if (shape := _shape(value)) is not None:
                self._shapes[value.name] = shape
        self.constants = names | {n.output[0] for n in self.nodes if n.op_type == "Constant"}
        self._before = {out: n.input[0] for n in self.nodes if n.op_type in _FOLDED for out in n.output}
        self.leaving = {self.origin(name) for name in self.outputs}

    def origin(self, name: str) -> str:
        """The tensor that a chain of folded operators ends up reading."""
        while name in self._before:
            name = self._before[name]
        return name

    def elements(self, name: str) -> int:
        return math.prod(self.shape(name))

    def shape(self, name: str) -> tuple[int, ...]:
        shape = self._shapes.get(name)
        if shape is None:
            raise ModelError(f"the shape of '{name}' cannot be found from the graph: export the model again")
        return shape

    def macs(self, node: Any) -> int:
        kind = node.op_type
        if kind in _REFUSED:
            raise ModelError(f"the operator {kind} is not counted: no bound can be given for this model")
        if kind in _CONVOLUTIONS:  # one output element takes (channels in / groups) × kernel products
            weight = self.shape(node.input[_CONVOLUTIONS[kind][1]])
            return self.elements(node.output[0]) * math.prod(weight[1:])
        if kind == "ConvTranspose":  # one input element takes part in (channels out / groups) × kernel products
            weight = self.shape(node.input[1])
            return self.elements(node.input[0]) * math.prod(weight[1:])
        if kind in _PRODUCTS:
            data = self.shape(node.input[_PRODUCTS[kind][0]])
            transposed = any(a.name == "transA" and a.i for a in node.attribute)
            return self.elements(node.output[0]) * data[0 if transposed else -1]
        return 0


def _set_size(inputs: Iterable[Any], height: int, width: int) -> None:
    for value in inputs:
        for axis, dim in enumerate(value.type.tensor_type.shape.dim):
            wanted = {0: 1, 2: height, 3: width}.get(axis)
            if dim.HasField("dim_value"):
                if axis in (2, 3) and dim.dim_value != wanted:
                    raise ModelError(f"the model takes a side of {dim.dim_value} pixels only, not {wanted}")
            elif wanted is not None:
                divisor = re.fullmatch(r"[HW]/([1-9]\d{0,3})", dim.dim_param)  # of a state carried between frames
                dim.dim_value = wanted // int(divisor[1]) if divisor else wanted


def _shape(value: Any) -> tuple[int, ...] | None:
    """None unless every side is known."""
    dims = value.type.tensor_type.shape.dim
    if not value.type.tensor_type.HasField("shape") or not all(dim.HasField("dim_value") for dim in dims):
        return None
    return tuple(dim.dim_value for dim in dims)
