"""Verbs that run a model here: demo, stream, doctor."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from edgerecon.cli.verbs.beamform import BeamformOption, GridOption
from edgerecon.cli.verbs.duration import milliseconds
from edgerecon.cli.verbs.duration import seconds as duration_s
from edgerecon.cli.verbs.names import PRECISION_NAMES, complete_model
from edgerecon.cli.verbs.output import (
    Json,
    check_folder,
    check_json,
    check_name,
    console,
    leave_if_interrupted,
    write_json,
)
from edgerecon.cli.verbs.placement import Device, Tile, tile_size
from edgerecon.core.errors import EdgereconError, UsageError

if TYPE_CHECKING:
    from edgerecon.cli.tables.screen import Screen
    from edgerecon.engines.base import Engine
    from edgerecon.stream.accounting.counters import Counters
    from edgerecon.stream.loop.report import StreamReport
    from edgerecon.stream.sinks.base import Sink


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


def stream(
    source: Annotated[
        str,
        typer.Argument(help="What to show: {sources}."),
    ],
    models: Annotated[
        list[str] | None,
        typer.Argument(
            help="Shipped name, ONNX file or recipe; none: show frames as they are. Several: see --chain, --beside.",
            autocompletion=complete_model,
        ),
    ] = None,
    chain: Annotated[
        bool, typer.Option("--chain", help="Several models run one after the other, under one deadline.")
    ] = False,
    beside: Annotated[
        bool, typer.Option("--beside", help="Several models run side by side on one capture, each with its own sinks.")
    ] = False,
    sink: Annotated[
        list[str] | None,
        typer.Option(help="{sinks}; repeatable."),
    ] = None,
    backend: Annotated[str, typer.Option(help="Engine to run on, or auto for the fastest installed.")] = "auto",
    precision: Annotated[str | None, typer.Option(help=f"{PRECISION_NAMES}; default: the file's.")] = None,
    threads: Annotated[
        int | None, typer.Option(help="Threads of the engine; default: this host's cores.", min=1)
    ] = None,
    beamform: BeamformOption = None,
    grid: GridOption = None,
    device: Device = None,
    tile: Tile = None,
    filter: Annotated[
        list[str] | None,
        typer.Option(help="NAME[:key=value,…] of a classical filter before the model; repeatable, in this order."),
    ] = None,
    filter_after: Annotated[list[str] | None, typer.Option(help="The same, after the model.")] = None,
    strength: Annotated[
        float, typer.Option(help="How much of the model's change is shown: 0 the input, 1 the model's picture.")
    ] = 1.0,
    protect: Annotated[
        str, typer.Option(help="What is not tissue passes as it is: auto, none, or the tissue's X,Y,WIDTH,HEIGHT.")
    ] = "auto",
    crop: Annotated[
        str | None, typer.Option(help="Part of every frame to stream, as of a grabbed screen: X,Y,WIDTH,HEIGHT.")
    ] = None,
    policy: Annotated[
        str | None,
        typer.Option(help="latest (newest frame wins) or every (lossless); default: every from a file into files."),
    ] = None,
    late: Annotated[str, typer.Option(help="What becomes of frames over their deadline: present or skip.")] = "present",
    ladder: Annotated[
        list[str] | None,
        typer.Option(help="Quicker model to step down to when deadlines are missed; repeatable; auto; passthrough."),
    ] = None,
    watchdog: Annotated[
        float | None,
        typer.Option(
            help="How long an engine may take; default: ten deadlines, 1s at least.",
            parser=milliseconds,
            metavar="TIME",
        ),
    ] = None,
    pace: Annotated[
        bool | None,
        typer.Option(
            "--pace/--no-pace", help="Keep the recording's own frame rate; default: not from a file into files."
        ),
    ] = None,
    deadline: Annotated[
        float | None,
        typer.Option(
            help="Time after capture by which a frame must be presented; default: the frame period.",
            parser=milliseconds,
            metavar="TIME",
        ),
    ] = None,
    loop: Annotated[bool, typer.Option("--loop", help="Repeat the recording.")] = False,
    frames: Annotated[int | None, typer.Option(help="Stop after so many frames.", min=1)] = None,
    seconds: Annotated[
        float | None, typer.Option(help="Stop after so long.", parser=duration_s, metavar="SECONDS")
    ] = None,
    priority: Annotated[
        str | None, typer.Option(help="Priority of the stream's threads: realtime, or a nice value (Linux).")
    ] = None,
    cpus: Annotated[str | None, typer.Option(help="Processors to stay on, for example 0,1 (Linux).")] = None,
    trace: Annotated[
        str | None,
        typer.Option(
            help="Times of every frame's stages: file for ui.perfetto.dev, or otlp://HOST[:PORT] (OpenTelemetry).",
            metavar="FILE|ADDRESS",
        ),
    ] = None,
    tui: Annotated[bool, typer.Option("--tui", help="Show all counters live in the terminal.")] = False,
    log_json: Annotated[bool, typer.Option("--log-json", help="Write logs as JSON lines on stderr.")] = False,
    json: Json = None,
) -> None:
    """Stream through a model in real time, and count every frame.

    From a file into files it goes as fast as it can and keeps every frame, unless a policy, a pace, a time limit, a
    deadline, a ladder or --loop asks for real time. SIGTERM ends the stream in order, SIGHUP makes a temporal model
    start anew.
    """
    from contextlib import ExitStack, closing
    from threading import Event

    from edgerecon.cli.tables.bars import frame_bar
    from edgerecon.cli.tables.stream import print_stream
    from edgerecon.cli.tui import counter_table
    from edgerecon.core import logs as json_log
    from edgerecon.stream.beside import stream_beside
    from edgerecon.stream.conversion import is_conversion
    from edgerecon.stream.engines import Engines
    from edgerecon.stream.filters.chain import FilterSettings
    from edgerecon.stream.filters.filter import open_filters
    from edgerecon.stream.filters.source import filtered
    from edgerecon.stream.loop.open_trace import open_trace, trace_file
    from edgerecon.stream.loop.options import StreamOptions
    from edgerecon.stream.loop.stream import DEFAULT_PERIOD_S
    from edgerecon.stream.loop.stream import stream as run
    from edgerecon.stream.overwriting import refuse_overwriting
    from edgerecon.stream.picture.crop import cropped, parse_crop
    from edgerecon.stream.process.scheduling import scheduling_of
    from edgerecon.stream.process.signals import signals_that_stop
    from edgerecon.stream.process.systemd import Service
    from edgerecon.stream.sinks import open_sink
    from edgerecon.stream.sources import open_source
    from edgerecon.stream.sources.query import with_options

    check_json(json)
    check_name(trace_file(trace), "JSON", ".json")
    source = with_options(source, {"beamform": beamform, "grid": grid})
    if log_json:
        json_log.log_json()
    if policy not in (None, "latest", "every"):
        raise UsageError(f"--policy is latest or every, not '{policy}'")
    if late not in ("present", "skip"):
        raise UsageError(f"--late is present or skip, not '{late}'")
    models = models or []
    wanted = _sinks_of(sink or ["null"], models, chain, beside, ladder, trace)
    reports_to = [path for path in (json, trace_file(trace)) if path]
    refuse_overwriting([source], [uri for uris in wanted for uri in uris], reports_to)
    box = parse_crop(crop) if crop is not None else None
    screen, service, stop, reset = console(json), Service(), Event(), Event()
    scheduling = scheduling_of(priority, cpus)
    scheduling.apply_cpus()  # before the engine starts threads of its own
    with ExitStack() as stack:
        before, after = (FilterSettings(open_filters(texts or [])) for texts in (filter, filter_after))
        engines = stack.enter_context(
            Engines(
                backend,
                precision,
                threads,
                device=device,
                tile=tile_size(tile),
                strength=strength,
                protect=protect,
                filters=after,
                filters_before=before,
            )
        )
        if filter_after and not models:
            raise UsageError("--filter-after wants a model: name one after the source, or say --filter")
        opened: list[Engine | None] = (
            [engines.open(one) for one in models] if beside else [engines.open(*models) if models else None]
        )
        rungs = engines.open_ladder(models[0] if models else None, ladder or [])
        recording = stack.enter_context(closing(filtered(open_source(source), before)))
        engines.look_at(cropped(recording, box))
        sinks = [[open_sink(uri) for uri in uris] for uris in wanted]
        _say_where(screen, [one for some in sinks for one in some])
        converts = is_conversion(recording, wanted[0]) and late == "present"
        policy = policy or ("every" if converts else "latest")
        if pace is None:
            pace = not converts or policy == "latest" or bool(loop or seconds or deadline or ladder)
        written = stack.enter_context(closing(open_trace(trace, recording.name))) if trace else None
        shown_ms = deadline or (recording.period_s or DEFAULT_PERIOD_S) * 1e3
        shown_as = ", ".join(models) or "as it is"
        show = stack.enter_context(
            counter_table(screen, f"{recording.name} → {shown_as}", shown_ms) if tui else frame_bar(screen)
        )

        def told(counters: Counters) -> None:
            show(counters)
            service.beat(counters)

        terminated = stack.enter_context(signals_that_stop(stop, reset))
        options = StreamOptions(
            policy=policy,  # type: ignore[arg-type]
            late=late,  # type: ignore[arg-type]
            pace=pace,
            deadline_ms=deadline,
            loop=loop,
            frames=frames,
            seconds=seconds,
            hang_s=watchdog / 1e3 if watchdog else None,
            scheduling=scheduling,
            crop=box,
        )
        how: dict[str, Any] = {
            "options": options,
            "reopen": engines.reopen,
            "stop": stop,
            "on_progress": told,
            "controls": engines.controls,
        }
        if beside:
            reports = stream_beside(recording, opened, sinks, **how)
        else:
            reports = [run(recording, opened[0], sinks[0], ladder=rungs, trace=written, reset=reset, **how)]
    live = getattr(recording, "live", False)
    for report, shown in zip(reports, sinks, strict=True):
        print_stream(screen, report, timed=pace or live or deadline is not None)
        _say_recorded(screen, shown, report, live)
    told_of = [report.to_json() for report in reports]
    write_json(json, {"streams": told_of} if beside else told_of[0])
    if errors := [report.error for report in reports if report.error]:
        raise EdgereconError("; ".join(errors))
    leave_if_interrupted(any(report.interrupted for report in reports) and not terminated.is_set())


def _sinks_of(
    sinks: list[str], models: list[str], chain: bool, beside: bool, ladder: list[str] | None, trace: object
) -> list[list[str]]:
    """The sinks of each stream: one stream, or with --beside one a model."""
    from edgerecon.stream.beside import distinct_names, sink_of

    if chain and beside or (len(models) > 1 and not (chain or beside)):
        raise UsageError("several models run one after the other, --chain, or side by side, --beside: say which")
    if (chain or beside) and len(models) < 2:
        raise UsageError("--chain and --beside want two models or more after the source")
    if (chain or beside) and ladder:
        raise UsageError("--ladder steps down from one model: leave it out")
    if not beside:
        return [sinks]
    if trace is not None:
        raise UsageError("--trace follows one stream: leave it out with --beside")
    return [[sink_of(uri, name) for uri in sinks] for name in distinct_names(models)]


def _say_where(screen: Screen, sinks: Sequence[Sink]) -> None:
    """Addresses of what can be watched, and the token where no address holds it."""
    addresses = [address for one in sinks if (address := getattr(one, "url", None))]
    for address in addresses:
        screen.say(f"Live at {address}")
    for token in filter(None, (getattr(one, "token", None) for one in sinks)):
        if not any(token in address for address in addresses):
            screen.say(f"Token: {token}")


def _say_recorded(screen: Screen, sinks: Sequence[Sink], report: StreamReport, live: bool) -> None:
    """Where recordings lie and, when they lack frames, what to do."""
    from edgerecon.stream.sinks.files.file_sink import FileSink

    recordings = [one for one in sinks if isinstance(one, FileSink) and one.recorded]
    for one in recordings:
        screen.say(f"Recorded {one.count} frames: {one.recorded}")
    lost = report.dropped + max(report.skips.values(), default=0)
    if recordings and lost:
        help = "give a quicker model or --ladder auto" if live else "--policy every --no-pace keeps all of them"
        screen.say(f"{lost} of {report.frames_in} frames are missing, for want of speed: {help}")


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
