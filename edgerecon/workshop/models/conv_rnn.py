"""conv_rnn: a convolutional recurrent network over frames, at half resolution, ReLU or LSTM.

    z_0 = U(x_t),   z_k, s_t^k = cell_k(z_{k−1}, s_{t−1}^k),   y_t = x_t + S(f_2(ρ(f_1(z_K))))

U is pixel-unshuffle ×2 and S its inverse, as in ``compact``; the cells stand in ``cells`` (ReLU: the recurrent network
h_t = ReLU(W_x x_t + W_h h_{t−1} + b) with convolutions; LSTM: Shi et al., NeurIPS 2015); f are conv3×3, ρ the ReLU.
What a frame lacks, the state has from the frames before it. Trained by back-propagation through time.

Width 32 and two ReLU cells give 39 268 parameters, 9 792 multiply-accumulates a pixel, a view of 18×18 pixels of the
current frame (wider for those before it) and a state of 64 channels at half size. LSTM of width 18: 41 314 parameters,
10 287 multiply-accumulates, the same view, 72 channels.
"""

from __future__ import annotations

from typing import Literal

import torch
import torch.nn.functional as F
from pydantic import Field
from torch import Tensor, nn

from edgerecon.workshop.models.cells import CELLS, unshuffled
from edgerecon.workshop.models.compact import CHANNELS, FACTOR
from edgerecon.workshop.models.family import Family, Params, Width
from edgerecon.workshop.models.temporal import Temporal


class ConvRnn(Temporal):
    """See ``Temporal``. The last convolution starts at zero, so that an untrained network is the identity.

    Args:
        width: hidden channels of each cell. depth: number of cells. cell: "relu" or "lstm".
    """

    size_multiple = state_divisor = FACTOR

    def __init__(self, width: int = 32, depth: int = 2, cell: Literal["relu", "lstm"] = "relu") -> None:
        super().__init__()
        if width < 1 or depth < 1 or cell not in CELLS:
            raise ValueError(f"width and depth must be at least 1, cell relu or lstm: not {width}, {depth}, {cell}")
        kind = CELLS[cell]
        self.cells = nn.ModuleList(kind(before, width) for before in (CHANNELS, *[width] * (depth - 1)))
        self.mix = nn.Conv2d(width, width, 3, padding=1)
        self.last = nn.Conv2d(width, CHANNELS, 3, padding=1)
        nn.init.zeros_(self.last.weight)
        nn.init.zeros_(self.last.bias)  # type: ignore[arg-type]
        self._size = kind.kept * width
        self.state_channels = self._size * depth

    @property
    def receptive_field(self) -> int:
        """In the current frame: a cell of 2 pixels, and two more each side for every convolution."""
        return FACTOR * (1 + 2 * (len(self.cells) + 2))

    def macs_per_pixel(self) -> float:
        """Each weight is used once for every cell of 2×2 pixels."""
        return sum(p.numel() for name, p in self.named_parameters() if name.endswith("weight")) / CHANNELS

    def step(self, x: Tensor, state: Tensor) -> tuple[Tensor, Tensor]:
        """See ``Temporal.step``."""
        z = unshuffled(x)
        kept = []
        for k, cell in enumerate(self.cells):
            z, after = cell(z, state[:, k * self._size : (k + 1) * self._size])
            kept.append(after)
        y = x + F.pixel_shuffle(self.last(F.relu(self.mix(z))), FACTOR)
        return y, torch.cat(kept, dim=1)


class ConvRnnParams(Params):
    """See ``ConvRnn``."""

    width: Width = 32
    depth: int = Field(default=2, ge=1, le=64)
    cell: Literal["relu", "lstm"] = "relu"


FAMILY = Family(name="conv_rnn", params=ConvRnnParams, build=ConvRnn)
