"""What an integer network costs as streaming hardware, and how far it is folded so that it fits a device.

A layer multiplies ``in_step`` input by ``out_step`` output channels at nine taps each cycle, hence takes

    interval = (inputs / in_step) · (outputs / out_step)   cycles for one cell of 2×2 pixels.

Layers run at the same time, each on another part of the picture; the slowest sets the pace, and one pixel a cycle
enters at most. Folding as in FINN (Umuroglu et al., FPGA 2017), two multiplications in one DSP as in AMD's WP486.

    plan = fit_plan(network, load_device("zcu104").fpga, "zcu104")
    plan.cycles_per_pixel, plan.frame_cycles(512, 512), plan.cost.dsp, plan.folds[0].in_step

DSPs are exact. Block RAMs, look-up tables and flip-flops are estimates, fitted to what Yosys makes of the same RTL
(bench/results/fpga.json holds both); another synthesis differs. Flip-flops are those of xc7: for UltraScale+ Yosys
leaves the registers of a multiplier outside of its DSP, some 90 more each.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, replace

from edgerecon.core.errors import GateError
from edgerecon.fpga.integer_ir import CELL, CELL_CHANNELS, IntegerLayer, IntegerNetwork
from edgerecon.hardware.device import Fpga

ASSUMED_CLOCK_MHZ = 150.0
"""No open tool times a Xilinx part: milliseconds are cycles at this clock, which nobody has verified."""
QUEUE = 16
"""Cells that wait behind each convolution (kernels/hls/rtl/conv3x3.sv)."""
MINIMUM_INTERVAL = CELL_CHANNELS
"""A cell has four pixels, of which one enters a cycle: a faster layer would only wait."""
LONGEST_INTERVAL = 256
LUT_SHARE = 0.8
"""Part of the look-up tables that may be taken: routing fails before all of them are used."""
_BLOCK_RAM_SHAPES = ((72, 512), (36, 1024), (18, 2048), (9, 4096))
_SMALL_MEMORY = 64
"""Words up to which synthesis takes look-up tables for a memory."""


@dataclass(frozen=True)
class Fold:
    """Channels a cycle of one layer."""

    in_step: int
    out_step: int


@dataclass(frozen=True)
class Cost:
    """Resources. dsp exact; bram36 (36-kbit blocks, halves allowed), lut and ff estimated."""

    dsp: int
    bram36: float
    lut: int
    ff: int


@dataclass(frozen=True)
class Plan:
    """A folding of a network and what follows from it.

    Attributes:
        folds: one a layer. packed: two multiplications share a DSP. interval: cycles a cell in the slowest layer.
        cost: of the whole stream. dilations: of the layers. distributed: no DSP, see ``distributed_plan``.
    """

    folds: tuple[Fold, ...]
    packed: bool
    interval: int
    cost: Cost
    dilations: tuple[int, ...]
    distributed: bool = False

    @property
    def cycles_per_pixel(self) -> float:
        """Of frames that follow each other without a pause, even sides."""
        return max(self.interval, MINIMUM_INTERVAL) / CELL_CHANNELS

    @property
    def macs_per_cycle(self) -> int:
        """Multiplications at once."""
        return 9 * sum(fold.in_step * fold.out_step for fold in self.folds)

    def frame_cycles(self, height: int, width: int) -> int:
        """From one frame's last pixel out to the next one's, frames without a pause."""
        cells = -(-height // CELL) * -(-width // CELL)
        return max(height * width, self.interval * cells)

    def first_output_cycles(self, width: int) -> int:
        """From the first pixel in to the first pixel out, the few cycles of the registers left out."""
        columns = -(-width // CELL)
        pace = max(self.interval, MINIMUM_INTERVAL)
        return width + CELL + pace * sum(d * (columns + 1) for d in self.dilations)

    def frames_per_second(self, height: int, width: int, clock_mhz: float = ASSUMED_CLOCK_MHZ) -> float:
        """Cycles × assumed clock."""
        return clock_mhz * 1e6 / self.frame_cycles(height, width)


def fit_plan(network: IntegerNetwork, part: Fpga, name: str) -> Plan:
    """The fastest folding that a device holds; the form without DSPs where it has too few for any.

    Args:
        part: of the device profile; what it does not state is not a limit. name: of the device, for messages.

    Raises:
        GateError: not even the most folded form fits; the resource and the least that it takes are named.
    """
    made = list(plans(network, packed=part.dsp_products == 2))
    for plan in [*made, distributed_plan(network)]:
        if not _lacking(plan.cost, part):
            return plan
    least = made[-1]
    raise GateError(
        f"{network.name} does not fit {name}: folded to {least.cycles_per_pixel:g} cycles a pixel, the "
        f"most that its channels allow, it takes {_lacking(least.cost, part)}; give narrower layers or "
        "a smaller image width"
    )


def plans(network: IntegerNetwork, packed: bool) -> Iterator[Plan]:
    """Foldings with ever fewer multipliers, fastest first."""
    seen: set[tuple[Fold, ...]] = set()
    for interval in range(MINIMUM_INTERVAL, LONGEST_INTERVAL + 1):
        folds = tuple(_cheapest(layer, interval, packed) for layer in network.layers)
        if folds not in seen:
            seen.add(folds)
            yield plan_of(network, folds, packed)


def distributed_plan(network: IntegerNetwork) -> Plan:
    """No DSPs: tables hold the sums of six weights, which the activations address bit by bit, one bit a cycle.

    Distributed arithmetic (White, IEEE ASSP Magazine 1989). Nothing is folded, since the weights are in the logic.
    """
    whole = tuple(Fold(layer.inputs, layer.outputs) for layer in network.layers)
    plan = plan_of(network, whole, False)
    lut = ff = 0
    for layer in network.layers:
        window_lut, window_ff = _window(layer)
        lut += int(3.7 * layer.weight.size) + 190 * layer.outputs + window_lut + 600
        ff += int(4.1 * layer.weight.size) + 50 * layer.outputs + window_ff + 780
    cost = Cost(0, plan.cost.bram36, lut + _ENDS_LUT, ff + _ENDS_FF)
    return replace(plan, interval=BITS, cost=cost, distributed=True)


def plan_of(network: IntegerNetwork, folds: tuple[Fold, ...], packed: bool) -> Plan:
    """What a chosen folding costs.

    Raises:
        GateError: the channels of a layer do not divide by the steps; the layer is named.
    """
    for number, (layer, fold) in enumerate(zip(network.layers, folds, strict=True), 1):
        if layer.inputs % fold.in_step or layer.outputs % fold.out_step:
            raise GateError(
                f"layer {number} ('{layer.name}') has {layer.inputs} channels in and {layer.outputs} out, "
                f"which do not fold into steps of {fold.in_step} and {fold.out_step}"
            )
    pairs = list(zip(network.layers, folds, strict=True))
    interval = max(interval_of(layer, fold) for layer, fold in pairs)
    costs = [layer_cost(layer, fold, packed, network.width) for layer, fold in pairs]
    ends = _ends_cost(network)
    cost = Cost(
        sum(c.dsp for c in costs),
        ends.bram36 + sum(c.bram36 for c in costs),
        ends.lut + sum(c.lut for c in costs),
        ends.ff + sum(c.ff for c in costs),
    )
    return Plan(folds, packed, interval, cost, tuple(layer.dilation for layer in network.layers))


def interval_of(layer: IntegerLayer, fold: Fold) -> int:
    """Cycles between two cells: the line buffer is read and written in turn, hence two at least."""
    return max(2, (layer.inputs // fold.in_step) * (layer.outputs // fold.out_step))


def residual_depth(network: IntegerNetwork) -> int:
    """Cells that the frame's own way must hold while the layers are behind, rounded up to a power of two.

    Each layer is dilation·(columns + 1) cells behind and has a queue; less than that and the stream would stand still.
    """
    columns = max_columns(network)
    behind = sum(layer.dilation * (columns + 1) + QUEUE + 2 for layer in network.layers)
    return power_of_two(behind + 64)


def max_columns(network: IntegerNetwork) -> int:
    """Cells in a row of the widest frame."""
    return -(-network.width // CELL)


def power_of_two(number: int) -> int:
    """The next one from 2 on."""
    return int(1 << max(1, (number - 1).bit_length()))


def layer_cost(layer: IntegerLayer, fold: Fold, packed: bool, width: int) -> Cost:
    """Of one convolution with its line buffer, window, multipliers and rounding.

    The terms are those of the modules, as Yosys 0.70 counts them for xc7: adder trees, rounding, taps, control.
    """
    taps = 9 * fold.in_step
    multipliers = taps * _multiplier_rows(fold.out_step, packed)
    products = taps * fold.out_step
    shared = products - multipliers
    lines = block_rams(2 * 8 * layer.inputs, layer.dilation * -(-width // CELL))
    window_lut, window_ff = _window(layer)
    lut = LUT_TERM * products + 3 * shared + 140 * fold.out_step + window_lut + 400
    lut += 8 * taps if fold.in_step < layer.inputs else 0  # which inputs
    lut += min(8 * products, 200) if interval_of(layer, fold) > 4 else 0  # weights
    ff = FF_TERM * products + 4 * shared + 8 * taps + 50 * fold.out_step + window_ff + 850
    return Cost(multipliers, lines, int(lut), int(ff))


def _window(layer: IntegerLayer) -> tuple[int, int]:
    """Look-up tables and flip-flops of the taps: three registers in a row become a table."""
    if layer.dilation >= 3:
        return 120 * layer.inputs, 24 * layer.inputs
    return 72 * layer.inputs, 24 * layer.inputs * (2 * layer.dilation + 1)


def block_rams(width: int, depth: int) -> float:
    """36-kbit blocks of a memory with one port to write and one to read; a half is an 18-kbit block."""
    if depth <= _SMALL_MEMORY:
        return 0.0
    whole = min(math.ceil(width / w) * math.ceil(depth / d) for w, d in _BLOCK_RAM_SHAPES)
    halves = min(math.ceil(width / (w // 2)) * math.ceil(depth / d) for w, d in _BLOCK_RAM_SHAPES)
    return min(float(whole), halves / 2)


LUT_TERM, FF_TERM = 18.0, 18.0
"""LUTs and flip-flops of one more product in an adder tree."""
BITS = 8
"""Bits of an activation: cycles a cell of the form without DSPs."""
_ENDS_LUT, _ENDS_FF = 290, 280


def _ends_cost(network: IntegerNetwork) -> Cost:
    """Of unshuffle, shuffle, their queues and the frame's own way."""
    columns = max_columns(network)
    memory = 2 * block_rams(16, columns) + 2 * block_rams(32, power_of_two(columns))
    return Cost(0, memory + block_rams(32, residual_depth(network)), _ENDS_LUT, _ENDS_FF)


def _multiplier_rows(out_step: int, packed: bool) -> int:
    return -(-out_step // 2) if packed else out_step


def _cheapest(layer: IntegerLayer, interval: int, packed: bool) -> Fold:
    """With the fewest multipliers among those that keep the pace; the most folded where none does."""
    folds = [Fold(i, o) for i in _divisors(layer.inputs) for o in _divisors(layer.outputs)]
    kept = [fold for fold in folds if interval_of(layer, fold) <= interval] or folds[-1:]
    return min(kept, key=lambda fold: (fold.in_step * _multiplier_rows(fold.out_step, packed), fold.out_step))


def _divisors(number: int) -> list[int]:
    return [step for step in range(1, number + 1) if number % step == 0]


def _lacking(cost: Cost, part: Fpga) -> str:
    """What the part has too little of, in words; "" when it fits."""
    limits = (
        ("DSPs", cost.dsp, part.dsp, 1.0),
        ("36-kbit block RAMs", cost.bram36, part.bram36, 1.0),
        ("look-up tables", cost.lut, part.lut, LUT_SHARE),
        ("flip-flops", cost.ff, part.ff, 1.0),
    )
    short = [
        f"{need:g} {what} of {given * share:g}"
        for what, need, given, share in limits
        if given is not None and need > given * share
    ]
    return " and ".join(short)
