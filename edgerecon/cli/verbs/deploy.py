"""Verbs that take a network to a device: export, build, fit, bundle, install."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from edgerecon.cli.verbs.adopt import export_file
from edgerecon.cli.verbs.duration import milliseconds
from edgerecon.cli.verbs.names import RecipePath
from edgerecon.cli.verbs.output import Json, check_folder, check_json, check_out, console, say, write_json
from edgerecon.cli.verbs.size import frame_size
from edgerecon.core.errors import GateError, UsageError
from edgerecon.core.files import write


def export(
    recipe: RecipePath,
    checkpoint: Annotated[
        Path | None, typer.Option(help="Default: edgerecon-runs/<model>/best.pt, else <model>.pt beside the recipe.")
    ] = None,
    out: Annotated[
        Path | None, typer.Option("-o", "--out", help="Folder for what ships; default: that of the recipe.")
    ] = None,
    work: Annotated[
        Path | None,
        typer.Option(help="Folder for the report and what is on the way; default: edgerecon-runs/<model>/export."),
    ] = None,
    figures: Annotated[
        list[Path] | None, typer.Option(help="JSON of `evaluate`, for the model card; repeatable.")
    ] = None,
    data: Annotated[
        Path | None, typer.Option(help="Of an ONNX file: recording to calibrate on; default: the built-in cine.")
    ] = None,
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
    runs = Path("edgerecon-runs") / made.model.name
    weights = checkpoint or next(
        (path for path in (runs / "best.pt", recipe.with_name(f"{made.model.name}.pt")) if path.exists()),
        runs / "best.pt",
    )
    measured = [figure for path in figures or [] for figure in figures_of(path)]
    folder = work or runs / "export"
    screen = console(json)
    with work_bar(screen) as on_progress:
        chain = Chain(
            made,
            weights,
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
    for stem, why in chain.report.left_out.items():
        screen.say(f"Not shipped, for it is no faster than fp32: {stem}.onnx ({why})")
    screen.say(f"Shipped to {out or recipe.parent}: {', '.join(chain.report.shipped)}\nReport: {folder / REPORT}")


def build(
    model: Annotated[str, typer.Argument(help="Shipped name or ONNX file; int8 for TensorRT is MODEL-int8-trt.")],
    device: Annotated[str, typer.Option(help="A name of `devices`, or host for the GPU that is here.")] = "host",
    out: Annotated[
        Path | None,
        typer.Option("-o", "--out", help="Engine file; default: its place in the cache. For an FPGA a folder."),
    ] = None,
    json: Json = None,
) -> None:
    """Build an engine for an NVIDIA device, or an FPGA's sources."""
    from edgerecon.engines.tensorrt.build import build as run
    from edgerecon.hardware.device import HOST, load_device

    check_json(json)
    if device != HOST and (board := load_device(device)).kind == "fpga":
        from edgerecon.deploy.fpga.build import build_fpga

        if out is None:
            raise UsageError(f"{device} gets a folder of sources: say where with  -o FOLDER")
        check_folder(out)
        written = build_fpga(model, board, out)
        say(f"{written.path}: {written.summary}", json)
        write_json(json, written.facts)
        return
    made = run(model, device, out)
    how = "from the cache" if made.cached else f"built in {made.seconds:.1f} s"
    facts = made.facts
    say(
        f"{made.path}: {made.model}, {facts.precision}, for compute capability {facts.compute_capability} by "
        f"{facts.runtime} {facts.version}, {made.size_kb:.0f} kB, {how}",
        json,
    )
    write_json(json, made.to_json())


def fit(
    deadline: Annotated[
        float,
        typer.Option(
            help="Time that 99 % of the frames keep, from capture to presentation.", parser=milliseconds, metavar="TIME"
        ),
    ],
    device: Annotated[str, typer.Option(help="host is measured; another device of `devices` gets a bound.")] = "host",
    min_ssim: Annotated[float | None, typer.Option(help="Lowest SSIM on validation scenes.", min=0, max=1)] = None,
    min_gcnr: Annotated[float | None, typer.Option(help="Lowest gCNR on the built-in cine.", min=0, max=1)] = None,
    task: Annotated[str, typer.Option(help="despeckle or compound.")] = "despeckle",
    models: Annotated[Path | None, typer.Option(help="ONNX file, or folder of them; default: those that ship.")] = None,
    shape: Annotated[str, typer.Option(help="HEIGHTxWIDTH of the frames.")] = "512x512",
    out: Annotated[Path | None, typer.Option("-o", "--out", help="HTML page with the plot and the table.")] = None,
    json: Json = None,
) -> None:
    """Find the best quality that holds a deadline.

    Searches width × depth × pruning × precision × runtime × threads.
    Only what is trained is chosen; other widths and depths are timed, and the largest that holds is named.
    """
    from edgerecon.cli.tables.bars import work_bar
    from edgerecon.cli.tables.fit import print_bounds, print_fit
    from edgerecon.deploy.fit.fit import Requirement
    from edgerecon.deploy.fit.fit import fit as run

    check_json(json)
    check_out(out, ".html", "a page")
    wanted = Requirement(deadline, min_ssim, min_gcnr)
    size = frame_size(shape)
    screen = console(json)
    if device != "host":
        from edgerecon.deploy.fit.fit_bound import fit_bound

        bounds = fit_bound(device, wanted, task=task, models=models, shape=size)
        print_bounds(screen, bounds)
        write_json(json, bounds.to_json())
        if out:
            from edgerecon.deploy.fit.fit_bound_page import fit_bound_page

            write(out, fit_bound_page(bounds).encode())
        return
    with work_bar(screen) as on_progress:
        found = run(wanted, task=task, models=models, shape=size, on_progress=on_progress)
    print_fit(screen, found)
    write_json(json, found.to_json())
    if out:
        from edgerecon.deploy.fit.fit_page import fit_page

        write(out, fit_page(found).encode())
    if found.chosen is None:
        raise GateError("nothing holds the deadline on this host: see the table")


def bundle(
    recipe: RecipePath,
    device: Annotated[str, typer.Option(help="Device to pack for, a name of `edgerecon devices`.")],
    out: Annotated[Path, typer.Option("-o", "--out", help="Archive to write, a .tar.gz file.")],
    precision: Annotated[
        str | None, typer.Option(help="fp32, bf16, fp16 or int8; default: what the device's profile prefers.")
    ] = None,
    backend: Annotated[
        str | None, typer.Option(help="Engine on the device; default: the first of its profile.")
    ] = None,
    threads: Annotated[
        int | None, typer.Option(help="Threads of the engine on the device; default: all cores.", min=1)
    ] = None,
    deadline: Annotated[
        float | None,
        typer.Option(
            help="Deadline of the stream on the device; default: the source's frame period.",
            parser=milliseconds,
            metavar="TIME",
        ),
    ] = None,
    strength: Annotated[
        float, typer.Option(help="How much of the model's change the stream shows there, from 0 to 1.")
    ] = 1.0,
    protect: Annotated[
        str, typer.Option(help="What is not tissue there: auto, none, or the tissue's X,Y,WIDTH,HEIGHT.")
    ] = "auto",
    crop: Annotated[str | None, typer.Option(help="Part of every frame to stream there: X,Y,WIDTH,HEIGHT.")] = None,
    engine: Annotated[Path | None, typer.Option(help="Engine file that `build` made for this device.")] = None,
    wheels: Annotated[
        bool, typer.Option("--wheels", help="Pack the packages too, for a device without a network.")
    ] = False,
    json: Json = None,
) -> None:
    """Pack a model for a device.

    The archive holds this edgerecon, a lock of what it needs there, checksums, an SBOM, a unit and an installer. An
    adopted ONNX file stands in place of the recipe.
    """
    from dataclasses import asdict

    from edgerecon.deploy.bundle.bundle import bundle as run
    from edgerecon.hardware.device import load_device
    from edgerecon.workshop.recipe import load_recipe

    check_json(json)
    adopted = recipe.suffix == ".onnx"
    made = run(
        None if adopted else load_recipe(recipe),
        recipe if adopted else recipe.parent,
        load_device(device),
        out,
        precision=precision,
        backend=backend,
        threads=threads,
        deadline_ms=deadline,
        strength=strength,
        protect=protect,
        crop=crop,
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
