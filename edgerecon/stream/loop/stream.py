"""The real-time loop: source → engine → sinks under a deadline, each on its own thread."""

from __future__ import annotations

import math
import threading
from collections.abc import Callable, Iterable, Sequence
from functools import partial
from typing import Literal

from edgerecon.core.errors import EdgereconError, SourceError, UsageError, first_line
from edgerecon.core.frame import to_gray
from edgerecon.engines.base import Engine, EngineSpec
from edgerecon.stream.accounting.counters import Counters
from edgerecon.stream.loop.capture import Capturer, play, refuse_huge
from edgerecon.stream.loop.fanout import Fanout
from edgerecon.stream.loop.ladder import Ladder
from edgerecon.stream.loop.present import Presenter
from edgerecon.stream.loop.process import Processor
from edgerecon.stream.loop.replace import Replacer
from edgerecon.stream.loop.report import StreamReport, make_report
from edgerecon.stream.loop.ring import Mailbox, Slot, ring
from edgerecon.stream.loop.stages import run_stages
from edgerecon.stream.loop.trace import Trace
from edgerecon.stream.loop.watch import Watch
from edgerecon.stream.process.gc_guard import settled_interpreter
from edgerecon.stream.process.scheduling import ORDINARY, Standing
from edgerecon.stream.sinks.base import Sink, StreamInfo
from edgerecon.stream.sources.base import Capture, Source

DEFAULT_PERIOD_S = 1 / 30
"""Between two frames of a source that does not state its rate."""

_SHORTEST_S, _LONGEST_S = 1e-6, 3600.0
"""A period beyond them is a damaged number."""

_HANG_AT_LEAST_S, _HANG_DEADLINES = 1.0, 10

_FIRST_CALL_AT_LEAST_S = 10.0
"""A runtime may compile a model in its first call."""


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
    slots = ring(scale)
    counters = Counters()
    info = _info(source, engines[0].spec if engines else None, model_name, period_s, deadline_ms, scale, counters)
    overtake = policy == "latest"
    captured, processed = Mailbox(overtake), Mailbox(overtake)
    begin, over, ended = threading.Event(), threading.Event(), threading.Event()
    stop = stop or threading.Event()
    rungs = Ladder(engines, counters, period_s, min(deadline_ms, period_s * 1e3), steps=ladder is not None)
    first_call_s = hang_s or max(_FIRST_CALL_AT_LEAST_S, _HANG_DEADLINES * deadline_ms / 1e3)
    hang_s = hang_s or max(_HANG_AT_LEAST_S, _HANG_DEADLINES * deadline_ms / 1e3)
    replacer = Replacer(reopen, counters, first_call_s)
    warm_up = partial(_warm_up, rungs, replacer, slots, hang_s if live else first_call_s + _HANG_AT_LEAST_S, stop)
    capturer = Capturer(
        play(source, loop and not live), slots, captured, counters, begin, stop, over,
        period_s if pace and not live else None, not overtake, live, source.spacing_mm, frames, seconds, warm_up, trace,
        standing,
    )  # fmt: skip
    processor = Processor(
        rungs, replacer, slots, captured, processed, counters, reset or threading.Event(), hang_s, trace, standing
    )
    fanout = Fanout(sinks, defer=overtake)
    presenter = Presenter(
        fanout, info, rungs, slots, processed, capturer.wait_first, begin, stop, over, late == "skip", timed, trace,
        standing,
    )  # fmt: skip
    watch = Watch(source, capturer, counters, period_s, stop, ended)
    with settled_interpreter():
        interrupted, failures = run_stages(
            [watch.run, capturer.run, processor.run, presenter.run], stop, ended,
            (lambda: on_progress(counters)) if on_progress else None,
        )  # fmt: skip
    interrupted = (interrupted or capturer.interrupted) and not fanout.all_lost
    _close_books(counters, failures)
    _raise_what_ended(source, capturer, presenter, interrupted)
    return make_report(capturer, presenter, engines[0].spec.threads if engines else 0, interrupted, failures)


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


def _warm_up(
    ladder: Ladder, replacer: Replacer, slots: Iterable[Slot], wait_s: float, stop: threading.Event, first: Capture
) -> None:
    """Make slots and engines ready for the first frame's size; engines that take longer become ready behind the stream.

    Failures are met again in the loop, and counted.
    """
    assert first.image is not None
    refuse_huge(first.image)
    for slot in slots:
        slot.prepare(first.image)
    shape = to_gray(first.image).shape
    for rung in ladder.rungs:
        replacer.warm_up(rung, shape)
    replacer.wait_warm(wait_s, stop)


def _close_books(counters: Counters, failures: Sequence[str]) -> None:
    """A frame that was in a stage when that stage failed, or in a call that never came back, is lost."""
    for _ in range(counters.frames_in - counters.settled):
        counters.fail(failures[0] if failures else "it did not come out of the stream")


def _raise_what_ended(source: Source, capturer: Capturer, presenter: Presenter, interrupted: bool) -> None:
    if presenter.open_error is not None:
        raise presenter.open_error
    if presenter.info.counters.frames_in or interrupted or capturer.time_is_up():
        return
    if isinstance(capturer.error, EdgereconError):
        raise capturer.error
    if capturer.live:
        raise SourceError(
            f"{source.name} gave no frame" + (f": {first_line(capturer.error)}" if capturer.error else "")
        )
    if capturer.error is not None:
        raise SourceError(f"{source.name} cannot be read: {first_line(capturer.error)}") from capturer.error
    raise SourceError(f"{source.name} holds no frame")
