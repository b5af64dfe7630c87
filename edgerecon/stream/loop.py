"""The real-time loop: source → engine → sinks under a deadline, each on its own thread."""

from __future__ import annotations

import gc
import math
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from itertools import chain
from typing import Literal

import numpy as np

from edgerecon.engines.base import Engine
from edgerecon.errors import EdgereconError, SinkError, SourceError, UsageError
from edgerecon.frame import to_unit
from edgerecon.stream.capture import Capturer, play
from edgerecon.stream.counters import Counters
from edgerecon.stream.present import Presenter
from edgerecon.stream.process import Processor
from edgerecon.stream.report import StreamReport
from edgerecon.stream.ring import Mailbox, ring
from edgerecon.stream.sinks.base import Sink, StreamInfo
from edgerecon.stream.sources.base import Capture, Source

DEFAULT_PERIOD_S = 1 / 30
"""Between two frames of a source that does not state its rate."""

_PROGRESS_EVERY_S = 0.25
_SWITCH_INTERVAL_S = 5e-4
_SAME_CTRL_C_S = 1.0


def stream(
    source: Source,
    engine: Engine | None,
    sinks: Sequence[Sink],
    *,
    policy: Literal["latest", "every"] = "latest",
    pace: bool = True,
    deadline_ms: float | None = None,
    loop: bool = False,
    frames: int | None = None,
    seconds: float | None = None,
    stop: threading.Event | None = None,
    on_progress: Callable[[Counters], None] | None = None,
    model_name: str | None = None,
) -> StreamReport:
    """Stream until the source ends, a limit is reached, ``stop`` is set or Ctrl-C; then drain and close the sinks.

    Frames in flight at the end are still presented. A frame that cannot be processed (NaN, an engine that fails) is
    shown as captured and marked; one that cannot be read at all is counted as failed. A sink that fails is closed and
    left out. A source that fails after its first frame ends the stream, and ``report.error`` says so.

    Args:
        source: stays open; the caller closes it.
        engine: None shows frames as they are. Used from one thread; stays open.
        sinks: opened, written and closed by the stream, all from one thread. May be empty.
        policy: `latest`, where a frame that waits is dropped for a newer one; or `every`, where capture waits.
        pace: capture at the source's frame period (1/30 s when it states none); else as fast as frames are taken.
        deadline_ms: from capture to presentation; the frame period when None.
        loop: repeat the source.
        frames, seconds: end after so many captures, or so long.
        stop: set it to end the stream. The stream sets it too, on Ctrl-C and when the last sink fails.
        on_progress: called four times a second in the caller's thread.
        model_name: for the report; the engine knows its own.

    Raises:
        UsageError: a limit or the deadline makes no sense, or the model gives something else than images.
        SourceError: the source gave nothing at all.
        SinkError: a sink could not be opened (nothing is captured then), or the last sink failed.
    """
    _refuse_nonsense(policy, deadline_ms, frames, seconds)
    if engine is not None and engine.spec.model.fixed_output:
        raise UsageError(f"{engine.spec.model.name} makes no images: a stream wants a model that does")
    period_s = source.period_s or DEFAULT_PERIOD_S
    scale = engine.spec.model.scale if engine else 1
    played, first = _first(source, loop)
    counters, slots = Counters(), ring(scale)
    _warm_up(engine, first)
    info = StreamInfo(
        source=source.name,
        model=engine.spec.model.name if engine else model_name or "none",
        backend=engine.spec.backend if engine else "none",
        precision=engine.spec.precision if engine else "fp32",
        period_s=period_s,
        deadline_ms=period_s * 1e3 if deadline_ms is None else deadline_ms,
        spacing_mm=source.spacing_mm and (source.spacing_mm[0] / scale, source.spacing_mm[1] / scale),
        counters=counters,
    )
    overtake = policy == "latest"
    captured, processed = Mailbox(overtake), Mailbox(overtake)
    begin, stop = threading.Event(), stop or threading.Event()
    capturer = Capturer(
        played, slots, captured, counters, begin, stop, period_s if pace else None, not overtake, frames, seconds
    )
    processor = Processor(engine, slots, captured, processed, counters)
    presenter = Presenter(sinks, info, slots, processed, begin, stop)
    with _settled_interpreter():
        interrupted = _run([capturer.run, processor.run, presenter.run], stop, counters, on_progress)
    if presenter.open_error is not None:
        raise presenter.open_error
    if presenter.all_lost:
        raise SinkError("; ".join(presenter.failures))
    interrupted = interrupted or capturer.interrupted
    return _report(source, engine, info, capturer, presenter, interrupted)


def _refuse_nonsense(policy: str, deadline_ms: float | None, frames: int | None, seconds: float | None) -> None:
    if policy not in ("latest", "every"):
        raise UsageError(f"unknown policy '{policy}': choose latest or every")
    for name, value in (("deadline", deadline_ms), ("number of frames", frames), ("duration", seconds)):
        if value is not None and not 0 < value < math.inf:
            raise UsageError(f"the {name} must be a number above 0, not {value}")


def _first(source: Source, loop: bool) -> tuple[Iterator[tuple[Capture, bool]], Capture]:
    """The endless or single play of a source, and a look at its first capture, so that buffers can be warmed up."""
    played = play(source, loop)
    try:
        head = next(played, None)
    except EdgereconError:
        raise
    except Exception as error:
        raise SourceError(f"{source.name} cannot be read: {error}") from error
    if head is None:
        raise SourceError(f"{source.name} holds no frame")
    return chain([head], played), head[0]


def _warm_up(engine: Engine | None, first: Capture) -> None:
    """Run the engine on two blank frames of the first frame's size. Failures are met again in the loop, and counted."""
    if engine is None or first.image is None:
        return
    with suppress(Exception):
        blank = np.zeros_like(to_unit(first.image))
        out = engine.run(blank).copy()
        engine.run(blank, out)
        engine.reset()


def _run(
    stages: list[Callable[[], None]],
    stop: threading.Event,
    counters: Counters,
    on_progress: Callable[[Counters], None] | None,
) -> bool:
    """Run the stages, each on its thread, until the last of them ends. Returns whether Ctrl-C ended it."""
    # Not Thread.join: when Ctrl-C interrupts it, Python up to 3.12 takes a running thread for an ended one.
    ended = threading.Event()

    def last() -> None:
        try:
            stages[-1]()
        finally:
            ended.set()

    threads = [threading.Thread(target=stage, daemon=True) for stage in (*stages[:-1], last)]
    interrupted = False
    try:
        for thread in threads:
            thread.start()
        while not ended.wait(_PROGRESS_EVERY_S if on_progress else None):
            if on_progress:
                on_progress(counters)
        if on_progress:
            on_progress(counters)
    except KeyboardInterrupt:
        interrupted = True
    finally:
        if not ended.is_set():
            stop.set()
        if threads[-1].ident is not None:
            _drain(ended)
        for thread in threads:
            if thread.ident is not None:
                thread.join()
    return interrupted


def _drain(ended: threading.Event) -> None:
    """Wait for the last stage. One Ctrl-C may arrive as two signals: only a later one gives the files up."""
    begun = time.monotonic()
    while not ended.is_set():
        try:
            ended.wait()
        except KeyboardInterrupt:
            if time.monotonic() - begun > _SAME_CTRL_C_S:
                raise


@contextmanager
def _settled_interpreter() -> Iterator[None]:
    """Let threads change over quickly, and keep what was loaded so far out of garbage collections."""
    interval = sys.getswitchinterval()
    sys.setswitchinterval(min(interval, _SWITCH_INTERVAL_S))
    gc.collect()
    gc.freeze()
    try:
        yield
    finally:
        gc.unfreeze()
        sys.setswitchinterval(interval)


def _report(
    source: Source,
    engine: Engine | None,
    info: StreamInfo,
    capturer: Capturer,
    presenter: Presenter,
    interrupted: bool,
) -> StreamReport:
    from edgerecon.device import host_profile

    counters, latency = info.counters, presenter.latency
    elapsed_s = (presenter.finished_ns - capturer.started_ns) / 1e9
    missed = counters.late + counters.dropped + counters.failed
    errors = list(presenter.failures)
    if capturer.error is not None:
        errors.insert(0, f"{source.name} failed: {capturer.error}")
    elif counters.presented == 0 and not interrupted:
        errors.insert(0, f"no frame of {source.name} could be shown")
    return StreamReport(
        frames_in=counters.frames_in,
        presented=counters.presented,
        dropped=counters.dropped,
        late=counters.late,
        failed=counters.failed,
        raw_shown=counters.raw_shown,
        fps=counters.presented / elapsed_s if counters.presented else 0.0,
        deadline_ms=info.deadline_ms,
        deadline_miss_rate=missed / counters.frames_in if counters.frames_in else 0.0,
        latency_ms={name: latency.percentile(q) for name, q in (("p50", 50), ("p90", 90), ("p99", 99), ("p999", 99.9))}
        | {"max": latency.max_ms},
        stages_ms={
            stage: {"p50": times.percentile(50), "p99": times.percentile(99)}
            for stage, times in presenter.stages.items()
        },
        engine={
            "backend": info.backend,
            "precision": info.precision,
            "threads": engine.spec.threads if engine else 0,
        },
        model=info.model,
        source=info.source,
        host=host_profile(),
        drops=dict(counters.drops),
        failures=dict(counters.failures),
        interrupted=interrupted,
        error="; ".join(errors) or None,
        latency_histogram=latency.bars(),
    )
