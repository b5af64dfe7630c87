"""The verb that shows a model at work."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from edgerecon.cli.verbs.duration import seconds as duration_s
from edgerecon.cli.verbs.output import check_folder, console, leave_if_interrupted
from edgerecon.core.errors import EdgereconError


def demo(
    out: Annotated[
        Path, typer.Option("-o", "--out", help="Folder for the video, the page and the JSON report.")
    ] = Path("edgerecon-demo"),
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
