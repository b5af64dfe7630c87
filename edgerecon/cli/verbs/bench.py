"""The verb that times everything side by side."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from edgerecon.cli.verbs.duration import milliseconds
from edgerecon.cli.verbs.duration import seconds as duration_s
from edgerecon.cli.verbs.names import PRECISION_NAMES
from edgerecon.cli.verbs.output import Json, check_json, check_out, console, write_json
from edgerecon.cli.verbs.size import frame_size
from edgerecon.core.errors import EdgereconError

Models = Annotated[list[str] | None, typer.Argument(help="Shipped names or ONNX files; none: all that ship.")]
Backend = Annotated[list[str] | None, typer.Option(help="Engine to time; repeatable; default: all installed.")]
Precision = Annotated[list[str] | None, typer.Option(help=f"{PRECISION_NAMES}; repeatable.")]
Threads = Annotated[
    list[int] | None, typer.Option(help="Threads of the engine; repeatable; default: this host's cores.", min=1)
]
Shape = Annotated[str, typer.Option(help="Size of the frames, HEIGHTxWIDTH.")]
Scenario = Annotated[
    list[str] | None,
    typer.Option(
        help="Load to put on each model's fastest row: realtime, or LoadGen's singlestream, multistream, "
        "offline, server; repeatable."
    ),
]
Recording = Annotated[str, typer.Option(help="Real frames to time on: a recording, or `sample`.")]
Data = Annotated[
    Path | None, typer.Option(help="Scenes with truth (edgerecon simulate); default: the eight that ship.")
]
Seconds = Annotated[float, typer.Option(help="About how long to time each row.", parser=duration_s, metavar="SECONDS")]
Timeout = Annotated[
    float, typer.Option(help="How long to wait for an engine that hangs.", parser=milliseconds, metavar="TIME")
]
Out = Annotated[Path | None, typer.Option("-o", "--out", help="Also write the result as a page (.html).")]
Compare = Annotated[
    tuple[Path, Path] | None,
    typer.Option(help="Two results, before and after: say what became slower; runs nothing."),
]


def bench(
    models: Models = None,
    backend: Backend = None,
    precision: Precision = None,
    threads: Threads = None,
    shape: Shape = "512x512",
    scenario: Scenario = None,
    recording: Recording = "sample",
    data: Data = None,
    seconds: Seconds = 4.0,
    timeout: Timeout = "60s",  # type: ignore[assignment]
    out: Out = None,
    compare: Compare = None,
    json: Json = None,
) -> None:
    """Time every model on every runtime, with quality beside speed."""
    from edgerecon.bench.grid import list_cells
    from edgerecon.bench.page import bench_page
    from edgerecon.bench.run import Plan
    from edgerecon.bench.run import bench as run
    from edgerecon.bench.scenarios import add_scenarios, refuse_unknown
    from edgerecon.cli.tables.bars import work_bar
    from edgerecon.cli.tables.bench import print_bench
    from edgerecon.report.page import write_page

    check_json(json)
    if compare is not None:
        _compare(*compare, json)
        return
    refuse_unknown(scenario or [])
    check_out(out, ".html", "a page")
    plan = Plan(frame_size(shape), seconds, timeout / 1e3, recording, data)
    cells = list_cells(models or [], backend or [], precision or [], threads or [])
    screen = console(json)
    with work_bar(screen) as on_progress:
        result = run(cells, plan, on_progress)
        if scenario:
            add_scenarios(result, cells, scenario, Path("edgerecon-loadgen"), on_progress)
    found = result.to_json()
    print_bench(screen, found)
    write_json(json, found)
    if out is not None:
        write_page(out, bench_page(found))
        screen.say(f"Page: {out}")
    if not any(row.ok for row in result.rows):
        raise EdgereconError("no row ran: the reasons are in the table above")


def _compare(before: Path, after: Path, json: Path | None) -> None:
    from dataclasses import asdict

    from edgerecon.bench.compare import compare, read_result, reference, regression_summary
    from edgerecon.cli.tables.bench import print_changes
    from edgerecon.stream.overwriting import refuse_overwriting

    refuse_overwriting([str(before), str(after)], [], [json] if json else [])
    results = read_result(before), read_result(after)
    changes = compare(*results)
    print_changes(console(json), changes, reference(*results))
    write_json(json, {"changes": [asdict(one) for one in changes]})
    if stopped := regression_summary(changes):
        raise EdgereconError(stopped)
