"""The integer network in NumPy: the authority that ONNX Runtime, the C++ and the hardware are compared with."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from edgerecon.core.errors import DataError
from edgerecon.fpga.integer_ir import CELL, CELL_CHANNELS, MAX_LEVEL, IntegerLayer, IntegerNetwork

Levels = NDArray[np.uint8]


def run(network: IntegerNetwork, frame: Levels) -> Levels:
    """uint8 (H, W) → the same, H and W from 1 on; an odd side is padded by repeating its edge, and cropped again.

    Raises:
        DataError: no such array.
    """
    if not isinstance(frame, np.ndarray) or frame.dtype != np.uint8 or frame.ndim != 2 or frame.size == 0:
        raise DataError("a frame of levels must be a non-empty uint8 H×W array")
    height, width = frame.shape
    cells = unshuffle(np.pad(frame, ((0, height % CELL), (0, width % CELL)), mode="edge"))
    values = cells
    for index, layer in enumerate(network.layers):
        sums = accumulate(layer, values)
        if index == len(network.layers) - 1:
            sums += cells.astype(np.int32) << layer.shift[:, None, None]
        values = requantise(sums, layer.shift)
    return shuffle(values)[:height, :width]


def accumulate(layer: IntegerLayer, values: Levels) -> NDArray[np.int32]:
    """uint8 (in, H, W) → the sums with their bias, int32 (out, H, W); beyond the border are zeros."""
    _, height, width = values.shape
    d = layer.dilation
    padded = np.pad(values, ((0, 0), (d, d), (d, d))).astype(np.int32)
    sums = np.empty((layer.outputs, height, width), np.int32)
    sums[...] = layer.bias[:, None, None]
    for row in range(3):
        for column in range(3):
            seen = padded[:, row * d : row * d + height, column * d : column * d + width]
            sums += np.tensordot(layer.weight[:, :, row, column].astype(np.int32), seen, axes=1)
    return sums


def requantise(sums: NDArray[np.int32], shift: NDArray[np.int32]) -> Levels:
    """int32 (C, H, W) over 2^shift of its channel, rounded with halves to even and clipped to uint8."""
    by = shift[:, None, None]
    half = (np.int32(1) << by) >> 1
    odd = (sums >> by) & 1
    # Half a step less one unit, and that unit back where the quotient is odd, takes a half to the even neighbour.
    rounded = (sums + np.where(by > 0, half - 1 + odd, 0)) >> by
    return np.clip(rounded, 0, MAX_LEVEL).astype(np.uint8)


def unshuffle(frame: Levels) -> Levels:
    """(H, W), both even → (4, H/2, W/2): channel 2·dy + dx holds the pixels at (2i + dy, 2j + dx)."""
    height, width = frame.shape
    cells = frame.reshape(height // CELL, CELL, width // CELL, CELL)
    return cells.transpose(1, 3, 0, 2).reshape(CELL_CHANNELS, height // CELL, width // CELL)


def shuffle(cells: Levels) -> Levels:
    """The inverse of ``unshuffle``."""
    _, height, width = cells.shape
    return cells.reshape(CELL, CELL, height, width).transpose(2, 0, 3, 1).reshape(CELL * height, CELL * width)


def levels_of(frame: NDArray[np.float32]) -> Levels:
    """Grey levels in [0, 1] → what the file's own quantiser makes of them."""
    return np.clip(np.rint(frame * np.float32(256)), 0, MAX_LEVEL).astype(np.uint8)
