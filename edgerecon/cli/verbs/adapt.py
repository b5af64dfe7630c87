"""Verb that adapts a shipped model to a scanner: adapt."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from edgerecon.cli.verbs.names import complete_model
from edgerecon.cli.verbs.output import Json, check_folder, check_json, check_out, console, write_json


def adapt(
    recordings: Annotated[list[str], typer.Argument(help="Recordings of one scanner: files, or folders of them.")],
    model: Annotated[
        str, typer.Option(help="Shipped model to start from.", autocompletion=complete_model)
    ] = "compact-despeckle",
    out: Annotated[Path | None, typer.Option("-o", "--out", help="File to write; default: MODEL-adapted.onnx.")] = None,
    minutes: Annotated[float, typer.Option(help="How long to train.", min=0.01, max=10_000)] = 15.0,
    run_dir: Annotated[
        Path | None, typer.Option(help="Folder for displays and checkpoints; default: edgerecon-runs/<model>-adapted.")
    ] = None,
    resume: Annotated[bool, typer.Option("--resume", help="Go on from the last checkpoint.")] = False,
    json: Json = None,
) -> None:
    """Adapt a shipped model to your own scanner, without targets.

    Simulated displays that look like the recordings are chosen, and the model learns on from them. It is written only
    where it is better than the shipped one on such displays, and on frames of the recordings no measure is worse by
    more than its tolerance.
    """
    from edgerecon.cli.tables.bars import work_bar
    from edgerecon.deploy.adapt import adapt as run

    target = out or Path(f"{model}-adapted.onnx")
    check_json(json)
    check_out(target, ".onnx", "a model")
    check_folder(run_dir)
    folder = run_dir or Path("edgerecon-runs") / f"{model}-adapted"
    screen = console(json)
    try:
        with work_bar(screen) as on_progress:
            verdict = run(recordings, model, target, folder, minutes=minutes, resume=resume, on_progress=on_progress)
    except KeyboardInterrupt:
        screen.say(f"The state is in {folder}: go on with the same command and --resume")
        raise
    before, after = verdict.psnr_db
    screen.say(f"{target}: {after:.2f} dB on displays like yours, {before:.2f} before")
    for key, (was, now) in verdict.picture.items():
        screen.say(f"  {key.replace('_', ' '):17} {was:.3g} → {now:.3g}")
    write_json(json, {"model": str(target), **verdict.to_json()})
