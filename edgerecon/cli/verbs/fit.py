"""The verb that finds the model for a deadline."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from edgerecon.cli.verbs.duration import milliseconds
from edgerecon.cli.verbs.output import Json, check_json, check_out, console, write_json
from edgerecon.cli.verbs.size import frame_size
from edgerecon.core.errors import GateError
from edgerecon.core.files import write

Deadline = Annotated[
    float,
    typer.Option(
        help="Time that 99 % of the frames keep, from capture to presentation.", parser=milliseconds, metavar="TIME"
    ),
]
Device = Annotated[str, typer.Option(help="host is measured; another device of `devices` gets a bound.")]
MinSsim = Annotated[float | None, typer.Option(help="Lowest SSIM on validation scenes.", min=0, max=1)]
MinGcnr = Annotated[float | None, typer.Option(help="Lowest gCNR on the built-in cine.", min=0, max=1)]
Task = Annotated[str, typer.Option(help="despeckle or compound.")]
Models = Annotated[Path | None, typer.Option(help="ONNX file, or folder of them; default: those that ship.")]
Shape = Annotated[str, typer.Option(help="HEIGHTxWIDTH of the frames.")]
Out = Annotated[Path | None, typer.Option("-o", "--out", help="HTML page with the plot and the table.")]


def fit(
    deadline: Deadline,
    device: Device = "host",
    min_ssim: MinSsim = None,
    min_gcnr: MinGcnr = None,
    task: Task = "despeckle",
    models: Models = None,
    shape: Shape = "512x512",
    out: Out = None,
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
