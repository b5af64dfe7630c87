"""Several models side by side on one capture: each is a stream of its own, with its own deadline, sinks and account."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from edgerecon.core.errors import EdgereconError, UsageError, first_line
from edgerecon.engines.base import Engine
from edgerecon.stream.accounting.counters import Counters
from edgerecon.stream.loop.report import StreamReport
from edgerecon.stream.loop.stream import stream
from edgerecon.stream.process.guarded import GuardedThread
from edgerecon.stream.serve.pages import named
from edgerecon.stream.sinks.base import Sink
from edgerecon.stream.sinks.kind import kind_of
from edgerecon.stream.sources.base import Source
from edgerecon.stream.sources.shared import SharedCapture

_LOOK_EVERY_S = 0.25


def sink_of(uri: str, model: str) -> str:
    """The sink of one of several models: a file of its own, or its own pane of a page.

    Raises:
        UsageError: the sink is neither.

    Examples:
        >>> sink_of("out.mp4", "small")
        'out-small.mp4'
    """
    kind = kind_of(uri)
    if kind is not None and kind.endings:
        path, _, options = uri.partition("?")
        whole = Path(path)
        return f"{path.removesuffix(whole.name)}{whole.stem}-{model}{whole.suffix}{'?' if options else ''}{options}"
    if uri == "null" or (kind is not None and kind.shared):
        return named(uri, model)
    raise UsageError(f"{uri} shows one stream: give --beside files, viewer, metrics or null")


def stream_beside(
    source: Source,
    engines: Sequence[Engine | None],
    sinks: Sequence[Sequence[Sink]],
    *,
    stop: threading.Event,
    on_progress: Callable[[Counters], None] | None = None,
    **how: Any,
) -> list[StreamReport]:
    """Stream until the source ends, or ``stop`` is set, for every engine at once.

    Args:
        source: is read once; the caller closes it. engines, sinks: of each stream.
        on_progress: called with the counters of the first stream. how: as ``stream`` takes it.

    Returns:
        The report of each.

    Raises:
        Exception: what the first of the streams that could not begin raised; the others are ended then.
    """
    shared = SharedCapture(source, len(engines))
    reports: list[StreamReport | None] = [None] * len(engines)
    ended = [threading.Event() for _ in engines]

    def run(at: int) -> None:
        branch = shared.branches[at]
        told = on_progress if at == 0 else None
        try:
            reports[at] = stream(branch, engines[at], sinks[at], stop=stop, on_progress=told, **how)
        finally:
            branch.close()
            ended[at].set()

    def give_up(at: int) -> None:
        stop.set()
        shared.branches[at].close()
        ended[at].set()

    threads = [GuardedThread(f"beside {at}", partial(run, at), lambda error: stop.set()) for at in range(len(engines))]
    lost: EdgereconError | None = None
    for at, thread in enumerate(threads):
        try:
            thread.start()
        except (RuntimeError, MemoryError) as error:
            lost = lost or EdgereconError(f"{thread.name} cannot start ({first_line(error)}): allow more threads")
            give_up(at)
    interrupted = _wait_for(threads, ended, stop, give_up)
    lost = lost or next((EdgereconError(f"the thread '{one.name}' was lost") for one in threads if one.vanished), None)
    if lost is not None:
        raise lost
    failed = next((thread.failure for thread in threads if thread.failure is not None), None)
    if failed is not None:
        raise failed
    found = [report for report in reports if report is not None]
    for report in found:
        report.interrupted = report.interrupted or interrupted
    return found


def _wait_for(
    threads: Sequence[GuardedThread],
    ended: Sequence[threading.Event],
    stop: threading.Event,
    give_up: Callable[[int], None],
) -> bool:
    """Wait for every stream, and give up one whose thread ended without a word. Returns whether Ctrl-C ended them.

    Not by Thread.join: when Ctrl-C interrupts it, Python up to 3.12 takes a running thread for an ended one.
    """
    interrupted = False
    while not all(one.is_set() for one in ended):
        try:
            for one in ended:
                one.wait(_LOOK_EVERY_S)
            for at, thread in enumerate(threads):
                if thread.vanished and not ended[at].is_set():
                    give_up(at)
        except KeyboardInterrupt:
            interrupted = True
            stop.set()
    return interrupted


def distinct_names(models: Sequence[str]) -> list[str]:
    """What tells the models of one command apart: their file stems, numbered where two are alike.

    Examples:
        >>> distinct_names(["a/small.onnx", "b/small.onnx", "large"])
        ['small-1', 'small-2', 'large']
    """
    stems = [Path(model).name.removesuffix(".onnx") for model in models]
    return [
        stem if stems.count(stem) == 1 else f"{stem}-{stems[: at + 1].count(stem)}" for at, stem in enumerate(stems)
    ]
