"""The real-time loop: source → engine → sinks under a deadline, each on its own thread."""

from __future__ import annotations

import math
import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import suppress
from itertools import chain
from typing import Literal

from edgerecon.engines.base import Engine, EngineSpec
from edgerecon.errors import EdgereconError, SourceError, UsageError
from edgerecon.frame import to_gray
from edgerecon.stream.capture import Capturer, play, refuse_huge
from edgerecon.stream.counters import Counters
from edgerecon.stream.fanout import Fanout
from edgerecon.stream.interpreter import settled_interpreter
from edgerecon.stream.ladder import Ladder
from edgerecon.stream.present import Presenter
from edgerecon.stream.priority import ORDINARY, Standing
from edgerecon.stream.process import Processor
from edgerecon.stream.replace import Replacer, warm_up
from edgerecon.stream.report import StreamReport, make_report
from edgerecon.stream.ring import Mailbox, Slot, ring
from edgerecon.stream.sinks.base import Sink, StreamInfo
from edgerecon.stream.sources.base import Capture, Source
from edgerecon.stream.stages import run_stages
from edgerecon.stream.trace import Trace
from edgerecon.stream.watch import Watch

DEFAULT_PERIOD_S = 1 / 30
"""Between two frames of a source that does not state its rate."""

_SHORTEST_S, _LONGEST_S = 1e-6, 3600.0
"""A period beyond them is a damaged number."""

_HANG_AT_LEAST_S, _HANG_DEADLINES = 1.0, 10


def stream(
    source: Source,
    engine: Engine | None,
    sinks: Sequence[Sink],
    *,
    policy: Literal["latest", "every"] = "latest",
    late: Literal["present", "skip"] = "present",
    pace: bool = True,
    deadline_ms: float | None = None,
    loop: bool = False,
    frames: int | None = None,
    seconds: float | None = None,
    ladder: Sequence[Engine] | None = None,
    reopen: Callable[[EngineSpec], Engine] | None = None,
    hang_s: float | None = None,
    standing: Standing = ORDINARY,
    trace: Trace | None = None,
    stop: threading.Event | None = None,
    reset: threading.Event | None = None,
    on_progress: Callable[[Counters], None] | None = None,
    model_name: str | None = None,
) -> StreamReport:
    """Stream until the source ends, a limit is reached, ``stop`` is set or Ctrl-C; then drain and close the sinks.

    Frames in flight at the end are still presented. A frame that cannot be processed (NaN, an engine that fails or
    hangs) is shown as captured and marked; one that cannot be read at all is counted as failed. A sink that fails is
    closed and left out. A source that fails after its first frame ends the stream, and so does the last sink that
    fails; ``report.error`` says so.

    Several streams may run in one process, each called from a thread of its own.

    Args:
        source: stays open; the caller closes it. A live source is closed when the stream is to end.
        engine: None shows frames as they are. Used from one thread at a time; stays open.
        sinks: opened, written and closed by the stream; see ``Fanout`` for their threads. May be empty.
        policy: `latest`, where a frame that waits is dropped for a newer one; or `every`, where capture waits.
        late: what becomes of a frame that is over its deadline before it is shown: it is shown and counted as late, or
            dropped.
        pace: capture at the source's frame period (1/30 s when it states none, or one below 1 µs or above an hour);
            else as fast as frames are taken. A live source sets its own pace.
        deadline_ms: from capture to presentation; the frame period when None.
        loop: repeat the source, unless it is live.
        frames, seconds: end after so many captures, or so long.
        ladder: quicker engines of the same scale, the quickest last, to step down to when deadlines are missed, and the
            passthrough after them; may be empty. None: never step.
        reopen: opens another engine like one that hung or keeps failing; it is closed by the stream.
        hang_s: how long an engine may take for one frame; ten deadlines, and 1 s at least, when None.
        standing: priority and processors of the stream's threads.
        trace: written by the stream; the caller closes it.
        stop: set it to end the stream. The stream sets it too, on Ctrl-C and when the last sink fails.
        reset: set it to make a temporal model start anew; the stream clears it.
        on_progress: called four times a second in the caller's thread.
        model_name: for the report; the engine knows its own.

    Raises:
        UsageError: a limit or the deadline makes no sense, the standing is not permitted, a model gives something else
            than images, or the ladder's models another scale.
        SourceError: the source gave nothing at all.
        SinkError: a sink could not be opened; nothing is captured then.
    """
    _refuse_nonsense(policy, late, deadline_ms, frames, seconds, hang_s)
    engines = [*([engine] if engine else []), *(ladder or ())]
    scale = _common_scale(engines)
    standing.try_out()
    stated_s, live = source.period_s or 0.0, getattr(source, "live", False)
    period_s = stated_s if _SHORTEST_S <= stated_s <= _LONGEST_S else DEFAULT_PERIOD_S
    timed = pace or live or deadline_ms is not None
    deadline_ms = period_s * 1e3 if deadline_ms is None else deadline_ms
    played: Iterator[tuple[Capture, bool]] = play(source, loop and not live)
    slots = ring(scale)
    if not live:
        played, first = _first(played, source)
        _warm_up(engines, slots, first)
    counters = Counters()
    info = _info(source, engines[0].spec if engines else None, model_name, period_s, deadline_ms, scale, counters)
    overtake = policy == "latest"
    captured, processed = Mailbox(overtake), Mailbox(overtake)
    begin, ended, stop = threading.Event(), threading.Event(), stop or threading.Event()
    capturer = Capturer(
        played, slots, captured, counters, begin, stop, period_s if pace and not live else None, not overtake,
        live, source.spacing_mm, frames, seconds, (lambda capture: _warm_up(engines, slots, capture)) if live else None,
        trace, standing,
    )  # fmt: skip
    rungs = Ladder(engines, counters, period_s, min(deadline_ms, period_s * 1e3), steps=ladder is not None)
    hang_s = hang_s or max(_HANG_AT_LEAST_S, _HANG_DEADLINES * deadline_ms / 1e3)
    replacer = Replacer(reopen, counters)
    processor = Processor(
        rungs, replacer, slots, captured, processed, counters, reset or threading.Event(), hang_s, trace, standing
    )
    fanout = Fanout(sinks, defer=overtake)
    presenter = Presenter(fanout, info, rungs, slots, processed, begin, stop, late == "skip", timed, trace, standing)
    watch = Watch(source, capturer, counters, period_s, stop, ended)
    with settled_interpreter():
        interrupted = run_stages(
            [watch.run, capturer.run, processor.run, presenter.run], stop, ended,
            (lambda: on_progress(counters)) if on_progress else None,
        )  # fmt: skip
    interrupted = (interrupted or capturer.interrupted) and not fanout.all_lost
    _raise_what_ended(source, capturer, presenter, interrupted)
    return make_report(capturer, presenter, engines[0].spec.threads if engines else 0, interrupted)


def _refuse_nonsense(
    policy: str, late: str, deadline_ms: float | None, frames: int | None, seconds: float | None, hang_s: float | None
) -> None:
    if policy not in ("latest", "every"):
        raise UsageError(f"unknown policy '{policy}': choose latest or every")
    if late not in ("present", "skip"):
        raise UsageError(f"late frames cannot be treated as '{late}': choose present or skip")
    limits = {"deadline": deadline_ms, "number of frames": frames, "duration": seconds, "time to hang": hang_s}
    for name, value in limits.items():
        if value is not None and not 0 < value < math.inf:
            raise UsageError(f"the {name} must be a number above 0, not {value}")


def _info(
    source: Source, spec: EngineSpec | None, model_name: str | None, period_s: float, deadline_ms: float, scale: int,
    counters: Counters,
) -> StreamInfo:  # fmt: skip
    """What sinks are told."""
    return StreamInfo(
        source=source.name,
        model=spec.model.name if spec else model_name or "none",
        backend=spec.backend if spec else "none",
        precision=spec.precision if spec else "fp32",
        period_s=period_s,
        deadline_ms=deadline_ms,
        spacing_mm=source.spacing_mm and (source.spacing_mm[0] / scale, source.spacing_mm[1] / scale),
        counters=counters,
        live=getattr(source, "live", False),
        lossy=getattr(source, "lossy", None),
    )


def _common_scale(engines: Sequence[Engine]) -> int:
    for one in engines:
        model = one.spec.model
        if model.fixed_output:
            raise UsageError(f"{model.name} makes no images: a stream wants a model that does")
        if model.scale != engines[0].spec.model.scale:
            raise UsageError(f"{model.name} enlarges ×{model.scale}: all models of a ladder must enlarge alike")
    return engines[0].spec.model.scale if engines else 1


def _first(played: Iterator[tuple[Capture, bool]], source: Source) -> tuple[Iterator[tuple[Capture, bool]], Capture]:
    """The play of a recording, and a look at its first capture, so that buffers can be warmed up."""
    try:
        head = next(played, None)
    except EdgereconError:
        raise
    except Exception as error:
        raise SourceError(f"{source.name} cannot be read: {error}") from error
    if head is None:
        raise SourceError(f"{source.name} holds no frame")
    return chain([head], played), head[0]


def _warm_up(engines: Sequence[Engine], slots: Iterable[Slot], first: Capture) -> None:
    """Make slots and engines ready for the first frame's size. Failures are met again in the loop, and counted."""
    if first.image is not None:
        with suppress(ValueError, MemoryError):
            refuse_huge(first.image)
            for slot in slots:
                slot.prepare(first.image)
        for engine in engines:
            with suppress(Exception):
                warm_up(engine, to_gray(first.image).shape)


def _raise_what_ended(source: Source, capturer: Capturer, presenter: Presenter, interrupted: bool) -> None:
    if presenter.open_error is not None:
        raise presenter.open_error
    if presenter.info.counters.frames_in == 0 and not interrupted and not capturer.time_is_up():
        if isinstance(capturer.error, EdgereconError):
            raise capturer.error
        raise SourceError(f"{source.name} gave no frame" + (f": {capturer.error}" if capturer.error else ""))
