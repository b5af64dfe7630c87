"""hybrid: a convolutional network with one recurrent unit at its heart (CNN-RNN).

    z = ρ(f_2(ρ(f_1(U(x_t))))),   h_t = ReLU(W_x ∗ z + W_h ∗ h_{t−1} + b),   y_t = x_t + S(f_4(ρ(f_3(h_t))))

The convolutions f, each 3×3, describe a frame and draw it, as in ``compact`` (U and S: pixel-unshuffle ×2 and its
inverse, ρ the ReLU); the unit between them, a ``ReluCell``, keeps what was seen. Of this order, features of each frame
first and recurrence over time after, are the recurrent convolutional networks of Donahue et al. (CVPR 2015).

Width 32 gives 39 300 parameters, 9 792 multiply-accumulates a pixel, a view of 22×22 pixels of the current frame and a
state of 32 channels at half size.
"""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor, nn

from edgerecon.workshop.models.cells import ReluCell, unshuffled
from edgerecon.workshop.models.compact import CHANNELS, FACTOR
from edgerecon.workshop.models.family import Family, Params, Width
from edgerecon.workshop.models.temporal import Temporal


class Hybrid(Temporal):
    """See ``Temporal``. The last convolution starts at zero, so that an untrained network is the identity.

    Args:
        width: channels of every layer.
    """

    size_multiple = state_divisor = FACTOR

    def __init__(self, width: int = 32) -> None:
        super().__init__()
        if width < 1:
            raise ValueError(f"width must be at least 1, not {width}")
        self.describe = nn.ModuleList([_conv3x3(CHANNELS, width), _conv3x3(width, width)])
        self.cell = ReluCell(width, width)
        self.draw = nn.ModuleList([_conv3x3(width, width), _conv3x3(width, CHANNELS)])
        nn.init.zeros_(self.draw[-1].weight)  # type: ignore[arg-type]
        self.state_channels = width

    @property
    def receptive_field(self) -> int:
        """In the current frame: a cell of 2 pixels, and two more each side for every convolution."""
        return FACTOR * (1 + 2 * 5)

    def macs_per_pixel(self) -> float:
        """Each weight is used once for every cell of 2×2 pixels."""
        return sum(p.numel() for name, p in self.named_parameters() if name.endswith("weight")) / CHANNELS

    def step(self, x: Tensor, state: Tensor) -> tuple[Tensor, Tensor]:
        """See ``Temporal.step``."""
        z = unshuffled(x)
        for layer in self.describe:
            z = F.relu(layer(z))
        z, after = self.cell(z, state)
        for layer in self.draw[:-1]:
            z = F.relu(layer(z))
        return x + F.pixel_shuffle(self.draw[-1](z), FACTOR), after


def _conv3x3(before: int, after: int) -> nn.Conv2d:
    layer = nn.Conv2d(before, after, 3, padding=1)
    nn.init.kaiming_normal_(layer.weight, nonlinearity="relu")
    nn.init.zeros_(layer.bias)  # type: ignore[arg-type]
    return layer


class HybridParams(Params):
    """See ``Hybrid``."""

    width: Width = 32


FAMILY = Family(name="hybrid", params=HybridParams, build=Hybrid)
