"""The ``edgerecon`` command: one thin function a verb that parses, calls and prints.

Exit status: 0 done, 1 the work failed or a gate refused (one line on stderr), 2 wrong usage, 130 on Ctrl-C.
"""

from __future__ import annotations

import logging
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from edgerecon import __version__
from edgerecon.errors import EdgereconError, UsageError

if TYPE_CHECKING:
    from rich.console import Console

app = typer.Typer(
    name="edgerecon",
    help="Deep-learning ultrasound reconstruction, in real time, on the device at hand. Not a medical device.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    context_settings={"help_option_names": ["-h", "--help"]},
)

Json = Annotated[Path | None, typer.Option("--json", help="Also write the result as JSON.")]


INTERRUPTED = 130


def main() -> None:
    """Run the command line; every error that a user can cause becomes one line on stderr."""
    try:
        app()
    except EdgereconError as error:
        sys.stderr.write(f"edgerecon: {error}\n")
        sys.exit(error.exit_code)
    except BrokenPipeError:
        sys.stderr.close()  # the reader of our output has gone, as `| head` does
        sys.exit(0)
    except SystemExit as end:
        if end.code == INTERRUPTED:  # typer turns Ctrl-C into this, without a word
            sys.stderr.write("edgerecon: interrupted\n")
        raise


@app.callback(invoke_without_command=True)
def _options(
    version: Annotated[bool, typer.Option("--version", help="Print the version.")] = False,
    verbose: Annotated[bool, typer.Option("--verbose", "-v", help="Log what happens inside.")] = False,
) -> None:
    logging.basicConfig(
        level=logging.INFO if verbose else logging.WARNING, format="%(levelname)s %(name)s: %(message)s"
    )
    if not verbose:
        logging.getLogger("pydicom").setLevel(logging.ERROR)  # it warns of every oddity that a scanner's file has
    if version:
        typer.echo(f"edgerecon {__version__}")
        raise typer.Exit


def _console() -> Console:
    from rich.console import Console

    return Console(highlight=False, width=None if sys.stdout.isatty() else 140)  # a file does not fold tables


@app.command()
def demo(
    out: Annotated[Path, typer.Option(help="Folder for the video, the page and the JSON report.")] = Path(
        "edgerecon-demo"
    ),
    seconds: Annotated[float, typer.Option(help="How long to stream.", min=0.5)] = 10.0,
    view: Annotated[bool, typer.Option("--view", help="Watch it live in the browser.")] = False,
    port: Annotated[int, typer.Option(help="Port of the live viewer.", min=0, max=65535)] = 8765,
) -> None:
    """Stream a real echocardiography cine through a shipped model, and report what was measured."""
    from edgerecon.demo import PAGE, VIDEO, run_demo
    from edgerecon.tables import frame_bar, print_stream

    console = _console()
    with frame_bar(console) as on_progress:
        report = run_demo(out, seconds, view, port=port, say=console.print, on_progress=on_progress)
    print_stream(console, report)
    console.print(f"Before | after: {out / VIDEO}\nEverything measured: {out / PAGE}")
    _interrupted(report.interrupted)


@app.command()
def stream(
    source: Annotated[str, typer.Argument(help="A DICOM, video, image, .npz, .npy, .mha file, a folder, or `sample`.")],
    model: Annotated[
        str | None, typer.Argument(help="Shipped name or ONNX file; none: show frames as they are.")
    ] = None,
    sink: Annotated[list[str] | None, typer.Option(help="OUT.mp4, OUT.npz, viewer[:PORT] or null; repeatable.")] = None,
    backend: Annotated[str, typer.Option(help="Engine, or auto.")] = "auto",
    threads: Annotated[
        int | None, typer.Option(help="Threads of the engine; default: this host's cores.", min=1)
    ] = None,
    policy: Annotated[str, typer.Option(help="latest (newest frame wins) or every (lossless).")] = "latest",
    pace: Annotated[bool, typer.Option("--pace/--no-pace", help="Keep the recording's own frame rate.")] = True,
    deadline: Annotated[float | None, typer.Option(help="Milliseconds; default: the frame period.", min=0.001)] = None,
    loop: Annotated[bool, typer.Option("--loop", help="Repeat the recording.")] = False,
    frames: Annotated[int | None, typer.Option(help="Stop after so many frames.", min=1)] = None,
    seconds: Annotated[float | None, typer.Option(help="Stop after so long.", min=0.001)] = None,
    json: Json = None,
) -> None:
    """Stream a recording through a model, in real time, and count every frame."""
    from contextlib import ExitStack, closing

    from edgerecon.engines import open_engine
    from edgerecon.stream.loop import stream as run
    from edgerecon.stream.sinks import open_sink
    from edgerecon.stream.sources import open_source
    from edgerecon.tables import frame_bar, print_stream

    _check_json(json)
    if policy not in ("latest", "every"):
        raise UsageError(f"--policy is latest or every, not '{policy}'")
    console = _console()
    with ExitStack() as stack:
        engine = stack.enter_context(closing(open_engine(model, backend, threads=threads))) if model else None
        recording = stack.enter_context(closing(open_source(source)))
        sinks = [open_sink(uri) for uri in sink or ["null"]]
        for address in (getattr(one, "url", None) for one in sinks):
            if address:
                console.print(f"Live at {address}")
        on_progress = stack.enter_context(frame_bar(console))
        report = run(
            recording, engine, sinks, policy=policy, pace=pace, deadline_ms=deadline, loop=loop,  # type: ignore[arg-type]
            frames=frames, seconds=seconds, on_progress=on_progress,
        )  # fmt: skip
    print_stream(console, report)
    if json:
        report.write(json)
    if report.error:
        raise EdgereconError(report.error)
    _interrupted(report.interrupted)


@app.command()
def simulate(
    out: Annotated[Path, typer.Argument(help="HDF5 file to write.")],
    samples: Annotated[int, typer.Option(help="How many scenes.", min=1)],
    seed: Annotated[int, typer.Option(help="The same seed gives the same file.", min=0)] = 0,
    sequence: Annotated[int, typer.Option(help="Frames of each scene, 30 a second.", min=1)] = 1,
) -> None:
    """Simulate plane-wave acoustics of random tissue into training pairs."""
    from edgerecon.data.simulate import simulate as run
    from edgerecon.tables import count_bar

    with count_bar(_console(), f"Simulating {out.name}", "samples") as on_sample:
        made = run(out, samples, seed, sequence, on_sample=on_sample)
    typer.echo(f"{out}: {samples} samples, {made} of them new")


@app.command()
def train(
    recipe: Annotated[Path, typer.Argument(help="A recipe, e.g. export/compact-despeckle.toml.")],
    data: Annotated[Path | None, typer.Option(help="HDF5 pairs; default: the recipe's file.")] = None,
    run_dir: Annotated[Path | None, typer.Option(help="Default: edgerecon-runs/<model>.")] = None,
    resume: Annotated[bool, typer.Option("--resume", help="Go on from the last checkpoint.")] = False,
    steps: Annotated[int | None, typer.Option(help="Instead of the recipe's.", min=1)] = None,
) -> None:
    """Train the recipe's network; keeps the best checkpoint, curve.csv and curve.png."""
    from edgerecon.recipe import load_recipe
    from edgerecon.tables import training_bar
    from edgerecon.train.loop import train as run

    made = load_recipe(recipe)
    folder = run_dir or Path("edgerecon-runs") / made.model.name
    with training_bar(_console(), made.model.name) as on_step:
        best = run(made, run_dir=folder, data=data, resume=resume, steps=steps, on_step=on_step)
    typer.echo(f"Best checkpoint: {best}\nCurves: {folder / 'curve.png'}")


@app.command()
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

    _check_json(json)
    made = load_recipe(recipe)
    best = checkpoint or Path("edgerecon-runs") / made.model.name / "best.pt"
    measured = [figure for path in figures or [] for figure in figures_of(path)]
    target = out or recipe.with_name(f"{made.model.name}.onnx")
    result = run(made, best, target, recipe_name=str(recipe), figures=measured)
    typer.echo(f"{result.model}: {result.size_kb:.1f} kB, parity {result.max_abs_error:.1e}; card: {result.card}")
    _write_json(json, {key: str(value) if isinstance(value, Path) else value for key, value in asdict(result).items()})


@app.command()
def evaluate(
    model: Annotated[str, typer.Argument(help="Shipped name or ONNX file.")],
    data: Annotated[Path, typer.Option(help="HDF5 pairs, a recording, or a folder of recordings.")],
    tune: Annotated[
        Path | None, typer.Option(help="Pairs to tune the classical filters on; default: the data.")
    ] = None,
    regions: Annotated[
        Path | None, typer.Option(help="JSON boxes for a recording; default: found automatically.")
    ] = None,
    method: Annotated[list[str] | None, typer.Option(help="Classical filter to compare with; repeatable.")] = None,
    limit: Annotated[int | None, typer.Option(help="Samples, or frames of each recording (default 2).", min=1)] = None,
    pictures: Annotated[Path | None, typer.Option(help="Folder for a contact sheet and the trade-off plot.")] = None,
    backend: Annotated[str, typer.Option(help="Engine, or auto.")] = "auto",
    json: Json = None,
) -> None:
    """Measure image quality beside the input and tuned classical filters."""
    from contextlib import closing

    from edgerecon.engines import open_engine
    from edgerecon.quality.evaluate import evaluate as run
    from edgerecon.tables import print_evaluation, work_bar

    _check_json(json)
    console = _console()
    with closing(open_engine(model, backend)) as engine, work_bar(console) as on_progress:
        result = run(
            engine, data, regions=regions, methods=method, limit=limit, tune=tune, on_progress=on_progress
        )  # fmt: skip
    print_evaluation(console, result)
    _write_json(json, result.to_json())
    if pictures:
        from edgerecon.quality.pictures import contact_sheet, tradeoff_plot

        pictures.mkdir(parents=True, exist_ok=True)
        contact_sheet(result, pictures / "contact-sheet.png")
        if result.tradeoff:
            tradeoff_plot(result, pictures / "trade-off.png")


@app.command()
def doctor(json: Json = None) -> None:
    """Say what this machine can run, what is missing, and the command that adds it."""
    from dataclasses import asdict

    from edgerecon.device import host_profile
    from edgerecon.doctor import diagnose
    from edgerecon.tables import doctor_table

    checks = diagnose()
    _console().print(doctor_table(checks))
    _write_json(json, {"checks": [asdict(check) for check in checks], "host": host_profile()})
    if any(check.required and not check.ok for check in checks):
        raise EdgereconError("something required is missing: see the commands above")


def _check_json(path: Path | None) -> None:
    """Refuse a place that cannot be written before the work, not after it."""
    import os

    writable = path is None or (path.parent.is_dir() and os.access(path.parent, os.W_OK) and not path.is_dir())
    if not writable:
        raise EdgereconError(f"cannot write {path}: give a file in a folder that exists and can be written")


def _write_json(path: Path | None, content: Any) -> None:
    if path is None:
        return
    import json
    import os

    part = path.with_name(f".{path.name}.part")
    try:
        part.write_text(json.dumps(content, indent=2) + "\n")
        os.replace(part, path)
    except OSError as error:
        raise EdgereconError(f"cannot write {path}: {error.strerror or error}") from None


def _interrupted(flag: bool) -> None:
    if flag:
        raise typer.Exit(INTERRUPTED)
