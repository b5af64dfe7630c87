"""Verbs that make, measure and explain networks: simulate, train, explain."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from edgerecon.cli.verbs.names import Model, RecipePath
from edgerecon.cli.verbs.output import (
    Json,
    check_folder,
    check_json,
    check_name,
    check_out,
    console,
    say,
    write_json,
)
from edgerecon.core.errors import redacted

if TYPE_CHECKING:
    pass

Ray = Annotated[str | None, typer.Option("--ray", help="Work on a Ray cluster: auto, HOST:PORT or ray://HOST:PORT.")]


def simulate(
    out: Annotated[Path, typer.Argument(help="HDF5 file to write.")],
    samples: Annotated[int, typer.Option(help="How many scenes.", min=1)],
    seed: Annotated[int, typer.Option(help="The same seed gives the same file.", min=0)] = 0,
    kind: Annotated[
        str,
        typer.Option(
            help="acoustic: plane waves in random tissue. display: what scanners show, far faster. channel: parts of "
            "the aperture, for learned beamforming."
        ),
    ] = "acoustic",
    sequence: Annotated[int, typer.Option(help="Frames of each acoustic scene, 30 a second.", min=1)] = 1,
    ray: Ray = None,
) -> None:
    """Simulate training pairs.

    Either the acoustics of random tissue, or what scanners display of it.
    """
    from edgerecon.cli.tables.bars import count_bar
    from edgerecon.core.cluster import spread_over
    from edgerecon.workshop.data.simulate import simulate as run

    check_name(out, "HDF5", ".h5", ".hdf5")
    with spread_over(ray) as spread, count_bar(console(), f"Simulating {out.name}", "samples") as on_sample:
        made = run(out, samples, seed, sequence, on_sample=on_sample, spread=spread if ray else None, kind=kind)
    say(f"{out}: {samples} samples, {made} of them new")


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


def explain(
    model: Model,
    frame: Annotated[str, typer.Argument(help="An image, or anything that can be streamed, or `sample`.")],
    out: Annotated[Path | None, typer.Option("-o", "--out", help="PNG to write; default: MODEL-explained.png.")] = None,
    number: Annotated[int, typer.Option("--frame", help="Which frame of a recording, counted from 0.", min=0)] = 0,
    at: Annotated[str | None, typer.Option(help="ROW,COLUMN: explain one pixel of the reconstruction.")] = None,
    region: Annotated[
        str | None, typer.Option(help="Y0,X0,Y1,X1: explain a box; default: the brightest square.")
    ] = None,
    arrays: Annotated[Path | None, typer.Option("--npz", help="Also write frame and maps as NPZ.")] = None,
    json: Json = None,
) -> None:
    """Show which pixels decide a region of the reconstruction.

    As saliency, occlusion and, where a network has them, attention gates.
    """
    from edgerecon.cli.tables.bars import work_bar
    from edgerecon.stream.overwriting import refuse_overwriting
    from edgerecon.workshop.explain import explain_frame
    from edgerecon.workshop.explain.picture import write_arrays, write_sheet
    from edgerecon.workshop.explain.selection import read_frame, read_region

    sheet = out or Path(f"{Path(model).stem}-explained.png")
    check_json(json)
    check_out(sheet, ".png", "a picture")
    check_out(arrays, ".npz", "arrays")
    if not Path(frame).is_dir():
        refuse_overwriting([frame], [], [path for path in (sheet, arrays, json) if path])
    box, pixels = read_region(at, region), read_frame(frame, number)
    screen = console(json)
    with work_bar(screen) as on_progress:
        found = explain_frame(model, pixels, box, on_progress)
    write_sheet(found, sheet, f"{model} on {Path(redacted(frame)).name}, region {','.join(map(str, found.region))}")
    if arrays:
        write_arrays(found, arrays)
    write_json(json, {"model": model, "source": frame, "frame": number, **found.to_json()})
    screen.say(f"Maps: {', '.join(found.maps)}\nSheet: {sheet}")
