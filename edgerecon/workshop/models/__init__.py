"""Torch networks by name: one family a file."""

from __future__ import annotations

import importlib
import inspect
from types import ModuleType
from typing import Any

from edgerecon.core.errors import UsageError
from edgerecon.workshop.models.network import Network

FAMILIES = (
    "compact", "two_scale", "unet", "dncnn", "inpainting", "enhance_cnn", "residual_unet", "row_rnn", "conv_rnn",
    "hybrid", "srcnn", "srresnet", "rrdb", "densenet",
)  # fmt: skip
"""Files of this folder that hold a family; each has ``build(**params)``."""


def build_model(name: str, **params: Any) -> Network:
    """Build an untrained network.

    Args:
        name: a family, e.g. "compact". params: its own arguments, e.g. ``width=16, depth=6``.

    Raises:
        UsageError: unknown family, or arguments that it does not take.
    """
    takes = parameters(name)
    if foreign := [key for key in params if key not in takes]:
        raise UsageError(f"model family '{name}' takes {', '.join(takes)}, not {', '.join(foreign)}")
    try:
        network: Network = _file(name).build(**params)
    except (TypeError, ValueError) as error:
        raise UsageError(f"model family '{name}': {error}") from None
    return network


def parameters(name: str) -> tuple[str, ...]:
    """Names of the arguments that a family takes, e.g. ("width", "depth").

    Raises:
        UsageError: unknown family.
    """
    if name not in FAMILIES:
        raise UsageError(f"unknown model family '{name}': choose one of {', '.join(FAMILIES)}")
    return tuple(inspect.signature(_file(name).build).parameters)


def _file(name: str) -> ModuleType:
    return importlib.import_module(f"{__name__}.{name}")
