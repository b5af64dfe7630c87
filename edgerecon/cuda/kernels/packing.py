"""Weights of 3×3 convolutions in the order in which the lanes of a warp load them (kernels/cuda/conv_tile.h)."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

Weights = NDArray[Any]


def pack(weights: Weights, *, blocks: int) -> Weights:
    """(C_out, C_in, 3, 3) of halves or bytes → (parts, groups, units, blocks, 32 lanes, 4 channels).

    A part is 16 input channels, or all of up to 4; a group is 8·blocks output channels. A unit is a tap, lane 4·n + t
    holding channels 4·t … 4·t + 3 of output column n; with up to 4 input channels it is a row of taps, t being the
    column of the tap and the fourth zero. Bytes are multiplied two units at a time, so a last odd one is followed by
    zeros. Channels that are not there have zero weights.

    Args:
        blocks: of 8 output channels in a group: 2, or 1 where there are up to 8 in all.
    """
    after, before = weights.shape[:2]
    wide = before > 4
    padded = np.zeros(
        (-(-after // (8 * blocks)) * 8 * blocks, -(-before // 16) * 16 if wide else 4, 3, 3), weights.dtype
    )
    padded[:after, :before] = weights
    groups = padded.reshape(-1, 8 * blocks, *padded.shape[1:])[:, _channels(blocks)]  # group, block, n, c, ky, kx
    if wide:
        split = groups.reshape(*groups.shape[:3], -1, 4, 4, 9)  # group, block, n, part, t, j, unit
    else:
        split = np.zeros((*groups.shape[:3], 1, 4, 4, 3), weights.dtype)
        split[:, :, :, 0, :3] = groups.transpose(0, 1, 2, 5, 3, 4)
    packed = split.transpose(3, 0, 6, 1, 2, 4, 5)
    packed = packed.reshape(*packed.shape[:4], 32, 4)
    if weights.dtype == np.int8:
        packed = np.concatenate([packed, np.zeros_like(packed[:, :, :1])], axis=2)
    return np.ascontiguousarray(packed)


def pack_split(weights: NDArray[np.float32], *, blocks: int) -> Weights:
    """As ``pack``, for weights and inputs that are each the sum of two halves: parts (upper, upper, lower)."""
    upper = weights.astype(np.float16)
    lower = (weights - upper.astype(np.float32)).astype(np.float16)
    first = pack(upper, blocks=blocks)
    return np.concatenate([first, first, pack(lower, blocks=blocks)])


def _channels(blocks: int) -> NDArray[np.intp]:
    """Output channel, of those of a group, in column n of a block: (blocks, 8). A lane sums up neighbouring ones."""
    n = np.arange(8)
    if blocks == 1:
        return n[None]
    return np.stack([4 * (n // 2) + 2 * block + n % 2 for block in range(blocks)])
