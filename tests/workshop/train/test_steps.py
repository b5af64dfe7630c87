"""One optimiser step: where it computes in bf16, and that losses stay in 32 bits."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from edgerecon.workshop.train import steps
from edgerecon.workshop.train.steps import Supervised


class Convolution(nn.Module):
    """One layer that notes the type of its own output."""

    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Conv2d(1, 1, 3, padding=1)
        self.computed: torch.dtype | None = None

    def forward(self, image: Tensor) -> Tensor:
        output: Tensor = self.layer(image)
        self.computed = output.dtype
        return output


@pytest.mark.parametrize("tiles", [True, False], ids=["amx", "no-amx"])
@pytest.mark.parametrize("half", [True, False], ids=["half", "whole"])
def test_steps_compute_in_bf16_only_where_the_cpu_has_tiles(
    monkeypatch: pytest.MonkeyPatch, tiles: bool, half: bool
) -> None:
    monkeypatch.setattr(steps, "multiplies_bf16", lambda: tiles)
    network, judged = Convolution(), list[torch.dtype]()

    def loss(output: Tensor, image: Tensor) -> Tensor:
        judged.append(output.dtype)
        return (output - image).square().mean()

    Supervised(network, loss, half=half).learn((torch.rand(1, 1, 8, 8),), 1e-3)
    assert network.computed == (torch.bfloat16 if tiles and half else torch.float32)
    assert judged == [torch.float32]
    assert network.layer.weight.dtype == torch.float32
