"""How far a network sees: the farthest output that one input pixel changes."""

from __future__ import annotations

import numpy as np

from edgerecon.deploy.adopt.maps import SCORES, MapReading
from edgerecon.deploy.adopt.network import Network
from edgerecon.deploy.adopt.range_trial import Reading

_TRIALS = 3
_SIDE = 128
_ROUNDING = 1e-6
"""Of the greatest output: what changes less is the runtime's rounding, which another sum may bring about."""


def receptive_field(network: Network, reading: Reading | MapReading, size: tuple[int, int], multiple: int) -> int:
    """Side, in input pixels, of the square that one output pixel depends on; that of the frame when it sees all of it.

    A pixel in the middle of a noisy picture is changed, and the farthest change of the output is looked for.

    Args:
        size: of the pictures: rows and columns that the network takes.
    """
    if network.result.kind == SCORES:
        return max(size)
    rng = np.random.default_rng(0)
    scale = network.result.scale
    farthest = 0
    for _ in range(_TRIALS):
        levels = rng.random(size, dtype=np.float32)
        row, column = size[0] // 2 + int(rng.integers(multiple)), size[1] // 2 + int(rng.integers(multiple))
        changed = levels.copy()
        changed[row, column] = 1.0 - levels[row, column]
        one, other = (network.run(frame, reading.given) for frame in (levels, changed))
        rows, columns = np.nonzero(np.abs(one - other).max(0) > _ROUNDING * np.abs(one).max())
        if rows.size:
            reach = max(np.abs(rows // scale - row).max(), np.abs(columns // scale - column).max())
            farthest = max(farthest, int(reach))
    return min(2 * farthest + 1, max(size))


def trial_side(sizes_fixed: tuple[int, int] | None, multiple: int, field: int = _SIDE) -> tuple[int, int]:
    """Rows and columns on which a network is measured."""
    if sizes_fixed:
        return sizes_fixed
    side = -(-field // multiple) * multiple
    return side, side + multiple
