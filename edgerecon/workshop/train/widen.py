"""A wider network that starts where a narrower one stands (Net2Net, Chen et al., ICLR 2016)."""

from __future__ import annotations

from pathlib import Path

import torch

from edgerecon.core.errors import DataError
from edgerecon.workshop.models.compact import Compact
from edgerecon.workshop.models.network import Network
from edgerecon.workshop.train.checkpoint import load_checkpoint


@torch.no_grad()
def widen(model: Network, path: Path) -> None:
    """Give ``model`` the function of a checkpoint of the same depth and dilations, with at most its channels.

    What the checkpoint has channels for takes its weights and ignores the new channels at first. Those keep their
    random weights, or else they would all learn the same, and are taken in as training goes on.

    Raises:
        DataError: see ``load_checkpoint``; or a network that does not fit into this one, or has branches.
    """
    given, own = load_checkpoint(path)["model"], model.state_dict()
    fits = given.keys() == own.keys() and all(
        value.dim() == own[name].dim() and all(a <= b for a, b in zip(value.shape, own[name].shape, strict=True))
        for name, value in given.items()
    )
    if not fits or not isinstance(model, Compact):
        raise DataError(f"train.start: {path} is not a compact network of the same depth and no greater width")
    for name, value in given.items():
        target = own[name]
        target[: len(value)] = 0
        target[tuple(map(slice, value.shape))] = value
