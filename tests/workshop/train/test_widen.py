"""A wider network starts with the function of the narrower one, and all of it learns."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from edgerecon.core.errors import DataError
from edgerecon.workshop.models.compact import Compact
from edgerecon.workshop.models.two_scale import TwoScale
from edgerecon.workshop.models.unet import UNet
from edgerecon.workshop.train.checkpoint import save_checkpoint
from edgerecon.workshop.train.widen import widen


def _random(width: int, depth: int = 4) -> Compact:
    torch.manual_seed(width)
    model = Compact(width, depth, (1, 2, 2, 1)[:depth])
    for parameter in model.parameters():
        torch.nn.init.normal_(parameter, std=0.2)
    return model


@pytest.mark.parametrize("width", [6, 9])
def test_the_function_is_kept_and_the_new_channels_are_taken_in(width: int, tmp_path: Path) -> None:
    narrow = _random(6)
    save_checkpoint(tmp_path / "a.pt", {"model": narrow.state_dict()})
    wide = Compact(width, 4, (1, 2, 2, 1))
    widen(wide, tmp_path / "a.pt")
    x = torch.rand(2, 1, 17, 24)
    torch.testing.assert_close(wide(x), narrow(x), rtol=1e-5, atol=1e-5)
    wide(x).square().mean().backward()
    for layer in wide.layers[1:]:  # what reads them starts at zero, and moves
        assert not layer.weight[: min(6, len(layer.weight)), 6:].any()
        assert layer.weight.grad[:, 6:].any() or width == 6


def test_a_network_of_the_same_shape_is_taken_whole(tmp_path: Path) -> None:
    given, model = TwoScale(4, 1), TwoScale(4, 1)
    torch.nn.init.normal_(given.last.weight)
    save_checkpoint(tmp_path / "a.pt", {"model": given.state_dict()})
    widen(model, tmp_path / "a.pt")
    x = torch.rand(1, 1, 16, 16)
    assert torch.equal(model(x), given(x))


def test_what_does_not_fit_is_said(tmp_path: Path) -> None:
    path = tmp_path / "a.pt"
    save_checkpoint(path, {"model": _random(6).state_dict()})
    for model in (_random(5), _random(8, depth=3), UNet(4, 2)):
        with pytest.raises(
            DataError, match=r"train\.start: .*a\.pt is neither a network of this shape nor a narrower"
        ) as caught:
            widen(model, path)
        assert "\n" not in str(caught.value)
    with pytest.raises(DataError, match="cannot read the checkpoint"):
        widen(_random(8), tmp_path / "none.pt")
