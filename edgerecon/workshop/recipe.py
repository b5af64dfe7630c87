"""Recipe: the TOML file that says how a model is made and what it must pass before it ships.

Its first line may be ``extends = "other.toml"``: then it holds only what differs from that recipe.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from edgerecon.core.config import as_json, dotted, first_fault, read_toml
from edgerecon.core.errors import RecipeError, UsageError
from edgerecon.workshop.recipe_tables import Recipe, with_params

__all__ = ["Recipe", "load_recipe"]

MOST_EXTENDED = 16
"""Recipes one upon another beyond which a chain is a mistake: the longest that ships is of six."""


def load_recipe(path: str | Path) -> Recipe:
    """Read a recipe, and first the one it ``extends``: a file relative to its own, whose keys it adds to or replaces.

    Raises:
        RecipeError: missing file, broken TOML, recipes that extend each other, or a key that is unknown, absent or out
            of range (it is named, with the file it stands in).

    Examples:
        >>> from edgerecon.core.shipped import resource_dir
        >>> load_recipe(resource_dir("export") / "compact-despeckle.toml").model.family
        'two_scale'
    """
    path = Path(path)
    files: list[tuple[Path, str]] = []
    try:
        recipe = Recipe.model_validate_json(as_json(_read(path, files)), strict=True)
    except ValidationError as error:
        where, reason = first_fault(error, Recipe)
        keys = [str(part) for part in where]
        raise RecipeError(": ".join(filter(None, (_place(files, keys), dotted(where), reason)))) from None
    _check_family(recipe, files)
    for key in ("zoom", "gain"):
        low, high = getattr(recipe.augment, key)
        if not 0.1 <= low <= high <= 10:
            raise RecipeError(f"{path}: augment.{key}: give two factors in order, between 0.1 and 10")
    if recipe.train.loss.edge and recipe.train.crop < 24:
        raise RecipeError(f"{path}: train.crop: at least 24 with train.loss.edge, whose window is that wide")
    return recipe


def _check_family(recipe: Recipe, files: list[tuple[Path, str]]) -> None:
    """Refuse an unknown family, parameters that it does not take, and pruning of one that cannot be pruned."""
    from edgerecon.workshop.models.family import find_family

    model = recipe.model
    try:
        family = find_family(model.family)
        family.params.model_validate_json(as_json(model.params), strict=True)
    except UsageError as error:
        raise RecipeError(f"{_place(files, ['model', 'family'])}: model.family: {error}") from None
    except ValidationError as error:
        where, reason = first_fault(error, family.params)
        flat = any(_line_of(text, ["model", *map(str, where)]) for _, text in files)
        keys = ["model", *([] if flat else ["params"]), *map(str, where)]
        raise RecipeError(f"{_place(files, keys)}: {'.'.join(keys)}: {reason}") from None
    if recipe.prune.ratio and not family.prunable:
        place = _place(files, ["prune", "ratio"])
        raise RecipeError(f"{place}: prune.ratio: the family {family.name} cannot be pruned: remove [prune]")


def _read(path: Path, files: list[tuple[Path, str]]) -> dict[str, Any]:
    """The tables of a recipe over those it extends; every file read is appended with its text, the given one first."""
    if any(path.resolve() == known.resolve() for known, _ in files):
        raise RecipeError(f"{files[-1][0]}: extends: {path} extends it in turn")
    if len(files) > MOST_EXTENDED:
        raise RecipeError(f"{files[0][0]}: extends: a chain of over {MOST_EXTENDED} recipes: write one without it")
    asked = f", which {files[-1][0]} extends" if files else ""
    text, tables = read_toml(path, RecipeError, f"the recipe {path}{asked}")
    files.append((path, text))
    if isinstance(model := tables.get("model"), dict):
        tables["model"] = with_params(model)
    base = tables.pop("extends", None)
    if base is None:
        return tables
    if not isinstance(base, str):
        raise RecipeError(f"{path}: extends: give the name of a recipe file")
    below = _read(path.parent / base, files)
    if isinstance(model := below.get("model"), dict):
        model.pop("licence", None)  # of the other recipe's weights
    return _over(tables, below)


def _over(tables: dict[str, Any], base: dict[str, Any]) -> dict[str, Any]:
    """``base`` with the keys of ``tables``, table by table."""
    merged = dict(base)
    for key, value in tables.items():
        below = base.get(key)
        merged[key] = _over(value, below) if isinstance(value, dict) and isinstance(below, dict) else value
    return merged


def _place(files: list[tuple[Path, str]], keys: list[str]) -> str:
    """``file:line`` of a dotted key in the first file that has it, else of its table; else the first file."""
    for depth in range(len(keys), 0, -1):
        for path, text in files:
            if line := _line_of(text, keys[:depth]):
                return f"{path}:{line}"
    return str(files[0][0])


def _line_of(text: str, keys: list[str]) -> int | None:
    """Line on which a dotted key, or its own [header], stands."""
    table, key = ".".join(keys[:-1]), keys[-1]
    current = ""
    for number, line in enumerate(text.splitlines(), start=1):
        if header := re.match(r"\s*\[([\w.\-]+)\]", line):
            current = header[1]
            if current == f"{table}.{key}".lstrip("."):
                return number
        elif current == table and re.match(rf"\s*{re.escape(key)}\s*=", line):
            return number
    return None
