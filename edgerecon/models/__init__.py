"""Torch networks by name: one family a file."""

from __future__ import annotations

import importlib
import pkgutil
from typing import Any

from torch import nn

from edgerecon.errors import UsageError


def families() -> list[str]:
    """Names that ``build_model`` knows: the files of this folder."""
    return sorted(module.name for module in pkgutil.iter_modules(__path__))


def build_model(name: str, **params: Any) -> nn.Module:
    """Build an untrained network.

    Args:
        name: a family, e.g. "compact". params: its own arguments, e.g. ``width=16, depth=6``.

    Returns:
        A module that maps float32 N×1×H×W in [0, 1] to the same layout at ``module.scale`` times the size; also has
        ``size_multiple``, ``receptive_field``, ``macs_per_pixel()`` and ``core(x)``, the part that is exported and
        that asks for H and W in multiples of ``size_multiple``.

    Raises:
        UsageError: unknown family, or arguments that it does not take.
    """
    if name not in families():
        raise UsageError(f"unknown model family '{name}': choose one of {', '.join(families())}")
    try:
        return importlib.import_module(f"{__name__}.{name}").build(**params)
    except TypeError as error:
        raise UsageError(f"model family '{name}': {error}") from None


def count_parameters(model: nn.Module) -> int:
    """Number of trained values."""
    return sum(parameter.numel() for parameter in model.parameters())
