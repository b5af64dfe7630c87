"""Torch networks by name: one family a file."""

from __future__ import annotations

from typing import Any

from pydantic import ValidationError

from edgerecon.core.config import dotted, first_fault
from edgerecon.core.errors import UsageError
from edgerecon.workshop.models.family import find_family
from edgerecon.workshop.models.network import Network


def build_model(name: str, **params: Any) -> Network:
    """Build an untrained network.

    Args:
        name: a family, e.g. "compact". params: its own parameters, e.g. ``width=16, depth=6``.

    Raises:
        UsageError: unknown family, parameters that it does not take, or a family that does not build a ``Network``.
    """
    family = find_family(name)
    try:
        built = family.build(**dict(family.params.model_validate(params)))
    except ValidationError as error:
        keys, reason = first_fault(error, family.params)
        raise UsageError(f"model family '{name}': {f'{dotted(keys)}: ' if keys else ''}{reason}") from None
    except ValueError as error:
        raise UsageError(f"model family '{name}': {error}") from None
    if not isinstance(built, Network):
        kind = type(built).__name__
        raise UsageError(f"model family '{name}': derive {kind} from edgerecon.workshop.models.network.Network")
    return built
