"""Random networks of the shapes that the kernels run."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from edgerecon.cpu.layers import Integers, Kind, Layer


def ends(block: int, last: int, residual: bool = True) -> tuple[Layer, Layer]:
    """The unshuffle into map 1, and the shuffle of map ``last``."""
    first = Layer(Kind.UNSHUFFLE, "in", 0, 1, 1, block**2, block)
    return first, Layer(Kind.SHUFFLE, "out", last, 0, block**2, 1, block, added=int(residual))


def convolution(
    rng: np.random.Generator, source: int, target: int, inputs: int, outputs: int, kernel: int = 3, **shape: int
) -> Layer:
    """With weights that keep the size of the numbers."""
    weights = rng.standard_normal((outputs, inputs, kernel, kernel)) / np.sqrt(inputs * kernel**2)
    bias = rng.standard_normal(outputs).astype(np.float32) / 4
    return Layer(
        Kind.CONVOLUTION,
        f"conv {target}",
        source,
        target,
        inputs,
        outputs,
        kernel,
        weights=weights.astype(np.float32),
        bias=bias,
        **shape,
    )  # type: ignore[arg-type]


def chain(rng: np.random.Generator, widths: Sequence[int], dilations: Sequence[int], block: int) -> list[Layer]:
    """Convolutions 3×3 in a row, between b² channels and b² channels."""
    channels = [block**2, *widths, block**2]
    first, last = ends(block, len(dilations) + 1)
    middle = [
        convolution(
            rng, at + 1, at + 2, channels[at], channels[at + 1], dilation=d, padding=d, relu=at + 1 < len(dilations)
        )
        for at, d in enumerate(dilations)
    ]
    return [first, *middle, last]


def two_scale(rng: np.random.Generator, width: int, dilation: int, residual: bool = True) -> list[Layer]:
    """The shape of ``two_scale``, and a 5×5 and a 1×1 layer at its end. Frames are multiples of 4."""
    wide, first_last = 2 * width, ends(2, 8, residual)
    up = (rng.standard_normal((wide, width, 2, 2)) / np.sqrt(wide)).astype(np.float32)
    return [
        first_last[0],
        convolution(rng, 1, 2, 4, width, padding=1, relu=True),
        convolution(rng, 2, 3, width, wide, 2, stride=2, relu=True),
        convolution(rng, 3, 4, wide, wide, dilation=dilation, padding=dilation, relu=True, added=3),
        Layer(
            Kind.TRANSPOSED,
            "up",
            4,
            5,
            wide,
            width,
            2,
            stride=2,
            added=2,
            weights=up,
            bias=rng.standard_normal(width).astype(np.float32) / 4,
        ),
        convolution(rng, 5, 6, width, width, dilation=2, padding=2, relu=True),
        convolution(rng, 6, 7, width, width, 5, dilation=dilation, padding=2 * dilation, relu=True, added=6),
        convolution(rng, 7, 8, width, 4, 1),
        first_last[1],
    ]


def integer_chain(
    rng: np.random.Generator,
    widths: Sequence[int],
    dilations: Sequence[int],
    block: int,
    weight: int = 30,
    ceilings: Sequence[int] = (481,),
) -> list[Layer]:
    """Int16 convolutions in a row; the last one ends the integers. ``ceilings``: of the maps, by turns."""
    layers = chain(rng, widths, dilations, block)
    found = [layers[0]]
    for layer in layers[1:-1]:
        count, last = layer.outputs, layer.target == len(dilations) + 1
        step = (rng.random(count) * 1e-7).astype(np.float32) if last else np.empty(0, np.float32)
        form = Integers(
            rng.integers(-weight, weight + 1, layer.weights.shape).astype(np.int16),
            rng.integers(-9999, 9999, count).astype(np.int32),
            rng.integers(10, 18, count).astype(np.int32),
            ceiling=ceilings[layer.target % len(ceilings)],
            step=step,
        )
        found.append(
            Layer(
                Kind.CONVOLUTION,
                layer.name,
                layer.source,
                layer.target,
                layer.inputs,
                count,
                3,
                dilation=layer.dilation,
                padding=layer.padding,
                relu=True,
                integers=form,
            )
        )
    return [*found, layers[-1]]
