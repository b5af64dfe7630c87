"""The int16 form of a float32 network: levels between layers, whole weights, one shift an output channel.

Pixels take 255 levels, what lies between layers 480, so that Winograd's input transform fits 16 bits (range_proof.h). A
layer's largest value is measured on calibration frames. With s the value of a level before and t after a layer,

    q = round(w · s/t · 2ⁿ/576)          y = (576 · q ∗ x + 16 · offset) >> n          offset = (b/t · 2ⁿ + 2ⁿ⁻¹) / 16

where n is, for each output channel, the largest shift whose sums fit 32 bits and whose transformed weights fit 16; the
half rounds to the nearest level. The last layer keeps its sums and gives them back in float32.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from edgerecon.core.errors import ModelError
from edgerecon.core.frame import Image
from edgerecon.cpu.layers import Integers, Kind, Layer

PIXEL_LEVELS, LEVELS = 255, 480
LARGEST_WEIGHT = 668
"""49 times it, the most that the transform of a kernel makes of a weight, is below 2¹⁵."""
SHIFTS = range(30, 4, -1)
_INT32 = 2**31 - 1


def quantise(layers: Sequence[Layer], frames: Sequence[Image]) -> list[Layer]:
    """The same network in integers.

    Args:
        layers: an unshuffle, 3×3 convolutions in a row, a shuffle.
        frames: float32 in [0, 1], multiples of the block; the levels span what they bring forth between layers.

    Raises:
        ModelError: a layer has no integer form, or no shift fits it; it is named.
    """
    first, *middle, last = layers
    for at, layer in enumerate(middle):
        plain = layer.kind is Kind.CONVOLUTION and layer.kernel == 3 and layer.stride == 1 and not layer.added
        if not plain or layer.padding != layer.dilation or layer.source != at + 1:
            raise ModelError(f"layer {layer.target - 1} ({layer.name}) has no integer form: use fp32")
    largest = _largest(middle, first.kernel, frames)
    before, source = 1 / PIXEL_LEVELS, PIXEL_LEVELS
    found = [first]
    for layer, top in zip(middle, largest, strict=False):
        after = top / LEVELS
        found.append(replace(layer, integers=_between(layer, before / after, after, source)))
        before, source = after, LEVELS
    found.append(replace(middle[-1], integers=_ending(middle[-1], before, source)))
    return [*found, last]


def _largest(middle: Sequence[Layer], block: int, frames: Sequence[Image]) -> list[float]:
    """Of every layer but the last, over all frames; never zero."""
    tops = [1e-6] * (len(middle) - 1)
    for frame in frames:
        height, width = frame.shape
        cells = frame.reshape(height // block, block, width // block, block).transpose(1, 3, 0, 2)
        x = cells.reshape(block**2, height // block, width // block)
        for at, layer in enumerate(middle[:-1]):
            x = np.maximum(_convolved(x, layer), 0)
            tops[at] = max(tops[at], float(x.max()))
    return tops


def _convolved(x: NDArray[np.float32], layer: Layer) -> NDArray[np.float32]:
    (_, height, width), reach = x.shape, layer.dilation
    x = np.pad(x, ((0, 0), (reach, reach), (reach, reach)))
    out = np.repeat(layer.bias, height * width).reshape(-1, height, width)
    for ky in range(3):
        for kx in range(3):
            seen = x[:, ky * reach : ky * reach + height, kx * reach : kx * reach + width]
            out = out + np.tensordot(layer.weights[:, :, ky, kx], seen, 1)
    return out


def _between(layer: Layer, ratio: float, after: float, source: int) -> Integers:
    """``ratio``: level before over level after."""
    weights = np.zeros(layer.weights.shape, np.int16)
    offset, shift = np.zeros(layer.outputs, np.int32), np.zeros(layer.outputs, np.int32)
    for channel, (kernel, bias) in enumerate(zip(layer.weights.astype(float), layer.bias.astype(float), strict=True)):
        for n in SHIFTS:
            whole = np.rint(kernel * ratio * 2.0**n / 576)
            plus = round((bias / after * 2.0**n + 2.0 ** (n - 1)) / 16)
            if np.abs(whole).max() <= LARGEST_WEIGHT and _fits(whole, plus, source):
                weights[channel], offset[channel], shift[channel] = whole, plus, n
                break
        else:
            raise ModelError(f"layer {layer.target - 1} ({layer.name}) fits no shift in output {channel}: use fp32")
    return Integers(weights, offset, shift, source, LEVELS)


def _ending(layer: Layer, before: float, source: int) -> Integers:
    """Weights as fine as the sums allow, one step an output channel."""
    weights, offset = np.zeros(layer.weights.shape, np.int16), np.zeros(layer.outputs, np.int32)
    step = np.zeros(layer.outputs, np.float32)
    for channel, (kernel, bias) in enumerate(zip(layer.weights.astype(float), layer.bias.astype(float), strict=True)):
        side = max(kernel[kernel > 0].sum(), -kernel[kernel < 0].sum())
        scale = max(side * 576 * source / (0.98 * _INT32), np.abs(kernel).max() / LARGEST_WEIGHT, 1e-12)
        for _ in range(32):
            whole, plus = np.rint(kernel / scale), round(bias * 576 / (before * scale) / 16)
            if _fits(whole, plus, source):
                break
            scale *= 2
        else:
            raise ModelError(f"layer {layer.target - 1} ({layer.name}) fits no step in output {channel}: use fp32")
        weights[channel], offset[channel], step[channel] = whole, plus, before * scale / 576
    return Integers(weights, offset, np.zeros_like(offset), source, LEVELS, step)


def _fits(whole: NDArray[np.float64], plus: int, source: int) -> bool:
    most = 576 * source * whole[whole > 0].sum() + max(16 * plus, 0)
    least = 576 * source * whole[whole < 0].sum() + min(16 * plus, 0)
    return bool(most <= _INT32 and least >= -_INT32)
