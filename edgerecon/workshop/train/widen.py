"""A network that starts where another one stands: one of its shape, or a narrower one (Net2Net, Chen et al., 2016)."""

from __future__ import annotations

from pathlib import Path

import torch

from edgerecon.core.errors import DataError
from edgerecon.workshop.models.compact import Compact
from edgerecon.workshop.models.network import Network
from edgerecon.workshop.train.checkpoint import load_checkpoint


@torch.no_grad()
def widen(model: Network, path: Path) -> None:
    """Give ``model`` the function of a checkpoint of its own shape, or of a narrower compact network of its depth.

    What the checkpoint has channels for takes its weights and ignores the new channels at first. Those keep their
    random weights, or else they would all learn the same, and are taken in as training goes on.

    Raises:
        DataError: see ``load_checkpoint``; or a network that does not fit into this one, or has branches.
    """
    given, own = load_checkpoint(path)["model"], model.state_dict()
    if {name: value.shape for name, value in given.items()} == {name: value.shape for name, value in own.items()}:
        model.load_state_dict(given)
        return
    fits = given.keys() == own.keys() and all(
        value.dim() == own[name].dim() and all(a <= b for a, b in zip(value.shape, own[name].shape, strict=True))
        for name, value in given.items()
    )
    if not fits or not isinstance(model, Compact):
        raise DataError(
            f"train.start: {path} is neither a network of this shape nor a narrower compact one of its depth"
        )
    for name, value in given.items():
        target = own[name]
        target[: len(value)] = 0
        target[tuple(map(slice, value.shape))] = value
