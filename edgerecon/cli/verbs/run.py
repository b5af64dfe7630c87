"""Verbs that show what this machine can do: demo, doctor."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from edgerecon.cli.verbs.duration import seconds as duration_s
from edgerecon.cli.verbs.output import (
    Json,
    check_folder,
    console,
    leave_if_interrupted,
    write_json,
)
from edgerecon.core.errors import EdgereconError

if TYPE_CHECKING:
    pass


def demo(
    out: Annotated[Path, typer.Option(help="Folder for the video, the page and the JSON report.")] = Path(
        "edgerecon-demo"
    ),
    seconds: Annotated[
        float | None,
        typer.Option(
            help="How long to stream; default: 10, with --view until Ctrl-C.", parser=duration_s, metavar="SECONDS"
        ),
    ] = None,
    view: Annotated[bool, typer.Option("--view", help="Watch it live in the browser.")] = False,
    port: Annotated[int, typer.Option(help="Port of the live viewer.", min=0, max=65535)] = 8765,
) -> None:
    """Stream a real heart through a shipped model, and report."""
    from edgerecon.cli.demo import PAGE, VIDEO, run_demo
    from edgerecon.cli.tables.bars import frame_bar
    from edgerecon.cli.tables.stream import print_stream

    check_folder(out)
    screen = console()
    with frame_bar(screen) as on_progress:
        report = run_demo(out, seconds, view, port=port, say=screen.say, on_progress=on_progress)
    print_stream(screen, report)
    if report.error:
        raise EdgereconError(report.error)
    screen.say(f"Before | after: {out / VIDEO}\nEverything measured: {out / PAGE}")
    leave_if_interrupted(report.interrupted and not (view and seconds is None))  # there Ctrl-C is how it ends


def doctor(
    folder: Annotated[Path, typer.Argument(help="Also look here for recordings that were cut off.")] = Path("."),
    json: Json = None,
) -> None:
    """Say what this machine can run, and what adds the rest."""
    from dataclasses import asdict

    from edgerecon.cli.doctor import diagnose
    from edgerecon.cli.tables.host import doctor_table
    from edgerecon.hardware.device import host_profile

    checks = diagnose(folder)
    console(json).print(doctor_table(checks))
    write_json(json, {"checks": [asdict(check) for check in checks], "host": host_profile()})
    if any(check.required and not check.ok for check in checks):
        raise EdgereconError("something required is missing: see the commands above")
