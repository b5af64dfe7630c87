"""What a person may write for a model: a shipped name, an ONNX file, or a recipe."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from edgerecon.modelfile.variants import PRECISIONS, family

PRECISION_NAMES = f"{', '.join(PRECISIONS[:-1])} or {PRECISIONS[-1]}"
"""The names of precisions as help lines list them."""


def complete_model(incomplete: str) -> list[str]:
    """Shipped names that begin with what was typed, for the shell."""
    from edgerecon.modelfile.catalogue import shipped_models, studied_models

    return [name for name in (*shipped_models(), *studied_models()) if name.startswith(incomplete)]


def complete_recipe(incomplete: str) -> list[str]:
    """Shipped recipes that begin with what was typed, for the shell."""
    from edgerecon.core.shipped import resource_dir

    return sorted(path.stem for path in resource_dir("export").glob("*.toml") if path.stem.startswith(incomplete))


def recipe_path(text: str) -> Path:
    """File of a recipe: the path itself, or that of a shipped model's name."""
    from edgerecon.core.shipped import resource_dir

    shipped = resource_dir("export") / f"{family(text)}.toml"
    return shipped if shipped.is_file() and not Path(text).exists() else Path(text)


Model = Annotated[str, typer.Argument(help="Shipped name, ONNX file or recipe.", autocompletion=complete_model)]
RecipePath = Annotated[
    Path,
    typer.Argument(
        help="A recipe (TOML), or the name of a shipped one.",
        parser=recipe_path,
        metavar="RECIPE",
        autocompletion=complete_recipe,
    ),
]
