"""A network as the list of layers that kernels/cpu runs.

Maps are numbered: 0 is the frame, the others are what each layer but the last writes. A convolution carries the ReLU
that follows it, and the map that is added after that.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import IntEnum

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float32]
PIXEL_LEVELS = 255
_NONE, _NO_INTEGERS = np.empty(0, np.float32), np.empty(0, np.int32)


class Kind(IntEnum):
    """What a layer does, as edgerecon_cpu.h counts."""

    UNSHUFFLE = 0
    CONVOLUTION = 1
    TRANSPOSED = 2
    SHUFFLE = 3


@dataclass(frozen=True)
class Integers:
    """The int16 form of a convolution: its sums with their offset, then >> shift and clipped (edgerecon_cpu.h).

    Attributes:
        weights: int16, of the layer's shape. offset, shift: int32, one an output channel.
        floor, ceiling: the least and the largest level that is written; floor is at most 0.
        gain: int32, one an output channel, of a layer that adds a map; else empty.
        step: float32, one an output channel, of a layer that ends the integers; else empty.
    """

    weights: NDArray[np.int16]
    offset: NDArray[np.int32]
    shift: NDArray[np.int32]
    floor: int = 0
    ceiling: int = 0
    gain: NDArray[np.int32] = field(default_factory=lambda: _NO_INTEGERS)
    step: Floats = field(default_factory=lambda: _NONE)


@dataclass(frozen=True)
class Layer:
    """One layer.

    Attributes:
        name: of its node in the file, for messages. inputs, outputs: channels.
        source, added, target: maps; added: 0 for nothing; in a shuffle 1 to add the frame.
        kernel: edge of the kernel, or block of a shuffle.
        weights: outputs × inputs × kernel × kernel; a transposed convolution's are inputs × outputs × kernel × kernel.
        integers: its int16 form; None in float32.
    """

    kind: Kind
    name: str
    source: int
    target: int
    inputs: int
    outputs: int
    kernel: int
    added: int = 0
    stride: int = 1
    dilation: int = 1
    padding: int = 0
    relu: bool = False
    weights: Floats = field(default_factory=lambda: _NONE)
    bias: Floats = field(default_factory=lambda: _NONE)
    integers: Integers | None = None

    @property
    def winograd(self) -> bool:
        """Whether the kernels run it by Winograd's F(4×4), as network.h decides."""
        plain = self.kind is Kind.CONVOLUTION and self.kernel == 3 and self.stride == 1
        return plain and self.padding == self.dilation
