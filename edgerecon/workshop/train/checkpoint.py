"""Checkpoints: written whole or not at all, read without running any code."""

from __future__ import annotations

import errno
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from torch import nn

from edgerecon.core.errors import DataError, RecipeError
from edgerecon.core.files import put_in_place
from edgerecon.workshop.models import build_model
from edgerecon.workshop.models.family import find_family
from edgerecon.workshop.models.network import Network
from edgerecon.workshop.recipe import Recipe

BEST, LAST = "best.pt", "last.pt"


def save_checkpoint(path: Path, state: dict[str, Any]) -> None:
    """Write tensors and plain values under a temporary name, then rename.

    Raises:
        OSError: it cannot be written; what was there before stays.
    """
    partial = path.with_name(path.name + ".partial")
    try:
        torch.save(state, partial)
        put_in_place(partial, path)
    except (OSError, RuntimeError) as error:  # torch reports a full disk as RuntimeError
        partial.unlink(missing_ok=True)
        if isinstance(error, OSError):
            raise
        raise OSError(errno.ENOSPC, f"{path.name} was not written whole, is the disk full?") from None


def load_checkpoint(path: Path) -> dict[str, Any]:
    """Read a checkpoint on the CPU.

    Raises:
        DataError: missing, corrupt, or holding anything but tensors and plain values.
    """
    try:
        if path.exists() and not path.is_file():
            raise OSError(errno.EINVAL, "it is no plain file")  # a FIFO would be waited for
        state = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # noqa: BLE001 - torch.load raises whatever the damage leads to
        reason = getattr(error, "strerror", None) or "corrupt or not a checkpoint"
        raise DataError(f"cannot read the checkpoint {path}: {reason}; make it with  edgerecon train") from None
    if not isinstance(state, dict) or "model" not in state:
        raise DataError(f"{path} is not a checkpoint of edgerecon; make it with  edgerecon train")
    return state


def load_model(recipe: Recipe, path: Path) -> Network:
    """The recipe's network with a checkpoint's weights, ready to run.

    Raises:
        DataError: see ``load_checkpoint``; or the weights belong to another network.
    """
    state = load_checkpoint(path)
    model = new_model(recipe, state.get("channels", ()))
    restore(model, state["model"], path)
    model.eval()
    return model


def new_model(recipe: Recipe, channels: Sequence[int] = ()) -> Network:
    """The recipe's network, untrained; ``channels`` of each layer, where pruning left fewer than the recipe says.

    Raises:
        RecipeError: a family whose pictures are not of the frame's size, or that takes what the task does not have.
        UsageError: unknown family, or parameters that it does not take. DataError: it has no ``channels``.
    """
    table = recipe.model
    if channels and not find_family(table.family).prunable:
        raise DataError(f"the checkpoint was pruned, and the family {table.family} cannot be: check model.family")
    pruned = {"channels": tuple(channels)} if channels else {}
    model = build_model(table.family, **table.params | pruned)
    if model.scale != 1 or model.fixed_output:
        raise RecipeError(
            f"model.family: {table.family} does not give pictures of the frame's size, which {table.task} needs: "
            "choose another, or run it with  edgerecon study"
        )
    if (model.input_channels > 1) != (table.task == "beamform"):
        takes = "pictures" if model.input_channels == 1 else "parts of an aperture"
        raise RecipeError(
            f"model.family: {table.family} takes {takes}, which task {table.task} does not have: choose another"
        )
    return model


def restore(model: nn.Module, weights: dict[str, Any], path: Path) -> None:
    """Load weights, or say that they belong to another network."""
    try:
        model.load_state_dict(weights)
    except (RuntimeError, TypeError, AttributeError):
        raise DataError(f"{path} holds another network than the recipe asks for: check [model]") from None
