"""The verb that trains."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from edgerecon.cli.verbs.names import RecipePath
from edgerecon.cli.verbs.output import check_folder, console


def train(
    recipe: RecipePath,
    data: Annotated[Path | None, typer.Option(help="HDF5 file of pairs to train on; default: the recipe's.")] = None,
    run_dir: Annotated[
        Path | None, typer.Option(help="Folder for checkpoints and curves; default: edgerecon-runs/<model>.")
    ] = None,
    resume: Annotated[bool, typer.Option("--resume", help="Go on from the last checkpoint.")] = False,
    steps: Annotated[int | None, typer.Option(help="Training steps, instead of the recipe's.", min=1)] = None,
    width: Annotated[
        int | None, typer.Option(help="Channels of the network, instead of the recipe's.", min=1, max=256)
    ] = None,
    depth: Annotated[
        int | None, typer.Option(help="Convolutions of the network, instead of the recipe's.", min=2, max=64)
    ] = None,
) -> None:
    """Train a recipe's network.

    Keeps the best checkpoint, curve.csv and curve.png.

    At another width or depth it is another model, <model>-wWdD, and its recipe is kept beside the checkpoint.

    On several devices: torchrun --nproc-per-node N -m edgerecon train RECIPE
    """
    from edgerecon.cli.tables.bars import training_bar
    from edgerecon.workshop.recipe import load_recipe
    from edgerecon.workshop.reshape import keep_recipe, reshaped
    from edgerecon.workshop.train import processes
    from edgerecon.workshop.train.loop import train as run

    check_folder(run_dir)
    made = load_recipe(recipe)
    if new := width or depth:
        made = reshaped(made, width, depth)
    folder = run_dir or Path("edgerecon-runs") / made.model.name
    screen = console()
    screen.quiet = processes.rank() > 0
    with training_bar(screen, made.model.name) as on_step:
        best = run(made, run_dir=folder, data=data, resume=resume, steps=steps, on_step=on_step)
    screen.say(f"Best checkpoint: {best}\nCurves: {folder / 'curve.png'}")
    if new and not screen.quiet:
        screen.say(f"Next: edgerecon export {keep_recipe(made, recipe, folder)} --checkpoint {best}")
