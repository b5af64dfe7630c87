"""The compact network as compact_fused.cu takes it: packed weights, tiles, and the arguments of a launch."""

from __future__ import annotations

import ctypes
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edgerecon.core.errors import EngineError
from edgerecon.cuda.kernels.load import Module
from edgerecon.cuda.kernels.packing import pack, pack_split

THREADS = 512
LAYERS = 6
WIDTHS = (16, 32)
_SIDES = tuple(range(4, 65, 2))
_OVERHEAD = 20_000
"""Cells·products that starting a tile costs, beside its work: loads that wait for memory, and barriers."""


@dataclass(frozen=True)
class Layer:
    """One convolution.

    Attributes:
        weight: (C_out, C_in, 3, 3), float32, float16, or int8 where the convolution is quantised.
        bias: (C_out,) float32.
        dilation: in cells. step: of the weights, (C_out,), and before: of the input, where it is quantised.
        after: step of the output where that is quantised, else 0. Layers with an int8 weight have all of ``before``.
    """

    weight: NDArray[Any]
    bias: NDArray[np.float32]
    dilation: int
    step: NDArray[np.float32] | None = None
    before: float = 0.0
    after: float = 0.0


@dataclass(frozen=True)
class CompactNetwork:
    """Six layers, packed.

    Attributes:
        width: 16 or 32. form: "fp16", "fp32", "int8", or "mixed": int8 between a first and a last layer of float32.
        dilations: of the layers. weights: bytes. scales: step and offset of every output channel, (n, 2) float32.
        step: of the frame where it is rounded to int8, else 1.
    """

    width: int
    form: str
    dilations: tuple[int, ...]
    weights: NDArray[np.uint8]
    scales: NDArray[np.float32]
    step: float

    @property
    def kernel(self) -> str:
        """Name of its kernel in compact_fused.cu."""
        return f"compact_fused_{self.form}_{self.width}"


@dataclass(frozen=True)
class Tiling:
    """How a frame is cut. ``rows`` and ``cols`` of a tile in cells of 2×2 pixels; ``second``: bytes to the second
    buffer; ``shared``: bytes of a block; ``tiles``: in all images."""

    rows: int
    cols: int
    second: int
    shared: int
    tiles: int


class Arguments(ctypes.Structure):
    """``Compact`` of compact_fused_core.h, the kernels' one parameter."""

    _fields_ = [
        ("frame", ctypes.c_void_p),
        ("out", ctypes.c_void_p),
        ("weights", ctypes.c_void_p),
        ("scales", ctypes.c_void_p),
        *((name, ctypes.c_int) for name in ("images", "height", "width", "tile_rows", "tile_cols", "second")),
        ("dilation", ctypes.c_int * LAYERS),
        ("step", ctypes.c_float),
    ]


class CompactKernel:
    """Launches of one network on one size of frames.

    Args:
        module: compact_fused, loaded. weights, scales: addresses of the network's on the GPU.
        shape: images, height and width in pixels, any from 1 on.

    Raises:
        EngineError: the dilations take more shared memory than a block of this GPU has.
    """

    def __init__(
        self, module: Module, network: CompactNetwork, weights: int, scales: int, shape: tuple[int, int, int]
    ) -> None:
        fits = (module.multiprocessors, module.shared_limit)
        self.tiling = tiling = choose_tiling(network.form, network.width, network.dilations, shape, *fits)
        self._function = module.function(network.kernel, tiling.shared)
        blocks = self._function.blocks_per_multiprocessor(THREADS) * module.multiprocessors
        self.grid = (max(1, min(tiling.tiles, blocks)), 1, 1)
        self._shapes = f"{'×'.join(map(str, shape))} float32"
        self._arguments = Arguments(
            0,
            0,
            weights,
            scales,
            *shape,
            tiling.rows,
            tiling.cols,
            tiling.second,
            (ctypes.c_int * LAYERS)(*network.dilations),
            network.step,
        )

    def launch(self, frame: int, out: int, stream: int) -> None:
        """Queue it. ``frame`` and ``out``: addresses of float32 (images, height, width), which must not overlap.

        Raises:
            EngineError: the driver refused.
        """
        self._arguments.frame, self._arguments.out = frame, out
        self._function.launch(self.grid, (THREADS, 1, 1), [self._arguments], stream, self._shapes)


def pack_network(layers: Sequence[Layer]) -> CompactNetwork:
    """Weights and scales as the kernel reads them; layers as ``read_compact`` gives them, of at most 32 channels.

    Narrower layers get channels that are zero.

    A value is step · sum + offset, where the sum is of products of whatever the numbers are kept in: for bytes that are
    rounded to bytes again, step = s_in·s_w/s_out and offset = b/s_out.
    """
    widest = max(layer.weight.shape[0] for layer in layers)
    width = min(known for known in WIDTHS if known >= widest)
    form = {"float16": "fp16", "float32": "fp32", "int8": "int8"}[layers[1].weight.dtype.name]
    if form == "int8" and layers[0].weight.dtype != np.int8:
        form = "mixed"
    packed, scales = [], []
    for index, layer in enumerate(layers):
        blocks = 1 if index == LAYERS - 1 else 2
        channels = 8 if index == LAYERS - 1 else width
        weight = _widened(layer.weight, channels, width if index else 4)
        packed.append((pack_split if weight.dtype == np.float32 else pack)(weight, blocks=blocks))
        step = np.ones(len(layer.bias)) if layer.step is None else layer.step.astype(np.float64) * layer.before
        both = np.stack([step, layer.bias.astype(np.float64)], axis=1) / (layer.after or 1.0)
        scales.append(np.pad(both, ((0, channels - len(both)), (0, 0))).astype(np.float32))
    weights = np.concatenate([part.reshape(-1).view(np.uint8) for part in packed])
    dilations = tuple(layer.dilation for layer in layers)
    return CompactNetwork(width, form, dilations, weights, np.concatenate(scales), layers[0].before or 1.0)


def _widened(weight: NDArray[Any], after: int, before: int) -> NDArray[Any]:
    return np.pad(weight, ((0, after - weight.shape[0]), (0, before - weight.shape[1]), (0, 0), (0, 0)))


@lru_cache(maxsize=64)
def choose_tiling(
    form: str, width: int, dilations: tuple[int, ...], shape: tuple[int, int, int], multiprocessors: int, shared: int
) -> Tiling:
    """The tile with which the busiest multiprocessor has the least to do.

    A large tile recomputes less of its neighbours; a small one leaves no multiprocessor without work.

    Args:
        shape: images, height and width in pixels. shared: bytes that a block may have.

    Raises:
        EngineError: no tile fits, since the dilations are too large.
    """
    images, rows, cols = shape[0], -(-shape[1] // 2), -(-shape[2] // 2)
    best: tuple[float, Tiling] | None = None
    for tall in _SIDES:
        for wide in _SIDES:
            tiles = images * -(-rows // tall) * -(-cols // wide)
            second, total = buffer_sizes(form, width, dilations, tall, wide)
            cost = -(-tiles // multiprocessors) * (_work(width, dilations, tall, wide) + _OVERHEAD)
            if total <= shared and (best is None or cost < best[0]):
                best = cost, Tiling(tall, wide, second, total, tiles)
    if best is None:
        raise EngineError(f"dilations {list(dilations)} take more than the {shared} bytes of shared memory of a block")
    return best[1]


def buffer_sizes(form: str, width: int, dilations: Sequence[int], rows: int, cols: int) -> tuple[int, int]:
    """Bytes of the first buffer, and of both: layers write them in turn, the input being in the first."""
    outer = {"fp16": 2, "fp32": 4, "mixed": 4, "int8": 1}[form]
    inner = {"fp16": 2, "fp32": 4, "mixed": 1, "int8": 1}[form]
    each = [4 * outer, *[width * inner] * (LAYERS - 2), width * outer]  # bytes of a cell: input, layers 1 … 5
    margins = [sum(dilations[index:]) for index in range(LAYERS)]
    sizes = [(rows + 2 * m) * (cols + 2 * m) * size for m, size in zip(margins, each, strict=True)]
    first, second = max(sizes[0::2]), max(sizes[1::2])
    first += -first % 16
    return first, first + second


def _work(width: int, dilations: tuple[int, ...], rows: int, cols: int) -> int:
    margins = [sum(dilations[index + 1 :]) for index in range(LAYERS)]
    return sum(each * (rows + 2 * m) * (cols + 2 * m) for m, each in zip(margins, _products(width), strict=True))


def _products(width: int) -> list[int]:
    """Multiply-accumulates of a cell in each layer, over 9."""
    return [4 * width, *[width * width] * (LAYERS - 2), 4 * width]
