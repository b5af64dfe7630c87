"""The verb that exports a checkpoint."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from edgerecon.cli.verbs.adopt import export_file
from edgerecon.cli.verbs.names import RecipePath
from edgerecon.cli.verbs.output import Json, check_folder, check_json, console, write_json

if TYPE_CHECKING:
    from edgerecon.deploy.export.report import ExportReport
    from edgerecon.workshop.recipe import Recipe

Checkpoint = Annotated[
    Path | None, typer.Option(help="Default: edgerecon-runs/<model>/best.pt, else <model>.pt beside the recipe.")
]
Out = Annotated[Path | None, typer.Option("-o", "--out", help="Folder for what ships; default: that of the recipe.")]
Work = Annotated[
    Path | None,
    typer.Option(help="Folder for the report and what is on the way; default: edgerecon-runs/<model>/export."),
]
Figures = Annotated[list[Path] | None, typer.Option(help="JSON of `evaluate`, for the model card; repeatable.")]
Data = Annotated[
    Path | None, typer.Option(help="Of an ONNX file: recording to calibrate on; default: the built-in cine.")
]


def export(
    recipe: RecipePath,
    checkpoint: Checkpoint = None,
    out: Out = None,
    work: Work = None,
    figures: Figures = None,
    data: Data = None,
    json: Json = None,
) -> None:
    """Turn a checkpoint into measured, gated ONNX files.

    Prunes, exports, derives the precisions of the recipe, measures all of them and ships what passes, with its card.
    An ONNX file of ours in place of the recipe is quantised to int8, without torch; it ships where it is good and
    faster.
    """
    if recipe.suffix == ".onnx":
        export_file(recipe, out, data, json)
        return
    from edgerecon.cli.tables.bars import work_bar
    from edgerecon.cli.tables.export import print_export
    from edgerecon.deploy.export.card import figures_of
    from edgerecon.deploy.export.chain import Chain
    from edgerecon.deploy.export.report import REPORT
    from edgerecon.workshop.recipe import load_recipe

    check_json(json)
    for folder in (out, work):
        check_folder(folder)
    made = load_recipe(recipe)
    measured = [figure for path in figures or [] for figure in figures_of(path)]
    folder = work or _runs(made) / "export"
    screen = console(json)
    with work_bar(screen) as on_progress:
        chain = Chain(
            made,
            checkpoint or _trained(made, recipe),
            out or recipe.parent,
            folder,
            str(recipe),
            measured,
            on_step=lambda name, state: screen.say(f"{name}: {state}"),
            on_progress=on_progress,
        )
        try:
            chain.run()
        finally:
            write_json(json, chain.report.to_json())
    print_export(screen, chain.report)
    screen.say(_shipped(chain.report, out or recipe.parent) + f"\nReport: {folder / REPORT}")


def _runs(recipe: Recipe) -> Path:
    return Path("edgerecon-runs") / recipe.model.name


def _trained(recipe: Recipe, path: Path) -> Path:
    """The checkpoint of the last training, else the one that ships beside the recipe."""
    trained, shipped = _runs(recipe) / "best.pt", path.with_name(f"{recipe.model.name}.pt")
    return shipped if shipped.exists() and not trained.exists() else trained


def _shipped(report: ExportReport, folder: Path) -> str:
    slow = (f"Not shipped, for it is no faster than fp32: {stem}.onnx ({why})" for stem, why in report.left_out.items())
    return "\n".join((*slow, f"Shipped to {folder}: {', '.join(report.shipped)}"))
