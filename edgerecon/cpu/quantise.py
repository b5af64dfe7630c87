"""The int16 form of a float32 network: levels in its maps, whole weights, one shift an output channel.

Pixels take 255 levels. A map takes as many as Winograd's input transform leaves room for in 16 bits (range_proof.h):
480 where nothing is negative, fewer on either side of zero else; 2040 where it is *fine*: then what reads it runs in
tiles of two rows, a third slower. In every channel they span what calibration frames bring forth (as Nagel et al., ICCV
2019, equalise channels). With s the value of a level of the channel that is read and t of the one that is written, and
U = 576 by Winograd, 48 in tiles of two rows, 1 else,

    q = round(w · s/t · 2ⁿ/U)          z = U · q ∗ x + offset          level = z >> n

where n is, for each output channel, the largest shift whose sums fit 32 bits and whose weights fit 16. The offset holds
the bias and what rounding the weights changes on average (Nagel et al., too). The last layer keeps its sums and gives
them back in float32.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import product

import numpy as np
from numpy.typing import NDArray

from edgerecon.core.errors import ModelError
from edgerecon.core.frame import Image
from edgerecon.cpu.layers import PIXEL_LEVELS, Integers, Kind, Layer
from edgerecon.cpu.ranges import Held, map_ranges, run_layers

SHIFTS = range(30, 4, -1)
_INT16, _INT32 = 2**15 - 1, 2**31 - 1
_NOTHING = 1e-6
_COARSER = 2.0 ** np.arange(11)  # 2040 levels, down to one

Whole = NDArray[np.float64]


@dataclass(frozen=True)
class Form:
    """How a layer is computed, as range_proof.h chooses it: ``unit`` · convolution + ``grain`` · offset.

    Attributes:
        more, less: more · the larger + less · the smaller of what a map has above and below zero stays below 2¹⁵, so
            that 16 bits hold its transform. left, right: of a kernel, on either side: packing.h.
    """

    unit: int
    grain: int
    more: int = 1
    less: int = 0
    left: Whole = field(default_factory=lambda: np.eye(3))
    right: Whole = field(default_factory=lambda: np.eye(3))


_SIX = np.array([[6, 0, 0], [-1, -1, -1], [-1, 1, -1], [1, 2, 4], [1, -2, 4], [0, 0, 6]], np.float64)
_FOUR = np.array([[1, 0, 0], [1, 1, 1], [1, -1, 1], [0, 0, 1]], np.float64)
FOUR_ROWS, TWO_ROWS, TAP_BY_TAP = Form(576, 16, 68, 32, _SIX, _SIX), Form(48, 4, 16, 4, _FOUR, _SIX), Form(1, 1)


@dataclass(frozen=True)
class Levels:
    """Of a map: whole numbers from ``floor`` to ``ceiling``, each worth ``value`` of its channel."""

    value: NDArray[np.float64]
    floor: int
    ceiling: int

    def rounded(self, values: NDArray[np.floating]) -> NDArray[np.float64]:
        """A map, (channels, rows, columns), as its levels hold it."""
        value = self.value[:, None, None]
        return np.clip(np.floor(values / value + 0.5), self.floor, self.ceiling) * value


def quantise(layers: Sequence[Layer], frames: Sequence[Image], fine: Collection[int] = ()) -> list[Layer]:
    """The same network in integers.

    Args:
        layers: an unshuffle, convolutions, a shuffle. frames: float32 in [0, 1], of sizes that the network takes.
        fine: maps that take more levels; those that no Winograd layer reads do anyway.

    Raises:
        ModelError: a layer has no integer form, or no shift fits it; it is named.
    """
    return quantise_ranges(layers, map_ranges(layers, frames), fine)


def quantise_ranges(layers: Sequence[Layer], held: Mapping[int, Held], fine: Collection[int] = ()) -> list[Layer]:
    """As ``quantise``, from what each map holds."""
    first, *middle, last = layers
    maps = {first.target: Levels(np.full(first.outputs, 1 / PIXEL_LEVELS), 0, PIXEL_LEVELS)}
    maps |= _levels(layers, held, fine)
    forms = []
    for one in middle:
        means = held[one.source].mean / maps[one.source].value
        if one.target == last.source:
            form = _ending(one, maps, means)
        else:
            form, maps[one.target] = _between(one, maps, means)
        forms.append(form)
    return [first, *(replace(one, integers=form) for one, form in zip(middle, forms, strict=True)), last]


def dearest_maps(layers: Sequence[Layer], held: Mapping[int, Held], frames: Sequence[Image]) -> list[int]:
    """The maps that can be made fine, and whose rounding moves the picture: the one that moves it most first.

    Args:
        frames: a few, float32 in [0, 1], of sizes that the network takes.
    """
    plain = [run_layers(layers, frame) for frame in frames]
    moved = {}
    for number in sorted({layer.source for layer in layers if layer.winograd} - {layers[0].target}):
        levels = levels_of(held[number].low, held[number].high)
        found = [run_layers(layers, frame, {number: levels.rounded}) for frame in frames]
        moved[number] = sum(float(np.square(a - b).mean()) for a, b in zip(found, plain, strict=True))
    return sorted(moved, key=lambda number: -moved[number])


def _levels(layers: Sequence[Layer], held: Mapping[int, Held], fine: Collection[int]) -> dict[int, Levels]:
    by_winograd = {layer.source for layer in layers if layer.winograd}
    found = {}
    for layer in layers[1:-1]:
        number = layer.target
        form = FOUR_ROWS if number in by_winograd and number not in fine else TWO_ROWS
        found[number] = levels_of(held[number].low, held[number].high, form)
    return found


def _form(layer: Layer, read: Levels) -> Form:
    """As range_proof.h chooses it."""
    less, more = sorted((-read.floor, read.ceiling))
    fits = (form for form in (FOUR_ROWS, TWO_ROWS) if form.more * more + form.less * less <= _INT16)
    return next(fits, TAP_BY_TAP) if layer.winograd else TAP_BY_TAP


def levels_of(low: NDArray[np.float64], high: NDArray[np.float64], form: Form = FOUR_ROWS) -> Levels:
    """The finest levels that a form reads and that span low … high of every channel, and zero: those of the least mean
    square of a step.

    A channel that holds nothing but zero takes the coarsest of the others' values, or spans 1.
    """
    below, above = np.maximum(-low, 0.0), np.maximum(high, 0.0)
    if not max(below.max(), above.max()) > _NOTHING:
        above = np.ones_like(above)
    limit = form.more * (_INT16 // form.more // 10 * 10)
    less = np.arange(limit // (form.more + form.less) + 1)
    more = (limit - form.less * less) // form.more
    # The kernels want a level above zero, even where everything is below.
    floors, ceilings = np.concatenate([less, more[1:]])[:, None], np.concatenate([more, less[1:]])[:, None]
    needed = [
        np.where(side > _NOTHING, side / np.maximum(n, 1e-9), 0.0) for side, n in ((below, floors), (above, ceilings))
    ]
    values = np.maximum(*needed)
    best = int(np.argmin((values**2).sum(1)))
    value = values[best]
    return Levels(np.where(value > 0, value, value.max()), -int(floors[best, 0]), int(ceilings[best, 0]))


def _between(layer: Layer, maps: Mapping[int, Levels], means: NDArray[np.float64]) -> tuple[Integers, Levels]:
    """The form of a layer, and the levels that it writes: coarser ones where a channel holds so little that no shift
    fits its own."""
    source, target = maps[layer.source], maps[layer.target]
    added = maps[layer.added] if layer.added else None
    form = _form(layer, source)
    unit, grain = form.unit, form.grain
    weights = np.zeros(layer.weights.shape, np.int16)
    offset, shift, gain = (np.zeros(layer.outputs, np.int32) for _ in range(3))
    channels = _by_output(layer) * source.value[:, None, None]
    values = target.value.copy()
    for channel, (kernel, bias) in enumerate(zip(channels, layer.bias.astype(float), strict=True)):
        for value, n in product(values[channel] * _COARSER, SHIFTS):
            exact = kernel / value * 2.0**n
            whole = np.rint(exact / unit)
            half = 0.0 if added else 2.0 ** (n - 1)  # what is added brings its own
            plus = round((bias / value * 2.0**n + _lost(exact - unit * whole, means) + half) / grain)
            times = round(added.value[channel] / value * 2.0**n) if added else 0
            if _largest_factor(form, whole) > _INT16:
                continue
            reach = _reach(unit * whole, grain * plus, source)
            if _fits(*reach) and (not added or _fits(*_sum(reach, layer.relu, times, added, n))):
                _by_output(layer, weights)[channel] = whole
                offset[channel], shift[channel], gain[channel] = plus, n, times
                values[channel] = value
                break
        else:
            raise ModelError(f"layer {layer.target - 1} ({layer.name}) fits no shift in output {channel}: use fp32")
    none = np.empty(0, np.int32)
    written = replace(target, value=values)
    return Integers(weights, offset, shift, target.floor, target.ceiling, gain if added else none), written


def _ending(layer: Layer, maps: Mapping[int, Levels], means: NDArray[np.float64]) -> Integers:
    """Weights as fine as the sums allow, one step an output channel."""
    if layer.added or layer.relu:
        raise ModelError(f"layer {layer.target - 1} ({layer.name}) has no integer form: use fp32")
    source = maps[layer.source]
    form = _form(layer, source)
    unit, grain = form.unit, form.grain
    weights, offset = np.zeros(layer.weights.shape, np.int16), np.zeros(layer.outputs, np.int32)
    step = np.zeros(layer.outputs, np.float32)
    channels = _by_output(layer) * source.value[:, None, None]
    for channel, (kernel, bias) in enumerate(zip(channels, layer.bias.astype(float), strict=True)):
        widest = max(map(abs, _reach(kernel, 0.0, source)))
        scale = max(widest * unit / (0.98 * _INT32), _largest_factor(form, kernel) / (0.98 * _INT16), 1e-15)
        for _ in range(32):
            whole = np.rint(kernel / scale)
            plus = round((bias / scale + _lost(kernel / scale - whole, means)) * unit / grain)
            if _largest_factor(form, whole) <= _INT16 and _fits(*_reach(unit * whole, grain * plus, source)):
                break
            scale *= 2
        else:
            raise ModelError(f"layer {layer.target - 1} ({layer.name}) fits no step in output {channel}: use fp32")
        _by_output(layer, weights)[channel] = whole
        offset[channel], step[channel] = plus, scale / unit
    return Integers(weights, offset, np.zeros_like(offset), step=step)


def _lost(weights: NDArray[np.float64], means: NDArray[np.float64]) -> float:
    """The mean of the sum that some weights make."""
    return float(weights.sum((1, 2)) @ means)


def _largest_factor(form: Form, kernel: NDArray[np.float64]) -> float:
    """Of the products that a layer makes with the weights of one output, transformed or as they are."""
    factors = kernel if form is TAP_BY_TAP else form.left @ kernel @ form.right.T
    return float(np.abs(factors).max())


def _by_output(layer: Layer, weights: NDArray | None = None) -> NDArray:
    """A view of the weights, one row an output channel."""
    given = layer.weights.astype(float) if weights is None else weights
    return given.swapaxes(0, 1) if layer.kind is Kind.TRANSPOSED else given


def _reach(whole: Whole, plus: float, levels: Levels) -> tuple[float, float]:
    """The least and the largest sum that some levels can make."""
    positive, negative = whole[whole > 0].sum(), whole[whole < 0].sum()
    least = positive * levels.floor + negative * levels.ceiling
    return least + plus, positive * levels.ceiling + negative * levels.floor + plus


def _sum(reach: tuple[float, float], relu: bool, gain: int, added: Levels, shift: int) -> tuple[float, float]:
    least, most = (max(side, 0.0) if relu else side for side in reach)
    half = 2.0 ** (shift - 1)
    return least + gain * added.floor + half, most + gain * added.ceiling + half


def _fits(least: float, most: float) -> bool:
    return bool(most <= _INT32 and least >= -_INT32)
