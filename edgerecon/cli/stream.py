"""What ``edgerecon stream`` does: open everything that was asked for, stream, and say what came of it."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from threading import Event
from typing import Any

from edgerecon.cli.tables.bars import frame_bar
from edgerecon.cli.tables.screen import Screen
from edgerecon.cli.tables.stream import print_stream
from edgerecon.cli.tui import counter_table
from edgerecon.cli.verbs.output import check_json, check_name, console, leave_if_interrupted, write_json
from edgerecon.cli.verbs.placement import tile_size
from edgerecon.core.errors import EdgereconError, UsageError, printable
from edgerecon.core.logs import log_json
from edgerecon.engines.base import Engine
from edgerecon.stream.accounting.counters import Counters
from edgerecon.stream.beside import distinct_names, sink_of, stream_beside
from edgerecon.stream.conversion import is_conversion
from edgerecon.stream.engines import Engines
from edgerecon.stream.filters.chain import FilterSettings
from edgerecon.stream.filters.filter import open_filters
from edgerecon.stream.filters.source import filtered
from edgerecon.stream.loop.open_trace import open_trace, trace_file
from edgerecon.stream.loop.options import StreamOptions
from edgerecon.stream.loop.report import StreamReport
from edgerecon.stream.loop.stream import DEFAULT_PERIOD_S, stream
from edgerecon.stream.loop.trace import Trace
from edgerecon.stream.overwriting import refuse_overwriting
from edgerecon.stream.picture.box import Box
from edgerecon.stream.picture.crop import cropped, parse_crop
from edgerecon.stream.process.scheduling import Scheduling, scheduling_of
from edgerecon.stream.process.signals import signals_that_stop
from edgerecon.stream.process.systemd import Service
from edgerecon.stream.sinks import open_sink
from edgerecon.stream.sinks.base import Sink
from edgerecon.stream.sinks.files.file_sink import FileSink
from edgerecon.stream.sources import open_source
from edgerecon.stream.sources.base import Source
from edgerecon.stream.sources.query import with_options


@dataclass(frozen=True, kw_only=True)
class StreamRequest:
    """The options of ``edgerecon stream``, as its help describes them; durations are numbers already."""

    source: str
    models: list[str] | None
    chain: bool
    beside: bool
    sink: list[str] | None
    backend: str
    precision: str | None
    threads: int | None
    beamform: str | None
    grid: str | None
    device: str | None
    tile: str | None
    filter: list[str] | None
    filter_after: list[str] | None
    strength: float
    protect: str
    crop: str | None
    policy: str | None
    late: str
    ladder: list[str] | None
    watchdog: float | None
    pace: bool | None
    deadline: float | None
    loop: bool
    frames: int | None
    seconds: float | None
    priority: str | None
    cpus: str | None
    trace: str | None
    tui: bool
    log_json: bool
    json: Path | None

    @property
    def sinks(self) -> list[list[str]]:
        """The sinks of each stream: one stream, or with --beside one a model.

        Raises:
            UsageError: options that exclude each other.
        """
        models, sinks = self.models or [], self.sink or ["null"]
        if self.chain and self.beside or (len(models) > 1 and not (self.chain or self.beside)):
            raise UsageError("several models run one after the other, --chain, or side by side, --beside: say which")
        if (self.chain or self.beside) and len(models) < 2:
            raise UsageError("--chain and --beside want two models or more after the source")
        if (self.chain or self.beside) and self.ladder:
            raise UsageError("--ladder steps down from one model: leave it out")
        if not self.beside:
            return [sinks]
        if self.trace is not None:
            raise UsageError("--trace follows one stream: leave it out with --beside")
        return [[sink_of(uri, name) for uri in sinks] for name in distinct_names(models)]


@dataclass(frozen=True)
class Opened:
    """What one call streams through. models, sinks: of each stream. ladder: None where none was asked for."""

    engines: Engines
    models: list[Engine | None]
    ladder: list[Engine] | None
    source: Source
    sinks: list[list[Sink]]
    trace: Trace | None


def run_stream(asked: StreamRequest) -> None:
    """Stream until the source ends, a limit is reached or a signal comes; print the report.

    Raises:
        EdgereconError: whatever opening and streaming raise, and the error of a stream that a failure has ended.
    """
    source = _check(asked)
    box = parse_crop(asked.crop) if asked.crop is not None else None
    screen, stop, reset = console(asked.json), Event(), Event()
    scheduling = scheduling_of(asked.priority, asked.cpus)
    scheduling.apply_cpus()  # before the engine starts threads of its own
    with ExitStack() as stack:
        opened = _open(asked, source, box, stack)
        _say_where(screen, [one for some in opened.sinks for one in some])
        options = _options(asked, opened.source, box, scheduling)
        show_progress = stack.enter_context(_progress(asked, opened.source, screen))
        terminated = stack.enter_context(signals_that_stop(stop, reset))
        how: dict[str, Any] = {
            "options": options,
            "reopen": opened.engines.reopen,
            "stop": stop,
            "on_progress": show_progress,
            "controls": opened.engines.controls,
        }
        if asked.beside:
            reports = stream_beside(opened.source, opened.models, opened.sinks, **how)
        else:
            one = stream(
                opened.source,
                opened.models[0],
                opened.sinks[0],
                ladder=opened.ladder,
                trace=opened.trace,
                reset=reset,
                **how,
            )
            reports = [one]
    _say_reports(screen, asked, opened, reports, timed=options.pace)
    leave_if_interrupted(any(report.interrupted for report in reports) and not terminated.is_set())


def _check(asked: StreamRequest) -> str:
    """Refuse what can be refused before anything is opened. Returns the source with its options."""
    check_json(asked.json)
    check_name(trace_file(asked.trace), "JSON", ".json")
    source = with_options(asked.source, {"beamform": asked.beamform, "grid": asked.grid})
    if asked.log_json:
        log_json()
    if asked.policy not in (None, "latest", "every"):
        raise UsageError(f"--policy is latest or every, not '{asked.policy}'")
    if asked.late not in ("present", "skip"):
        raise UsageError(f"--late is present or skip, not '{asked.late}'")
    reports_to = [path for path in (asked.json, trace_file(asked.trace)) if path]
    refuse_overwriting([source], [uri for uris in asked.sinks for uri in uris], reports_to)
    return source


def _open(asked: StreamRequest, uri: str, box: Box | None, stack: ExitStack) -> Opened:
    """Engines, source and sinks; ``stack`` closes them, but for the sinks, which the stream opens and closes."""
    models = asked.models or []
    before, after = (FilterSettings(open_filters(texts or [])) for texts in (asked.filter, asked.filter_after))
    engines = stack.enter_context(
        Engines(
            asked.backend,
            asked.precision,
            asked.threads,
            device=asked.device,
            tile=tile_size(asked.tile),
            strength=asked.strength,
            protect=asked.protect,
            filters=after,
            filters_before=before,
        )
    )
    if asked.filter_after and not models:
        raise UsageError("--filter-after wants a model: name one after the source, or say --filter")
    opened: list[Engine | None] = (
        [engines.open(one) for one in models] if asked.beside else [engines.open(*models) if models else None]
    )
    ladder = engines.open_ladder(models[0] if models else None, asked.ladder or [])
    source = stack.enter_context(closing(filtered(open_source(uri), before)))
    engines.find_tissue(cropped(source, box))
    sinks = [[open_sink(uri) for uri in uris] for uris in asked.sinks]
    trace = stack.enter_context(closing(open_trace(asked.trace, source.name))) if asked.trace else None
    return Opened(engines, opened, ladder, source, sinks, trace)


def _options(asked: StreamRequest, source: Source, box: Box | None, scheduling: Scheduling) -> StreamOptions:
    """A file goes into files as fast as it can, and whole, unless something asks for real time."""
    converts = is_conversion(source, asked.sinks[0]) and asked.late == "present"
    policy = asked.policy or ("every" if converts else "latest")
    in_real_time = bool(asked.loop or asked.seconds or asked.deadline or asked.ladder)
    return StreamOptions(
        policy=policy,  # type: ignore[arg-type]
        late=asked.late,  # type: ignore[arg-type]
        pace=not converts or policy == "latest" or in_real_time if asked.pace is None else asked.pace,
        deadline_ms=asked.deadline,
        loop=asked.loop,
        frames=asked.frames,
        seconds=asked.seconds,
        hang_s=asked.watchdog / 1e3 if asked.watchdog else None,
        scheduling=scheduling,
        crop=box,
    )


@contextmanager
def _progress(asked: StreamRequest, source: Source, screen: Screen) -> Iterator[Callable[[Counters], None]]:
    """Shows counters on the screen, and tells systemd that the stream is alive."""
    service = Service()
    shown_ms = asked.deadline or (source.period_s or DEFAULT_PERIOD_S) * 1e3
    title = f"{source.name} → {', '.join(asked.models or []) or 'as it is'}"
    with counter_table(screen, title, shown_ms) if asked.tui else frame_bar(screen) as show:

        def show_progress(counters: Counters) -> None:
            show(counters)
            service.beat(counters)

        yield show_progress


def _say_reports(
    screen: Screen, asked: StreamRequest, opened: Opened, reports: Sequence[StreamReport], *, timed: bool
) -> None:
    """Tables and JSON. Raises EdgereconError where a failure has ended a stream."""
    live = getattr(opened.source, "live", False)
    for report, sinks in zip(reports, opened.sinks, strict=True):
        print_stream(screen, report, timed=timed or live or asked.deadline is not None)
        _say_recorded(screen, sinks, report, live)
    found = [report.to_json() for report in reports]
    write_json(asked.json, {"streams": found} if asked.beside else found[0])
    if errors := [report.error for report in reports if report.error]:
        raise EdgereconError("; ".join(errors))


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
    recordings = [one for one in sinks if isinstance(one, FileSink) and one.recorded]
    for one in recordings:
        screen.say(f"Recorded {one.count} frame{'s' * (one.count != 1)}: {printable(str(one.recorded))}")
    lost = report.dropped + max(report.skips.values(), default=0)
    if recordings and lost:
        help = "give a quicker model or --ladder auto" if live else "--policy every --no-pace keeps all of them"
        screen.say(f"{lost} of {report.frames_in} frames are missing, for want of speed: {help}")
