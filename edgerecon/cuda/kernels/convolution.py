"""Launches of conv_relu.cu: packed weights, tiles and checks, for whoever has the pictures on the GPU."""

from __future__ import annotations

import ctypes
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from edgerecon.core.errors import EngineError, UsageError
from edgerecon.cuda.kernels.load import Module
from edgerecon.cuda.kernels.packing import pack

CHANNELS = (1, 4, 8, 16, 32, 64)
THREADS = 128
_TILES = ((16, 32), (16, 16), (8, 16), (8, 8), (4, 8), (4, 4), (1, 1))
_PIXELS = 4
_LARGEST_GRID = 2**31 - 1
_RESERVED = 1024
"""Bytes of a multiprocessor's shared memory that the system keeps for each block, beside what the block has."""

Form = Literal["fp32", "fp16", "int8"]


@dataclass(frozen=True)
class Convolution:
    """One layer, packed.

    Attributes:
        form: of input, weights, residual and output. before, after: channels.
        weights: bytes. scales: step and offset of every output channel, (n, 2) float32.
        residual_step: of a residual of int8, over the step of the output; else 1.
    """

    form: Form
    before: int
    after: int
    dilation: int
    relu: bool
    weights: NDArray[np.uint8]
    scales: NDArray[np.float32]
    residual_step: float = 1.0

    @property
    def kernel(self) -> str:
        """Name of its kernel in conv_relu.cu."""
        if self.form == "fp32":
            return "conv_relu_fp32"
        return f"conv_relu_{self.form}_{4 if self.before <= 4 else 16}_{8 if self.after <= 8 else 16}"


class Arguments(ctypes.Structure):
    """``Convolution`` of conv_relu_core.h, the kernels' one parameter."""

    _fields_ = [
        *((name, ctypes.c_void_p) for name in ("input", "residual", "output", "weights", "scales")),
        *(
            (name, ctypes.c_int)
            for name in ("images", "height", "width", "before", "after", "dilation", "relu", "tile_rows", "tile_cols")
        ),
        ("residual_step", ctypes.c_float),
    ]


def pack_convolution(
    weight: NDArray[Any],
    bias: NDArray[np.float32],
    *,
    dilation: int = 1,
    relu: bool = True,
    steps: NDArray[np.float32] | None = None,
    before: float = 1.0,
    after: float = 1.0,
    residual: float = 1.0,
) -> Convolution:
    """A layer ready for the kernels.

    Args:
        weight: (C_out, C_in, 3, 3), float32, float16 or int8. bias: (C_out,) float32.
        steps: of int8 weights, (C_out,). before, after, residual: steps of int8 input, output and residual.

    Raises:
        UsageError: another type, a shape or channels outside the table, or a dilation below 1.
    """
    forms: dict[str, Form] = {"float32": "fp32", "float16": "fp16", "int8": "int8"}
    form = forms.get(weight.dtype.name)
    if form is None or weight.ndim != 4 or weight.shape[2:] != (3, 3) or bias.shape != weight.shape[:1]:
        raise UsageError(
            f"conv_relu takes float32, float16 or int8 weights (C_out, C_in, 3, 3) and a bias (C_out,), "
            f"not {weight.dtype} {weight.shape} and {bias.shape}"
        )
    outputs, inputs = weight.shape[:2]
    if inputs not in CHANNELS or outputs not in CHANNELS:
        known = ", ".join(map(str, CHANNELS))
        raise UsageError(f"conv_relu has no kernel for {inputs} → {outputs} channels: each is one of {known}")
    if dilation < 1 or (form == "int8") != (steps is not None):
        raise UsageError("a dilation is at least 1, and int8 weights, they alone, come with their steps")
    if form == "fp32":
        padded = np.zeros((9, inputs, -(-outputs // 4) * 4), np.float32)
        padded[..., :outputs] = weight.reshape(outputs, inputs, 9).transpose(2, 1, 0)
        packed: NDArray[Any] = padded
    else:
        packed = pack(weight, blocks=1 if outputs <= 8 else 2)
    whole = np.ones(outputs) if steps is None else steps.astype(np.float64) * before / after
    both = np.stack([whole, bias.astype(np.float64) / (after if steps is not None else 1.0)], axis=1)
    scales = np.pad(both, ((0, -outputs % 8), (0, 0))).astype(np.float32)
    ratio = float(residual / after) if steps is not None else 1.0
    return Convolution(form, inputs, outputs, dilation, relu, packed.reshape(-1).view(np.uint8), scales, ratio)


def choose_tile(conv: Convolution, shared: int) -> tuple[int, int, int]:
    """Rows and columns of a tile, and the bytes of its shared memory: the largest with two blocks a multiprocessor.

    Raises:
        EngineError: the dilation takes more than a block has.
    """
    if conv.form == "fp32":
        return 1, 1, 0
    cell = (4 if conv.before <= 4 else -(-conv.before // 16) * 16) * (2 if conv.form == "fp16" else 1)
    sizes = [(rows, cols, (rows + 2 * conv.dilation) * (cols + 2 * conv.dilation) * cell) for rows, cols in _TILES]
    for limit in ((shared - _RESERVED) // 2, shared):
        for rows, cols, size in sizes:
            if size <= limit:
                return rows, cols, size
    raise EngineError(
        f"a dilation of {conv.dilation} with {conv.before} channels takes more than the {shared} bytes "
        "of shared memory of a block"
    )


class ConvRelu:
    """Launches of one layer on one size of pictures.

    Args:
        module: conv_relu, loaded. weights, scales: addresses of the layer's on the GPU. shape: images, height, width.

    Raises:
        UsageError: an empty shape, or one with more tiles than a grid has. EngineError: see ``choose_tile``.
    """

    def __init__(
        self, module: Module, conv: Convolution, weights: int, scales: int, shape: tuple[int, int, int]
    ) -> None:
        rows, cols, shared = choose_tile(conv, module.shared_limit)
        blocks = (
            -(-_items(conv, shape) // THREADS)
            if conv.form == "fp32"
            else (shape[0] * -(-shape[1] // rows) * -(-shape[2] // cols))
        )
        if min(shape) < 1 or blocks > _LARGEST_GRID:
            raise UsageError(f"conv_relu does not take pictures of {shape}")
        self._function = module.function(conv.kernel, shared)
        self._grid = (blocks, 1, 1)
        self._shapes = f"{'×'.join(map(str, shape))}, {conv.before} → {conv.after} channels, {conv.form}"
        self._arguments = Arguments(
            None,
            None,
            None,
            weights,
            scales,
            *shape,
            conv.before,
            conv.after,
            conv.dilation,
            conv.relu,
            rows,
            cols,
            conv.residual_step,
        )

    def launch(self, picture: int, out: int, stream: int, residual: int | None = None) -> None:
        """Queue it. Addresses of NHWC pictures; ``out`` must not overlap ``picture``, and may be ``residual``.

        Raises:
            EngineError: the driver refused.
        """
        self._arguments.input, self._arguments.output, self._arguments.residual = picture, out, residual
        self._function.launch(self._grid, (THREADS, 1, 1), [self._arguments], stream, self._shapes)


def _items(conv: Convolution, shape: tuple[int, int, int]) -> int:
    """Threads of the kernel for floats."""
    return shape[0] * shape[1] * -(-shape[2] // _PIXELS) * -(-conv.after // 4)
