"""The verb that shows what decides a picture."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from edgerecon.cli.verbs.names import Model
from edgerecon.cli.verbs.output import Json, check_json, check_out, console, write_json
from edgerecon.core.errors import redacted


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
