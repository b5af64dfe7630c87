"""Verbs that take a network to a device: export."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from edgerecon.verbs.output import Json, check_json, write_json


def export(
    recipe: Annotated[Path, typer.Argument(help="A recipe, e.g. export/compact-despeckle.toml.")],
    checkpoint: Annotated[Path | None, typer.Option(help="Default: edgerecon-runs/<model>/best.pt.")] = None,
    out: Annotated[Path | None, typer.Option("-o", "--out", help="Default: <model>.onnx beside the recipe.")] = None,
    figures: Annotated[
        list[Path] | None, typer.Option(help="JSON of `evaluate`, for the model card; repeatable.")
    ] = None,
    json: Json = None,
) -> None:
    """Turn a checkpoint into one ONNX file with its model card, behind the parity gate."""
    from dataclasses import asdict

    from edgerecon.deploy.card import figures_of
    from edgerecon.deploy.export import export as run
    from edgerecon.recipe import load_recipe

    check_json(json)
    made = load_recipe(recipe)
    best = checkpoint or Path("edgerecon-runs") / made.model.name / "best.pt"
    measured = [figure for path in figures or [] for figure in figures_of(path)]
    target = out or recipe.with_name(f"{made.model.name}.onnx")
    result = run(made, best, target, recipe_name=str(recipe), figures=measured)
    typer.echo(f"{result.model}: {result.size_kb:.1f} kB, parity {result.max_abs_error:.1e}; card: {result.card}")
    write_json(json, {key: str(value) if isinstance(value, Path) else value for key, value in asdict(result).items()})
