"""The verbs that pack a model for a device, and install it there."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from edgerecon.cli.verbs.duration import milliseconds
from edgerecon.cli.verbs.names import RecipePath
from edgerecon.cli.verbs.output import Json, check_json, check_out, say, write_json

Device = Annotated[str, typer.Option(help="Device to pack for: a name of `edgerecon devices`, or a TOML file.")]
Out = Annotated[Path, typer.Option("-o", "--out", help="Archive to write, a .tar.gz file.")]
Precision = Annotated[
    str | None, typer.Option(help="fp32, bf16, fp16 or int8; default: what the device's profile prefers.")
]
Backend = Annotated[str | None, typer.Option(help="Engine on the device; default: the first of its profile.")]
Threads = Annotated[int | None, typer.Option(help="Threads of the engine on the device; default: all cores.", min=1)]
Deadline = Annotated[
    float | None,
    typer.Option(
        help="Deadline of the stream on the device; default: the source's frame period.",
        parser=milliseconds,
        metavar="TIME",
    ),
]
Strength = Annotated[float, typer.Option(help="How much of the model's change the stream shows there, from 0 to 1.")]
Protect = Annotated[str, typer.Option(help="What is not tissue there: auto, none, or the tissue's X,Y,WIDTH,HEIGHT.")]
Crop = Annotated[str | None, typer.Option(help="Part of every frame to stream there: X,Y,WIDTH,HEIGHT.")]
Engine = Annotated[Path | None, typer.Option(help="Engine file that `build` made for this device.")]
Wheels = Annotated[bool, typer.Option("--wheels", help="Pack the packages too, for a device without a network.")]


def bundle(
    recipe: RecipePath,
    device: Device,
    out: Out,
    precision: Precision = None,
    backend: Backend = None,
    threads: Threads = None,
    deadline: Deadline = None,
    strength: Strength = 1.0,
    protect: Protect = "auto",
    crop: Crop = None,
    engine: Engine = None,
    wheels: Wheels = False,
    json: Json = None,
) -> None:
    """Pack a model for a device.

    The archive holds this edgerecon, a lock of what it needs there, checksums, an SBOM, a unit and an installer. An
    adopted ONNX file stands in place of the recipe.
    """
    from dataclasses import asdict

    from edgerecon.deploy.bundle.bundle import bundle as run
    from edgerecon.deploy.bundle.bundle_config import StreamSettings
    from edgerecon.deploy.bundle.packed_model import of_file, of_recipe
    from edgerecon.hardware.device import load_device
    from edgerecon.workshop.recipe import load_recipe

    check_json(json)
    check_out(out, ".tar.gz", "an archive")
    packed = of_file(recipe) if recipe.suffix == ".onnx" else of_recipe(load_recipe(recipe), recipe.parent)
    made = run(
        packed,
        load_device(device),
        out,
        precision=precision,
        backend=backend,
        settings=StreamSettings(threads=threads, deadline_ms=deadline, strength=strength, protect=protect, crop=crop),
        engine=engine,
        wheels=wheels,
    )
    say(
        f"{made.path}: {made.model} for {device} ({made.machine}, Python {made.python}), {made.backend} in "
        f"{made.precision} ({made.why}), {made.size_kb:.0f} kB, sha256 {made.sha256}",
        json,
    )
    write_json(json, {key: str(value) if isinstance(value, Path) else value for key, value in asdict(made).items()})


def install(
    archive: Annotated[Path, typer.Argument(metavar="BUNDLE", help="Archive that `bundle` made.")],
    prefix: Annotated[
        Path | None,
        typer.Option(help="Folder to install into; default: /opt/edgerecon for root, else the user's data folder."),
    ] = None,
    json: Json = None,
) -> None:
    """Verify and test a bundle, and only then switch to it."""
    from dataclasses import asdict

    from edgerecon.deploy.bundle.install import install as run

    check_json(json)
    done = run(archive, prefix)
    say(f"{done.path} is current; self-test {done.max_error:.1e}, allowed {done.tolerance:.1e}", json)
    write_json(json, {key: str(value) if isinstance(value, Path) else value for key, value in asdict(done).items()})
