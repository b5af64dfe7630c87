"""A model family says what it is in one record at the end of its file; recipes name it and its parameters."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cache
from typing import Annotated

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationInfo

from edgerecon.core.errors import UsageError
from edgerecon.core.records import Records
from edgerecon.workshop.models.network import Network

GROUP = "edgerecon.families"
"""Entry points of other packages: ``name = "module:FAMILY"``."""

FOLDERS = ("edgerecon.workshop.models",)


def _one_each(dilations: tuple[int, ...], info: ValidationInfo) -> tuple[int, ...]:
    depth = info.data.get("depth", len(dilations))
    if dilations and len(dilations) != depth:
        raise ValueError(f"give {depth} numbers, one for each convolution")
    return dilations


Width = Annotated[int, Field(ge=1, le=1024)]
Dilation = Annotated[int, Field(ge=1, le=64)]
Dilations = Annotated[tuple[Dilation, ...], AfterValidator(_one_each)]
"""One for each of ``depth`` convolutions, a key that stands before it; empty: 1 for all."""
Doubling = Annotated[int, Field(ge=2, le=4, multiple_of=2)]
"""Enlargement by one or two doublings."""


class Params(BaseModel):
    """Parameters of a family, with their ranges and defaults: the keys of ``[model.params]`` in a recipe."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


@dataclass(frozen=True)
class Family:
    """One model family.

    Attributes:
        name: what ``model.family`` of a recipe says.
        params: its parameters. A family that can be pruned has ``channels``, what each convolution puts out.
        build: makes the untrained network from them, given by name. Raises ValueError for values that do not fit.
    """

    name: str
    params: type[Params]
    build: Callable[..., Network]

    @property
    def prunable(self) -> bool:
        """Whether a network with fewer channels, as pruning leaves it, can be built again."""
        return "channels" in self.params.model_fields


@cache
def families() -> Mapping[str, Family]:
    """Every family by name: those of this folder, then those of other packages."""
    return Records(Family, "FAMILY", FOLDERS, GROUP, order=lambda one: one.name)


def find_family(name: str) -> Family:
    """A family by its name.

    Raises:
        UsageError: there is none of that name.
    """
    if name not in families():
        raise UsageError(f"unknown model family '{name}': choose one of {', '.join(families())}")
    return families()[name]
