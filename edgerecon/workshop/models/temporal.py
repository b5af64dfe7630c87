"""What a network that carries state from frame to frame has beyond ``Network``.

    y_t, s_t = step(x_t, s_{t−1}),   s_0 = 0

The exported graph is one ``step``; whoever runs it carries the state. Training unrolls it over a sequence, so that
gradients pass back through time (Werbos, Proc. IEEE 78(10), 1990).
"""

from __future__ import annotations

from abc import abstractmethod

import torch
from torch import Tensor

from edgerecon.workshop.models.network import Network


class Temporal(Network):
    """N×T×H×W → N×T×H×W: the channels are frames in their order, from the start of a sequence; any H, W ≥ 1.

    With T = 1 that is what ``Network`` says of a single frame.

    Attributes:
        state_channels: of the state, N×C×H/d×W/d. state_divisor: d, a divisor of ``size_multiple``.
    """

    state_channels: int
    state_divisor: int = 1

    @abstractmethod
    def step(self, x: Tensor, state: Tensor) -> tuple[Tensor, Tensor]:
        """One frame N×1×H×W and the state before it → its reconstruction and the state after it."""

    def initial_state(self, x: Tensor) -> Tensor:
        """Zeros, for frames N×·×H×W."""
        divisor = self.state_divisor
        return x.new_zeros(len(x), self.state_channels, x.shape[-2] // divisor, x.shape[-1] // divisor)

    def core(self, x: Tensor) -> Tensor:
        """The first frame of a sequence."""
        return self.step(x, self.initial_state(x))[0]

    def forward(self, x: Tensor) -> Tensor:
        height, width = x.shape[-2:]
        x = self.padded(x)
        state, found = self.initial_state(x), []
        for t in range(x.shape[1]):
            y, state = self.step(x[:, t : t + 1], state)
            found.append(y)
        return torch.cat(found, dim=1)[..., : height * self.scale, : width * self.scale]
