"""The verb that finishes recordings that were cut off."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from edgerecon.cli.verbs.output import Json, check_json, say, write_json
from edgerecon.core.errors import EdgereconError, printable


def recover(
    folder: Annotated[Path, typer.Argument(help="Where the recordings lie.")] = Path("."),
    json: Json = None,
) -> None:
    """Finish recordings that were cut off.

    They become NAME.partial.mp4 (.h5, .zarr, …).
    A recording whose process still runs is left alone.
    """
    from edgerecon.stream.sinks.files.recover import recover as finish

    check_json(json)
    found = finish(folder)
    for one in found:
        if one.path is not None:
            say(printable(f"{one.path}: {one.frames} frames, from {one.cut.name}"), json)
    if not found:
        say(f"no recording in {folder} was cut off", json)
    write_json(
        json,
        [
            {"cut": str(one.cut), "path": one.path and str(one.path), "frames": one.frames, "fault": one.fault}
            for one in found
        ],
    )
    if faults := [f"{one.cut.name} cannot be recovered: {one.fault}" for one in found if one.fault]:
        raise EdgereconError("; ".join(faults))
