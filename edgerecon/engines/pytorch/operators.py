"""ONNX operators in torch, one function each, as the ONNX specification (opset 13 to 23) words them.

Every function takes the node's attributes and its inputs in order, None for one that is left out, and gives its one
output. Images are N×C×H×W. Gradients pass where the mathematics has them.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from onnx import TensorProto
from torch import Tensor

Attributes = Mapping[str, Any]
Operator = Callable[..., Tensor]

ALLOWED: dict[tuple[str, str], tuple[Any, ...]] = {
    **{(name, "auto_pad"): ("NOTSET", "VALID") for name in ("Conv", "ConvTranspose", "MaxPool", "AveragePool")},
    **{(name, "block_size"): (0,) for name in ("QuantizeLinear", "DequantizeLinear")},
    ("AveragePool", "dilations"): ([1, 1],),
    ("BatchNormalization", "training_mode"): (0,),
    ("ConvTranspose", "output_shape"): (),
    ("MaxPool", "storage_order"): (0,),
    **{(name, "direction"): ("forward", "bidirectional") for name in ("RNN", "LSTM")},
    **{(name, "layout"): (0,) for name in ("RNN", "LSTM")},
    **{(name, key): () for name in ("RNN", "LSTM") for key in ("clip", "activation_alpha", "activation_beta")},
    ("LSTM", "activations"): (),
    ("LSTM", "input_forget"): (0,),
    ("RNN", "activations"): (["Relu"], ["Relu", "Relu"], ["Tanh"], ["Tanh", "Tanh"]),
    ("Resize", "antialias"): (0,),
    ("Resize", "axes"): (),
    ("Resize", "coordinate_transformation_mode"): ("half_pixel", "pytorch_half_pixel", "asymmetric", "align_corners"),
    ("Resize", "keep_aspect_ratio_policy"): ("stretch",),
    ("Resize", "mode"): ("nearest", "linear"),
}
"""(operator, attribute) → the values that are implemented, where not all of them are."""

_TYPES = {
    TensorProto.FLOAT: torch.float32,
    TensorProto.FLOAT16: torch.float16,
    TensorProto.BFLOAT16: torch.bfloat16,
    TensorProto.DOUBLE: torch.float64,
    TensorProto.UINT8: torch.uint8,
    TensorProto.INT8: torch.int8,
    TensorProto.UINT16: torch.uint16,
    TensorProto.INT16: torch.int16,
    TensorProto.INT32: torch.int32,
    TensorProto.INT64: torch.int64,
    TensorProto.BOOL: torch.bool,
}


def conv(a: Attributes, x: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
    """ONNX Conv."""
    top, left, bottom, right = a.get("pads", (0, 0, 0, 0))
    strides, dilations = a.get("strides", (1, 1)), a.get("dilations", (1, 1))
    if (top, left) == (bottom, right):
        return F.conv2d(x, weight, bias, strides, (top, left), dilations, a.get("group", 1))
    return F.conv2d(F.pad(x, (left, right, top, bottom)), weight, bias, strides, 0, dilations, a.get("group", 1))


def conv_transpose(a: Attributes, x: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
    """ONNX ConvTranspose."""
    top, left, bottom, right = a.get("pads", (0, 0, 0, 0))
    more, dilations = a.get("output_padding", (0, 0)), a.get("dilations", (1, 1))
    full = F.conv_transpose2d(x, weight, bias, a.get("strides", (1, 1)), 0, more, a.get("group", 1), dilations)
    return full[..., top : full.shape[-2] - bottom, left : full.shape[-1] - right]


def max_pool(a: Attributes, x: Tensor) -> Tensor:
    """ONNX MaxPool."""
    pads, ceil = _symmetric(a), bool(a.get("ceil_mode", 0))
    return F.max_pool2d(x, a["kernel_shape"], a.get("strides", (1, 1)), pads, a.get("dilations", (1, 1)), ceil)


def average_pool(a: Attributes, x: Tensor) -> Tensor:
    """ONNX AveragePool."""
    pads, ceil = _symmetric(a), bool(a.get("ceil_mode", 0))
    with_pads = bool(a.get("count_include_pad", 0))
    return F.avg_pool2d(x, a["kernel_shape"], a.get("strides", (1, 1)), pads, ceil, with_pads)


def _symmetric(a: Attributes) -> tuple[int, int]:
    top, left, bottom, right = a.get("pads", (0, 0, 0, 0))
    if (top, left) != (bottom, right):
        raise ValueError("pooling with asymmetric pads is not implemented")
    return top, left


def batch_normalization(a: Attributes, x: Tensor, *statistics: Tensor) -> Tensor:
    """ONNX BatchNormalization, as in inference."""
    scale, bias, mean, variance = statistics
    return F.batch_norm(x, mean, variance, scale, bias, eps=a.get("epsilon", 1e-5))


def prelu(_: Attributes, x: Tensor, slope: Tensor) -> Tensor:
    """ONNX PRelu."""
    return torch.where(x < 0, slope * x, x)


def clip(_: Attributes, x: Tensor, low: Tensor | None = None, high: Tensor | None = None) -> Tensor:
    """ONNX Clip."""
    x = x if low is None else torch.maximum(x, low)
    return x if high is None else torch.minimum(x, high)


def div(_: Attributes, x: Tensor, y: Tensor) -> Tensor:
    """ONNX Div; integers are rounded towards zero."""
    return x / y if x.is_floating_point() else torch.div(x, y, rounding_mode="trunc")


def space_to_depth(a: Attributes, x: Tensor) -> Tensor:
    """ONNX SpaceToDepth."""
    n, c, h, w = x.shape
    b = a["blocksize"]
    cells = x.reshape(n, c, h // b, b, w // b, b).permute(0, 3, 5, 1, 2, 4)
    return cells.reshape(n, c * b * b, h // b, w // b)


def depth_to_space(a: Attributes, x: Tensor) -> Tensor:
    """ONNX DepthToSpace, in both modes."""
    n, c, h, w = x.shape
    b = a["blocksize"]
    if a.get("mode", "DCR") == "CRD":
        return F.pixel_shuffle(x, b)
    cells = x.reshape(n, b, b, c // (b * b), h, w).permute(0, 3, 4, 1, 5, 2)
    return cells.reshape(n, c // (b * b), h * b, w * b)


def resize(
    a: Attributes, x: Tensor, roi: Tensor | None = None, scales: Tensor | None = None, sizes: Tensor | None = None
) -> Tensor:
    """ONNX Resize."""
    if sizes is not None:
        ends = [int(size) for size in sizes]
        factors = [end / side for end, side in zip(ends, x.shape, strict=True)]
    elif scales is not None:
        factors = [float(scale) for scale in scales]
        ends = [int(np.floor(side * factor)) for side, factor in zip(x.shape, factors, strict=True)]
    else:
        raise ValueError("Resize needs scales or sizes")
    for axis, (end, factor) in enumerate(zip(ends, factors, strict=True)):
        if end != x.shape[axis] or factor != 1:
            x = _resize_axis(a, x, axis, end, factor)
    return x


def _resize_axis(a: Attributes, x: Tensor, axis: int, end: int, factor: float) -> Tensor:
    last = x.shape[axis] - 1
    at = _coordinates(a.get("coordinate_transformation_mode", "half_pixel"), last, end, factor)
    if a.get("mode", "nearest") == "nearest":
        index = _nearest(a.get("nearest_mode", "round_prefer_floor"), at).clip(0, last)
        return x.index_select(axis, _indices(index, x))
    at = at.clip(0, last)
    low = np.floor(at)
    weight = torch.from_numpy(at - low).to(x.device, x.dtype).reshape([-1] + [1] * (x.ndim - 1 - axis))
    before = x.index_select(axis, _indices(low, x))
    after = x.index_select(axis, _indices(np.minimum(low + 1, last), x))
    return before * (1 - weight) + after * weight


def _coordinates(mode: str, last: int, end: int, factor: float) -> np.ndarray:
    """Where along the input each place of the output lies."""
    places = np.arange(end, dtype=np.float64)
    if mode == "asymmetric":
        return places / factor
    if mode == "align_corners":
        return places * (last / max(end - 1, 1))
    if mode == "pytorch_half_pixel" and end == 1:
        return places
    return (places + 0.5) / factor - 0.5


def _nearest(mode: str, at: np.ndarray) -> np.ndarray:
    rounded = {
        "round_prefer_floor": np.ceil(at - 0.5),
        "round_prefer_ceil": np.floor(at + 0.5),
        "floor": np.floor(at),
        "ceil": np.ceil(at),
    }
    return rounded[mode]


def _indices(values: np.ndarray | Sequence[int], like: Tensor) -> Tensor:
    return torch.as_tensor(np.asarray(values, np.int64), device=like.device)


def cast(a: Attributes, x: Tensor) -> Tensor:
    """ONNX Cast."""
    return x.to(_TYPES[a["to"]])


def quantize_linear(a: Attributes, x: Tensor, scale: Tensor, zero: Tensor | None = None) -> Tensor:
    """Halves round to even, values beyond the type saturate."""
    kind = zero.dtype if zero is not None else _TYPES[a.get("output_dtype") or TensorProto.UINT8]
    limits = torch.iinfo(kind)
    levels = torch.round(x.float() / _along(scale, x, a).float())
    if zero is not None:
        levels = levels + _along(zero, x, a).float()
    return levels.clamp(limits.min, limits.max).to(kind)


def dequantize_linear(a: Attributes, x: Tensor, scale: Tensor, zero: Tensor | None = None) -> Tensor:
    """ONNX DequantizeLinear: (x − zero) · scale."""
    levels = x.to(torch.int32)
    if zero is not None:
        levels = levels - _along(zero, x, a).to(torch.int32)
    return levels.to(scale.dtype) * _along(scale, x, a)


def _along(parameter: Tensor, x: Tensor, a: Attributes) -> Tensor:
    """A scale or zero point, of the tensor or of each channel, in a shape that broadcasts over ``x``."""
    if parameter.numel() == 1:
        return parameter.reshape(())
    shape = [1] * x.ndim
    shape[a.get("axis", 1)] = -1
    return parameter.reshape(shape)


def reshape(a: Attributes, x: Tensor, shape: Tensor) -> Tensor:
    """ONNX Reshape."""
    sides = [int(side) for side in shape]
    if not a.get("allowzero", 0):
        sides = [x.shape[axis] if side == 0 else side for axis, side in enumerate(sides)]
    return x.reshape(sides)


def transpose(a: Attributes, x: Tensor) -> Tensor:
    """ONNX Transpose; without ``perm`` the axes are reversed."""
    return x.permute(a.get("perm", tuple(reversed(range(x.ndim)))))


def slice_(
    _: Attributes, x: Tensor, starts: Tensor, ends: Tensor, axes: Tensor | None = None, steps: Tensor | None = None
) -> Tensor:
    """ONNX Slice."""
    count = len(starts)
    along = range(count) if axes is None else axes.tolist()
    by = [1] * count if steps is None else steps.tolist()
    for axis, start, end, step in zip(along, starts.tolist(), ends.tolist(), by, strict=True):
        places = range(*slice(start, end, step).indices(x.shape[axis]))
        x = x.index_select(axis, _indices(places, x))
    return x


def gather(a: Attributes, x: Tensor, indices: Tensor) -> Tensor:
    """ONNX Gather; negative indices count from the end."""
    axis = a.get("axis", 0) % x.ndim
    places = torch.where(indices < 0, indices + x.shape[axis], indices)
    picked = x.index_select(axis, places.flatten().long())
    return picked.reshape([*x.shape[:axis], *indices.shape, *x.shape[axis + 1 :]])


def shape(a: Attributes, x: Tensor) -> Tensor:
    """ONNX Shape."""
    return _indices(x.shape[a.get("start", 0) : a.get("end")], x)


def reduce_mean(a: Attributes, x: Tensor, axes: Tensor | None = None) -> Tensor:
    """ONNX ReduceMean; the axes are an attribute before opset 18."""
    along = a.get("axes") if axes is None else axes.tolist()  # an attribute before opset 18
    if not along:
        return x if a.get("noop_with_empty_axes", 0) else x.mean(list(range(x.ndim)), bool(a.get("keepdims", 1)))
    return x.mean(along, bool(a.get("keepdims", 1)))


def reduce_sum(a: Attributes, x: Tensor, axes: Tensor | None = None) -> Tensor:
    """ONNX's default: over all axes."""
    return x.sum(list(range(x.ndim)) if axes is None else axes.tolist(), keepdim=bool(a.get("keepdims", 1)))


def rnn(a: Attributes, x: Tensor, w: Tensor, r: Tensor, b: Tensor | None = None) -> Tensor:
    """ONNX RNN, with ReLU or tanh."""
    bend = torch.relu if "Relu" in a.get("activations", ()) else torch.tanh

    def unit(total: Tensor, _: Tensor) -> tuple[Tensor, Tensor]:
        return (h := bend(total)), h

    return _recurrent(x, w, r, b, unit)


def lstm(a: Attributes, x: Tensor, w: Tensor, r: Tensor, b: Tensor | None = None) -> Tensor:
    """ONNX LSTM, gates in the order i, o, f, c."""

    def unit(total: Tensor, cell: Tensor) -> tuple[Tensor, Tensor]:
        i, o, f, g = total.chunk(4, dim=-1)
        cell = torch.sigmoid(f) * cell + torch.sigmoid(i) * torch.tanh(g)
        return torch.sigmoid(o) * torch.tanh(cell), cell

    return _recurrent(x, w, r, b, unit)


def _recurrent(
    x: Tensor, w: Tensor, r: Tensor, b: Tensor | None, unit: Callable[[Tensor, Tensor], tuple[Tensor, Tensor]]
) -> Tensor:
    """x: T×B×I, states of each direction → T×D×B×H. unit: (sum of drives, memory) → (state, memory)."""
    found = []
    for direction, (drive, back) in enumerate(zip(w, r, strict=True)):
        rows = (x.flip(0) if direction else x) @ drive.T
        if b is not None:
            rows = rows + b[direction].reshape(2, -1).sum(0)
        h = memory = x.new_zeros(x.shape[1], r.shape[2])
        states = []
        for row in rows:
            h, memory = unit(row + h @ back.T, memory)
            states.append(h)
        found.append(torch.stack(states[::-1] if direction else states))
    return torch.stack(found, dim=1)


def unsqueeze(_: Attributes, x: Tensor, axes: Tensor) -> Tensor:
    """ONNX Unsqueeze."""
    rank = x.ndim + len(axes)
    for axis in sorted(int(axis) % rank for axis in axes):
        x = x.unsqueeze(axis)
    return x


def squeeze(_: Attributes, x: Tensor, axes: Tensor | None = None) -> Tensor:
    """ONNX Squeeze."""
    return x.squeeze() if axes is None else x.squeeze(tuple(axes.tolist()))


OPERATORS: dict[str, Operator] = {
    "Add": lambda a, x, y: x + y,
    "AveragePool": average_pool,
    "BatchNormalization": batch_normalization,
    "Cast": cast,
    "Ceil": lambda a, x: torch.ceil(x),
    "Clip": clip,
    "Concat": lambda a, *parts: torch.cat(parts, a["axis"]),
    "Conv": conv,
    "ConvTranspose": conv_transpose,
    "DepthToSpace": depth_to_space,
    "DequantizeLinear": dequantize_linear,
    "Div": div,
    "Exp": lambda a, x: torch.exp(x),
    "Expand": lambda a, x, shape: x * x.new_ones(shape.tolist()),  # both sides broadcast
    "Floor": lambda a, x: torch.floor(x),
    "Gather": gather,
    "GlobalAveragePool": lambda a, x: x.mean(list(range(2, x.ndim)), keepdim=True),
    "Identity": lambda a, x: x,
    "LSTM": lstm,
    "LeakyRelu": lambda a, x: F.leaky_relu(x, a.get("alpha", 0.01)),
    "Log": lambda a, x: torch.log(x),
    "MatMul": lambda a, x, y: x @ y,
    "MaxPool": max_pool,
    "Mul": lambda a, x, y: x * y,
    "PRelu": prelu,
    "QuantizeLinear": quantize_linear,
    "RNN": rnn,
    "Reciprocal": lambda a, x: 1 / x,
    "ReduceMean": reduce_mean,
    "ReduceSum": reduce_sum,
    "Relu": lambda a, x: torch.relu(x),
    "Reshape": reshape,
    "Resize": resize,
    "Shape": shape,
    "Round": lambda a, x: torch.round(x),  # halves to even, as ONNX
    "Sigmoid": lambda a, x: torch.sigmoid(x),
    "Slice": slice_,
    "Softmax": lambda a, x: torch.softmax(x, a.get("axis", -1)),
    "SpaceToDepth": space_to_depth,
    "Sqrt": lambda a, x: torch.sqrt(x),
    "Squeeze": squeeze,
    "Sub": lambda a, x, y: x - y,
    "Tanh": lambda a, x: torch.tanh(x),
    "Transpose": transpose,
    "Unsqueeze": unsqueeze,
}
"""All of them but Constant, whose value stands in the graph."""
