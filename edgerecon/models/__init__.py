"""Torch networks by name: one family a file."""

from __future__ import annotations

import importlib
from typing import Any

from edgerecon.errors import UsageError
from edgerecon.models.network import Network

FAMILIES = (
    "compact", "unet", "dncnn", "inpainting", "enhance_cnn", "residual_unet", "row_rnn", "conv_rnn", "hybrid",
    "srcnn", "srresnet", "rrdb", "densenet",
)  # fmt: skip
"""Files of this folder that hold a family; each has ``build(**params)``."""


def build_model(name: str, **params: Any) -> Network:
    """Build an untrained network.

    Args:
        name: a family, e.g. "compact". params: its own arguments, e.g. ``width=16, depth=6``.

    Raises:
        UsageError: unknown family, or arguments that it does not take.
    """
    if name not in FAMILIES:
        raise UsageError(f"unknown model family '{name}': choose one of {', '.join(FAMILIES)}")
    try:
        network: Network = importlib.import_module(f"{__name__}.{name}").build(**params)
    except (TypeError, ValueError) as error:
        raise UsageError(f"model family '{name}': {error}") from None
    return network
