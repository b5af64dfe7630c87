"""Networks of the shipped shape with random weights: the worst that hardware meets."""

from __future__ import annotations

import numpy as np

from edgerecon.fpga.integer_ir import IntegerLayer, IntegerNetwork

DILATIONS = (1, 2, 3, 3, 2, 1)


def random_network(hidden: int = 8, dilations: tuple[int, ...] = DILATIONS, width: int = 512) -> IntegerNetwork:
    """Weights over the whole range, biases and shifts that leave the levels neither black nor white."""
    rng = np.random.default_rng(1)
    ends = [4, *[hidden] * (len(dilations) - 1), 4]
    layers = []
    for number, dilation in enumerate(dilations, 1):
        before, after = ends[number - 1 : number + 1]
        weight = rng.integers(-128, 128, (after, before, 3, 3)).astype(np.int8)
        bias = rng.integers(-20000, 60000, after).astype(np.int32)
        shift = rng.integers(9, 12, after).astype(np.int32)
        layers.append(IntegerLayer(f"layer{number}", weight, bias, shift, dilation, -8))
    return IntegerNetwork("random", tuple(layers), width)
