"""Small networks with random weights that can be pruned."""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from edgerecon.workshop.models import build_model

EXAMPLE = torch.rand(1, 1, 16, 24, generator=torch.Generator().manual_seed(1))
SHAPES: dict[str, tuple[str, dict[str, Any]]] = {
    "compact": ("compact", {"width": 16, "depth": 5, "dilations": (1, 1, 2, 2, 1)}),
    "unet": ("unet", {"width": 8, "depth": 2}),
    "separable": ("unet", {"width": 8, "depth": 2, "separable": True}),
}


def random_weights(model: Any) -> Any:
    torch.manual_seed(3)
    for parameter in model.parameters():
        if parameter.dim() > 1:
            nn.init.normal_(parameter, std=parameter[0].numel() ** -0.5)
        else:
            nn.init.uniform_(parameter, 0.1, 0.3)  # above zero, so that no ReLU is dead
    return model


def small_network(name: str) -> Any:
    family, params = SHAPES[name]
    return random_weights(build_model(family, **params))


def batches(count: int = 3) -> list[tuple[Tensor, Tensor]]:
    generator = torch.Generator().manual_seed(5)
    return [
        (torch.rand(2, 1, 16, 24, generator=generator), torch.rand(2, 1, 16, 24, generator=generator))
        for _ in range(count)
    ]


class ConvLstm(nn.Module):
    def __init__(self, inputs: int, hidden: int) -> None:
        super().__init__()
        self.hidden_channels = hidden
        self.gates = nn.Conv2d(inputs + hidden, 4 * hidden, 3, padding=1)

    def forward(self, x: Tensor, state: tuple[Tensor, Tensor] | None) -> tuple[Tensor, Tensor]:
        h, c = state or (x.new_zeros(len(x), self.hidden_channels, *x.shape[2:]),) * 2
        i, f, g, o = self.gates(torch.cat([x, h], 1)).chunk(4, 1)
        c = torch.sigmoid(f) * c + torch.sigmoid(i) * torch.tanh(g)
        return torch.sigmoid(o) * torch.tanh(c), c


class ConvGru(nn.Module):
    def __init__(self, inputs: int, hidden: int) -> None:
        super().__init__()
        self.hidden_channels = hidden
        self.gates = nn.Conv2d(inputs + hidden, 2 * hidden, 3, padding=1)
        self.candidate = nn.Conv2d(inputs + hidden, hidden, 3, padding=1)

    def forward(self, x: Tensor, state: tuple[Tensor] | None) -> tuple[Tensor]:
        h = state[0] if state else x.new_zeros(len(x), self.hidden_channels, *x.shape[2:])
        z, r = torch.sigmoid(self.gates(torch.cat([x, h], 1))).chunk(2, 1)
        n = torch.tanh(self.candidate(torch.cat([x, r * h], 1)))
        return ((1 - z) * n + z * h,)


class Temporal(nn.Module):
    """N×T×H×W → the same, a frame after the other; the states go out too, as an exported stream needs them."""

    def __init__(self, cell: type[Any]) -> None:
        super().__init__()
        self.first = nn.Conv2d(1, 8, 3, padding=1)
        self.cell = cell(8, 8)
        self.last = nn.Conv2d(8, 1, 3, padding=1)

    def forward(self, x: Tensor) -> tuple[Tensor, ...]:
        state, frames = None, []
        for t in range(x.shape[1]):
            state = self.cell(F.relu(self.first(x[:, t : t + 1])), state)
            frames.append(self.last(state[0]))
        return torch.cat(frames, 1), *state


class Recurrent(nn.Module):
    """N×T×5 → N×T×2 through a recurrent layer of torch."""

    def __init__(self, kind: type[nn.RNNBase], **params: Any) -> None:
        super().__init__()
        self.first = nn.Linear(5, 8)
        self.rnn = kind(8, 8, batch_first=True, **params)
        self.last = nn.Linear(8 * (2 if params.get("bidirectional") else 1), 2)

    def forward(self, x: Tensor) -> Tensor:
        return self.last(self.rnn(F.relu(self.first(x)))[0])
