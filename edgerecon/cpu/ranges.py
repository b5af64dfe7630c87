"""What the maps of a float32 network hold on some frames, layer by layer, in NumPy."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from edgerecon.core.frame import Image
from edgerecon.cpu.layers import Kind, Layer

Map = NDArray[np.float32]


@dataclass(frozen=True)
class Held:
    """Of every channel of a map, its least, its largest and its mean value; zero, which padding holds, lies between."""

    low: NDArray[np.float64]
    high: NDArray[np.float64]
    mean: NDArray[np.float64]


def map_ranges(layers: Sequence[Layer], frames: Sequence[Image]) -> dict[int, Held]:
    """Map → what its channels hold over all frames.

    Args:
        frames: float32 in [0, 1], of sizes that the network takes.
    """
    zeros = {layer.target: np.zeros(layer.outputs) for layer in layers[:-1]}
    held = {number: Held(zero, zero, zero) for number, zero in zeros.items()}
    for frame in frames:
        maps: dict[int, Map] = {}
        for layer in layers[:-1]:
            x = maps[layer.target] = written(layer, frame, maps)
            old = held[layer.target]
            low, high = np.minimum(old.low, x.min((1, 2))), np.maximum(old.high, x.max((1, 2)))
            held[layer.target] = Held(low, high, old.mean + x.mean((1, 2), dtype=np.float64) / len(frames))
    return held


def run_layers(
    layers: Sequence[Layer], frame: Image, changed: Mapping[int, Callable[[Map], NDArray]] | None = None
) -> Map:
    """What the shuffle reads; a map of ``changed`` goes through its function before it is read."""
    maps: dict[int, Map] = {}
    for layer in layers[:-1]:
        x = written(layer, frame, maps)
        maps[layer.target] = (changed or {}).get(layer.target, lambda same: same)(x)
    return maps[layers[-1].source]


def written(layer: Layer, frame: Image, maps: Mapping[int, Map]) -> Map:
    """The map that a layer writes, from those that it reads."""
    if layer.kind is Kind.UNSHUFFLE:
        (height, width), block = frame.shape, layer.kernel
        cells = frame.reshape(height // block, block, width // block, block).transpose(1, 3, 0, 2)
        return cells.reshape(block**2, height // block, width // block)
    x = maps[layer.source]
    y = _spread(x, layer) if layer.kind is Kind.TRANSPOSED else _convolved(x, layer)
    y += layer.bias[:, None, None]
    if layer.relu:
        np.maximum(y, 0, out=y)
    return y + maps[layer.added] if layer.added else y


def _convolved(x: Map, layer: Layer) -> Map:
    x = np.pad(x, ((0, 0), *((layer.padding, layer.padding),) * 2))
    edge, stride = (layer.kernel - 1) * layer.dilation, layer.stride
    rows, columns = ((size - edge - 1) // stride + 1 for size in x.shape[1:])
    y = np.zeros((layer.outputs, rows, columns), np.float32)
    for ky in range(layer.kernel):
        for kx in range(layer.kernel):
            top, left = ky * layer.dilation, kx * layer.dilation
            seen = x[:, top : top + (rows - 1) * stride + 1 : stride, left : left + (columns - 1) * stride + 1 : stride]
            y += np.tensordot(layer.weights[:, :, ky, kx], seen, 1)
    return y


def _spread(x: Map, layer: Layer) -> Map:
    """A transposed convolution whose kernel is its stride."""
    taps = np.tensordot(layer.weights, x, (0, 0))  # outputs × ky × kx × rows × columns
    _, rows, columns = x.shape
    return taps.transpose(0, 3, 1, 4, 2).reshape(layer.outputs, rows * layer.stride, columns * layer.stride)
