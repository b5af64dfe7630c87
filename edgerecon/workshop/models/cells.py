"""Convolutional recurrent units: what a unit gives for a frame's features, and what it keeps for the next frame.

    ReLU   h_t = ReLU(W_x ∗ x_t + W_h ∗ h_{t−1} + b)
    LSTM   i, f, o, g = σ, σ, σ, tanh of W ∗ [x_t, h_{t−1}] + b,   c_t = f·c_{t−1} + i·g,   h_t = o·tanh(c_t)

ReLU is the plain recurrent unit (Elman, Cognitive Science 14(2), 1990) with rectifiers and convolutions; W_h starts as
half the identity (Le, Jaitly & Hinton, arXiv:1504.00941, 2015): the whole one sums up frames without end, and a stream
has no end. LSTM is ConvLSTM (Shi et al., NeurIPS 2015) without peepholes; its forget gates start open.

One convolution reads [x_t, h_{t−1}], gate after gate, which is what pruning expects of a cell.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from edgerecon.workshop.models.compact import FACTOR

KEPT = 0.5
"""The share of its state that a ReLU unit keeps before training."""


class ReluCell(nn.Module):
    """Features N×C×H×W and state N×hidden×H×W → output and next state, which are the same."""

    kept = 1

    def __init__(self, channels: int, hidden: int) -> None:
        super().__init__()
        self.hidden_channels = hidden
        self.conv = nn.Conv2d(channels + hidden, hidden, 3, padding=1)
        nn.init.kaiming_normal_(self.conv.weight[:, :channels].data, nonlinearity="relu")
        nn.init.dirac_(self.conv.weight[:, channels:].data)
        self.conv.weight[:, channels:].data.mul_(KEPT)
        nn.init.zeros_(self.conv.bias)  # type: ignore[arg-type]

    def forward(self, x: Tensor, state: Tensor) -> tuple[Tensor, Tensor]:
        h = F.relu(self.conv(torch.cat([x, state], dim=1)))
        return h, h


class LstmCell(nn.Module):
    """Features N×C×H×W and state [h, c], N×2·hidden×H×W → output h and next state."""

    kept = 2

    def __init__(self, channels: int, hidden: int) -> None:
        super().__init__()
        self.hidden_channels = hidden
        self.conv = nn.Conv2d(channels + hidden, 4 * hidden, 3, padding=1)
        nn.init.xavier_uniform_(self.conv.weight)
        nn.init.zeros_(self.conv.bias)  # type: ignore[arg-type]
        nn.init.ones_(self.conv.bias[hidden : 2 * hidden].data)  # type: ignore[index]

    def forward(self, x: Tensor, state: Tensor) -> tuple[Tensor, Tensor]:
        size = self.hidden_channels
        h, c = state[:, :size], state[:, size:]
        gates = self.conv(torch.cat([x, h], dim=1))
        i, f, o, g = (gates[:, k * size : (k + 1) * size] for k in range(4))
        c = torch.sigmoid(f) * c + torch.sigmoid(i) * torch.tanh(g)
        h = torch.sigmoid(o) * torch.tanh(c)
        return h, torch.cat([h, c], dim=1)


def unshuffled(x: Tensor) -> Tensor:
    """A frame at half resolution, in the layout in which oneDNN on AVX2 convolves faster."""
    z = F.pixel_unshuffle(x, FACTOR)
    if not torch.compiler.is_exporting() and x.device.type == "cpu":
        z = z.contiguous(memory_format=torch.channels_last)
    return z


CELLS: dict[str, type[ReluCell] | type[LstmCell]] = {"relu": ReluCell, "lstm": LstmCell}
"""By name. kept: state channels for each hidden one."""
