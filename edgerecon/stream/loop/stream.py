"""The real-time loop: source → engine → sinks under a deadline, each on its own thread."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import numpy as np

from edgerecon.core.errors import EdgereconError, SourceError, UsageError, first_line
from edgerecon.core.frame import to_gray, to_unit
from edgerecon.engines.base import Engine, EngineSpec
from edgerecon.stream.accounting.counters import Counters
from edgerecon.stream.loop.capture import Capturer, play, refuse_huge
from edgerecon.stream.loop.fanout import Fanout
from edgerecon.stream.loop.ladder import Ladder
from edgerecon.stream.loop.options import StreamOptions
from edgerecon.stream.loop.present import Presenter
from edgerecon.stream.loop.process import Processor
from edgerecon.stream.loop.replace import Replacer
from edgerecon.stream.loop.report import StreamReport, make_report
from edgerecon.stream.loop.ring import Mailbox, Slot, ring
from edgerecon.stream.loop.stages import run_stages
from edgerecon.stream.loop.trace import Trace
from edgerecon.stream.loop.watch import Watch
from edgerecon.stream.loop.wires import Wires
from edgerecon.stream.overwriting import refuse_opened_overwriting
from edgerecon.stream.picture.crop import cropped
from edgerecon.stream.process.gc_guard import collecting_between_frames
from edgerecon.stream.sinks.base import Controls, Sink, StreamInfo
from edgerecon.stream.sources.base import Capture, Source

_log = logging.getLogger(__name__)

DEFAULT_PERIOD_S = 1 / 30
"""Between two frames of a source that does not state its rate."""

_SHORTEST_S, _LONGEST_S = 1e-6, 3600.0
"""A period beyond them is a damaged number."""

_HANG_AT_LEAST_S, _HANG_DEADLINES = 1.0, 10

_FIRST_CALL_AT_LEAST_S = 10.0
"""A runtime may compile a model in its first call."""

_DEFAULTS = StreamOptions()


def stream(
    source: Source,
    engine: Engine | None,
    sinks: Sequence[Sink],
    options: StreamOptions = _DEFAULTS,
    *,
    ladder: Sequence[Engine] | None = None,
    reopen: Callable[[EngineSpec], Engine] | None = None,
    trace: Trace | None = None,
    stop: threading.Event | None = None,
    reset: threading.Event | None = None,
    on_progress: Callable[[Counters], None] | None = None,
    model_name: str | None = None,
    controls: Controls | None = None,
    **changes: Any,
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
        options: how the stream runs.
        ladder: quicker engines of the same scale, the quickest last, to step down to when deadlines are missed, and the
            passthrough after them; may be empty. None: never step.
        reopen: opens another engine like one that hung or keeps failing; it is closed by the stream.
        trace: written by the stream; the caller closes it.
        stop: set it to end the stream. The stream sets it too, on Ctrl-C and when the last sink fails.
        reset: set it to make a temporal model start anew; the stream clears it.
        on_progress: called four times a second in the caller's thread.
        model_name: for the report; the engine knows its own.
        controls: what a viewer may change meanwhile; ``edgerecon.stream.engines.Engines.controls`` are of its engines.
        changes: fields of ``StreamOptions`` that take the place of those in ``options``, e.g. ``pace=False``.

    Raises:
        UsageError: an option makes no sense, the crop is not within a recording, the scheduling is not permitted, a
            model gives something else than images, the ladder's models another scale, or a sink would overwrite the
            source or what another one writes.
        TypeError: ``StreamOptions`` has no such field.
        SourceError: the source gave nothing at all.
        SinkError: a sink could not be opened; nothing is captured then.
        EdgereconError: the system has no room for the stream's threads.

    Examples:
        >>> from edgerecon.stream.sources import open_source
        >>> report = stream(open_source("sample"), None, [], policy="every", pace=False)
        >>> figures = report.to_json()
        >>> figures["frames_in"], figures["presented"], figures["dropped"], figures["failed"]
        (30, 30, 0, 0)
    """
    options = replace(options, **changes)
    refuse_opened_overwriting(source, sinks)
    source = cropped(source, options.crop)
    engines = [*([engine] if engine else []), *(ladder or ())]
    scale = _common_scale(engines)
    options.scheduling.check()
    timing = _Timing.of(source, options)
    wires = _wires(options, scale, trace, stop, reset)
    counters = wires.counters
    info = _info(source, engines[0].spec if engines else None, model_name, timing, scale, counters, controls)
    rungs = Ladder(engines, counters, timing.period_s, timing.budget_ms, steps=ladder is not None)
    replacer = Replacer(reopen, counters, timing.first_call_s)
    warm_up = partial(_warm_up, rungs, replacer, wires.slots, timing.warm_up_s, wires.stop)
    capturer = _capturer(source, options, timing, wires, warm_up)
    processor = Processor(wires, rungs, replacer, timing.hang_s)
    fanout = Fanout(sinks, defer=options.policy == "latest")
    presenter = Presenter(
        wires,
        fanout,
        info,
        rungs,
        capturer.wait_for_first_frame,
        skip_late=options.late == "skip",
        mark_late=timing.timed,
    )
    watch = Watch(wires, source, capturer, timing.period_s)
    stages = [watch.run, capturer.run, processor.run, presenter.run]
    with collecting_between_frames():
        told = (lambda: on_progress(counters)) if on_progress else None
        interrupted, failures = run_stages(stages, wires.stop, wires.ended, told, partial(_give_up, wires, capturer))
    interrupted = (interrupted or capturer.interrupted) and not fanout.all_lost
    _close_books(counters, failures)
    _raise_what_ended(source, capturer, presenter, interrupted or bool(failures))
    return make_report(capturer, presenter, engines[0].spec if engines else None, interrupted, failures)


@dataclass(frozen=True)
class _Timing:
    """The times of a stream, from its source and its options.

    Attributes:
        period_s: between two frames. deadline_ms: from capture to presentation. timed: whether a frame can be late.
        hang_s: how long an engine may take for a frame. first_call_s: and for its first one.
    """

    live: bool
    timed: bool
    period_s: float
    deadline_ms: float
    hang_s: float
    first_call_s: float

    @classmethod
    def of(cls, source: Source, options: StreamOptions) -> _Timing:
        live = getattr(source, "live", False)
        period_s = _period_s(source)
        deadline_ms = period_s * 1e3 if options.deadline_ms is None else options.deadline_ms
        patience_s = _HANG_DEADLINES * deadline_ms / 1e3
        return cls(
            live=live,
            timed=options.pace or live or options.deadline_ms is not None,
            period_s=period_s,
            deadline_ms=deadline_ms,
            hang_s=options.hang_s or max(_HANG_AT_LEAST_S, patience_s),
            first_call_s=options.hang_s or max(_FIRST_CALL_AT_LEAST_S, patience_s),
        )

    @property
    def budget_ms(self) -> float:
        """What a frame may take: the deadline, or the frame period where it is shorter."""
        return min(self.deadline_ms, self.period_s * 1e3)

    @property
    def warm_up_s(self) -> float:
        """How long the first frame waits for engines: those of a live source become ready behind the stream."""
        return self.hang_s if self.live else self.first_call_s + _HANG_AT_LEAST_S


def _period_s(source: Source) -> float:
    """As the source states it, else that of 30 frames a second; the log says where the stated one makes no sense."""
    stated_s = source.period_s
    if stated_s is not None and _SHORTEST_S <= stated_s <= _LONGEST_S:
        return stated_s
    if stated_s is not None:
        _log.warning("%s states %g s between two frames: 30 frames a second are taken", source.name, stated_s)
    return DEFAULT_PERIOD_S


def _wires(
    options: StreamOptions,
    scale: int,
    trace: Trace | None,
    stop: threading.Event | None,
    reset: threading.Event | None,
) -> Wires:
    overtake = options.policy == "latest"
    wires = Wires(ring(scale), Mailbox(overtake), Mailbox(overtake), trace=trace, scheduling=options.scheduling)
    wires.stop, wires.reset = stop or wires.stop, reset or wires.reset
    return wires


def _capturer(
    source: Source, options: StreamOptions, timing: _Timing, wires: Wires, warm_up: Callable[[Capture], None]
) -> Capturer:
    return Capturer(
        wires,
        play(source, options.loop and not timing.live),
        period_s=timing.period_s if options.pace and not timing.live else None,
        catch_up=options.policy != "latest",
        live=timing.live,
        spacing_mm=source.spacing_mm,
        frames=options.frames,
        seconds=options.seconds,
        warm_up=warm_up,
    )


def _info(
    source: Source,
    spec: EngineSpec | None,
    model_name: str | None,
    timing: _Timing,
    scale: int,
    counters: Counters,
    controls: Controls | None,
) -> StreamInfo:
    """What sinks are told."""
    return StreamInfo(
        source=source.name,
        model=spec.model.name if spec else model_name or "none",
        backend=spec.backend if spec else "none",
        precision=spec.precision if spec else "fp32",
        period_s=timing.period_s,
        deadline_ms=timing.deadline_ms,
        spacing_mm=source.spacing_mm and (source.spacing_mm[0] / scale, source.spacing_mm[1] / scale),
        counters=counters,
        live=timing.live,
        lossy=getattr(source, "lossy", None),
        controls=controls,
        why=spec.why if spec else "",
    )


def _common_scale(engines: Sequence[Engine]) -> int:
    for one in engines:
        model = one.spec.model
        if not model.makes_images:
            raise UsageError(f"{model.name} makes no images: edgerecon.stream.engines.Engines draws what it says")
        if model.scale != engines[0].spec.model.scale:
            raise UsageError(f"{model.name} enlarges ×{model.scale}: all models of a ladder must enlarge alike")
    return engines[0].spec.model.scale if engines else 1


def _warm_up(
    ladder: Ladder, replacer: Replacer, slots: Iterable[Slot], wait_s: float, stop: threading.Event, first: Capture
) -> None:
    """Make slots and engines ready for the first frame; engines that take longer become ready behind the stream.

    Failures are met again in the loop, and counted.
    """
    assert first.image is not None
    refuse_huge(first.image)
    for slot in slots:
        slot.prepare(first.image)
    try:
        frame = to_unit(first.image)
    except ValueError:  # it is met again in the loop
        frame = np.zeros(to_gray(first.image).shape, np.float32)
    for rung in ladder.rungs:
        replacer.warm_up(rung, frame)
    replacer.wait_warm(wait_s, stop)


def _give_up(wires: Wires, capturer: Capturer) -> None:
    wires.give_up()
    capturer.end()


def _close_books(counters: Counters, failures: Sequence[str]) -> None:
    """A frame that was in a stage when that stage failed, or in a call that never came back, is lost."""
    for _ in range(counters.frames_in - counters.settled):
        counters.fail(failures[0] if failures else "it did not come out of the stream")


def _raise_what_ended(source: Source, capturer: Capturer, presenter: Presenter, reported: bool) -> None:
    """``reported``: whether the report says why there may be no frame."""
    if presenter.open_error is not None:
        raise presenter.open_error
    if presenter.info.counters.frames_in or reported or capturer.time_is_up():
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
