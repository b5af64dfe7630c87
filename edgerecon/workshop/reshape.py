"""Width and depth of the compact network: what follows from them, and the recipe of a shape that has none yet."""

from __future__ import annotations

import os
from pathlib import Path

from pydantic import ValidationError

from edgerecon.core.config import dotted, first_fault
from edgerecon.core.errors import RecipeError
from edgerecon.core.files import write
from edgerecon.workshop.recipe import ModelTable, Recipe

WIDTHS = (8, 16, 24, 32)
DEPTHS = (4, 6, 8)


def shape_name(name: str, width: int, depth: int) -> str:
    """e.g. "compact-despeckle-w24d8"."""
    return f"{name}-w{width}d{depth}"


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
        RecipeError: the recipe's name leaves no room for the shape.
    """
    table = recipe.model
    width, depth = width or table.width, depth or table.depth
    spread = table.dilations if depth == table.depth or not table.dilations else dilations(depth)
    changed = {"name": shape_name(table.name, width, depth), "width": width, "depth": depth, "dilations": spread}
    try:
        return recipe.model_copy(update={"model": ModelTable.model_validate(table.model_dump() | changed)})
    except ValidationError as error:
        keys, reason = first_fault(error, ModelTable)
        raise RecipeError(f"model.{dotted(keys)}: {reason}") from None


def keep_recipe(recipe: Recipe, base: Path, folder: Path) -> Path:
    """Write a recipe from ``reshaped`` into a folder, as what it changes of ``base``.

    Raises:
        EdgereconError: the folder cannot be written.
    """
    table, path = recipe.model, folder / f"{recipe.model.name}.toml"
    extends = Path(os.path.relpath(base.resolve(), folder.resolve())).as_posix()
    text = (
        f'extends = "{extends}"\n\n[model]\nname = "{table.name}"\nwidth = {table.width}\ndepth = {table.depth}\n'
        f"dilations = {list(table.dilations)}\n"
    )
    write(path, text.encode())
    return path
