"""What the layers compute, plainly, in NumPy."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from edgerecon.cpu.layers import PIXEL_LEVELS, Integers, Kind, Layer

Map = NDArray[np.float64]


def clipped(frame: NDArray[np.float32]) -> NDArray[np.float32]:
    """What enters a network for any pixels."""
    return np.clip(np.nan_to_num(frame, nan=0.0), 0, 1).astype(np.float32)


def unshuffle(frame: NDArray, block: int) -> Map:
    height, width = frame.shape
    cells = frame.reshape(height // block, block, width // block, block).transpose(1, 3, 0, 2)
    return cells.reshape(block**2, height // block, width // block).astype(np.float64)


def shuffle(cells: NDArray, block: int) -> NDArray:
    _, height, width = cells.shape
    return cells.reshape(block, block, height, width).transpose(2, 0, 3, 1).reshape(block * height, block * width)


def convolve(x: Map, weights: NDArray, stride: int = 1, dilation: int = 1, padding: int = 0) -> Map:
    edge = (weights.shape[2] - 1) * dilation
    x = np.pad(x, ((0, 0), (padding, padding), (padding, padding)))
    rows, columns = ((size - edge - 1) // stride + 1 for size in x.shape[1:])
    out = np.zeros((len(weights), rows, columns))
    for ky in range(weights.shape[2]):
        for kx in range(weights.shape[3]):
            top, left = ky * dilation, kx * dilation
            seen = x[:, top : top + rows * stride : stride, left : left + columns * stride : stride]
            out += np.tensordot(weights[:, :, ky, kx].astype(np.float64), seen[:, :rows, :columns], 1)
    return out


def spread(x: Map, weights: NDArray, stride: int) -> Map:
    """A transposed convolution whose kernel is its stride."""
    taps = np.einsum("ioyx,ihw->ohywx", weights.astype(np.float64), x)
    return taps.reshape(weights.shape[1], x.shape[1] * stride, x.shape[2] * stride)


def run_floats(layers: Sequence[Layer], frame: NDArray[np.float32]) -> NDArray:
    """A float32 network in float64."""
    return shuffle(map_of(layers, frame), layers[-1].kernel) + (clipped(frame) if layers[-1].added else 0)


def map_of(layers: Sequence[Layer], frame: NDArray[np.float32]) -> Map:
    """What the last of the layers, a shuffle, reads."""
    maps: dict[int, Map] = {}
    for layer in layers:
        if layer.kind is Kind.UNSHUFFLE:
            maps[layer.target] = unshuffle(clipped(frame), layer.kernel)
        elif layer.kind is Kind.SHUFFLE:
            return maps[layer.source]
        else:
            x = maps[layer.source]
            if layer.kind is Kind.TRANSPOSED:
                y = spread(x, layer.weights, layer.stride)
            else:
                y = convolve(x, layer.weights, layer.stride, layer.dilation, layer.padding)
            y += layer.bias[:, None, None]
            y = np.maximum(y, 0) if layer.relu else y
            maps[layer.target] = y + maps[layer.added] if layer.added else y
    raise AssertionError("no shuffle")


def run_integers(layers: Sequence[Layer], frame: NDArray[np.float32]) -> NDArray[np.float32]:
    """An int16 network, exactly; asserts that no result leaves 32 bits."""
    inside = clipped(frame)
    maps: dict[int, NDArray] = {}
    limits = {0: (0, 0), layers[0].target: (0, PIXEL_LEVELS)}
    for layer in layers:
        if layer.integers:
            limits[layer.target] = (layer.integers.floor, layer.integers.ceiling)
        if layer.kind is Kind.UNSHUFFLE:
            maps[layer.target] = unshuffle(np.floor(inside * np.float32(255) + np.float32(0.5)), layer.kernel)
        elif layer.kind is Kind.SHUFFLE:
            return shuffle(maps[layer.source], layer.kernel) + (inside if layer.added else np.float32(0))
        else:
            maps[layer.target] = levels(layer, maps, unit_and_grain(layer, *limits[layer.source]))
    raise AssertionError("no shuffle")


def unit_and_grain(layer: Layer, floor: int, ceiling: int) -> tuple[int, int]:
    """What a layer's sums are multiples of: by F(4×4), F(2×4) or tap by tap, as the levels that it reads allow."""
    fits = (layer.kind, layer.kernel, layer.stride, layer.padding) == (Kind.CONVOLUTION, 3, 1, layer.dilation)
    less, more = sorted((-floor, ceiling))
    if fits and 68 * more + 32 * less < 2**15:
        return 576, 16
    return (48, 4) if fits and 16 * more + 4 * less < 2**15 else (1, 1)


def levels(layer: Layer, maps: dict[int, NDArray], scale: tuple[int, int]) -> NDArray:
    """What one integer layer writes: levels, or float32 where it ends the integers."""
    form, x = layer.integers, maps[layer.source]
    assert isinstance(form, Integers)
    if layer.kind is Kind.TRANSPOSED:
        y = spread(x, form.weights, layer.stride)
    else:
        y = convolve(x, form.weights, layer.stride, layer.dilation, layer.padding)
    z = scale[0] * np.rint(y).astype(np.int64) + scale[1] * _column(form.offset)
    assert np.abs(z).max() < 2**31
    if form.step.size:
        return z.astype(np.int32).astype(np.float32) * form.step[:, None, None]
    shift = _column(form.shift)
    if layer.added:
        z = np.maximum(z, 0) if layer.relu else z
        z += _column(form.gain) * maps[layer.added].astype(np.int64) + (1 << shift >> 1)
        assert np.abs(z).max() < 2**31
    return np.clip(z >> shift, form.floor, form.ceiling).astype(np.float64)


def _column(values: NDArray) -> NDArray[np.int64]:
    return values.astype(np.int64)[:, None, None]
