"""A recipe's network at another width or depth: its dilations, its name, and the recipe to keep."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from edgerecon.core.config import dotted, first_fault
from edgerecon.core.errors import RecipeError
from edgerecon.core.files import write
from edgerecon.workshop.models.family import find_family
from edgerecon.workshop.recipe import Recipe
from edgerecon.workshop.recipe_tables import ModelTable

WIDTHS = (8, 16, 24, 32)
DEPTHS = (4, 6, 8)


def shape_name(name: str, width: int | None, depth: int | None) -> str:
    """e.g. "compact-despeckle-w24d8"; without what a family has not."""
    return f"{name}-{f'w{width}' if width else ''}{f'd{depth}' if depth else ''}"


def dilations(depth: int) -> tuple[int, ...]:
    """Of each convolution, so that the receptive field grows with the depth and neighbours tell the same grid apart.

    3 inside and 1 at both ends, with 2 between from six convolutions on: 1 3 3 1, 1 2 3 3 2 1, 1 2 3 3 3 3 2 1.
    """
    ramp = 2 if depth >= 6 else 1
    return tuple(1 if i in (0, depth - 1) else 3 if ramp <= i < depth - ramp else 2 for i in range(depth))


def reshaped(recipe: Recipe, width: int | None, depth: int | None) -> Recipe:
    """The recipe at another width or depth, under a name of its own; None keeps what it says.

    Where the recipe dilates its convolutions, another depth gets ``dilations``.

    Raises:
        RecipeError: the family has no such parameter or not that value of it, or the recipe's name leaves no room.
    """
    table, asked = recipe.model, {"width": width, "depth": depth}
    shape = table.shape.model_dump()
    for key, value in asked.items():
        if value and key not in shape:
            raise RecipeError(f"model.family: {table.family} has no {key}: leave out  --{key}")
    new: dict[str, Any] = {key: value for key, value in asked.items() if value}
    if new.get("depth", shape.get("depth")) != shape.get("depth") and shape.get("dilations"):
        new["dilations"] = list(dilations(new["depth"]))
    name = shape_name(table.name, *(new.get(key, shape.get(key)) for key in asked))
    changed = {"name": name, "params": {**table.params, **new}}
    try:
        made = ModelTable.model_validate(table.model_dump() | changed)
        find_family(made.family).params.model_validate(made.params)
    except ValidationError as error:
        keys, reason = first_fault(error, ModelTable)
        raise RecipeError(f"model.{dotted(keys)}: {reason}") from None
    return recipe.model_copy(update={"model": made})


def keep_recipe(recipe: Recipe, base: Path, folder: Path) -> Path:
    """Write a recipe from ``reshaped`` into a folder, as what it changes of ``base``.

    Raises:
        EdgereconError: the folder cannot be written.
    """
    table, path = recipe.model, folder / f"{recipe.model.name}.toml"
    extends = Path(os.path.relpath(base.resolve(), folder.resolve())).as_posix()
    params = "".join(f"{key} = {json.dumps(value)}\n" for key, value in table.params.items())
    licence = f'licence = "{table.licence}"\n' if table.licence else ""  # an extension does not inherit it
    text = f'extends = "{extends}"\n\n[model]\nname = "{table.name}"\n{licence}\n[model.params]\n{params}'
    write(path, text.encode())
    return path
