"""One stream of several: everything it needs opened, run and closed on a thread of its own."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Sequence
from contextlib import closing, suppress

from edgerecon.core.errors import EdgereconError, SourceError, first_line, redacted
from edgerecon.engines import open_engine
from edgerecon.engines.base import Engine
from edgerecon.hardware.host import usable_cores
from edgerecon.stream.accounting.counters import Counters
from edgerecon.stream.conversion import is_conversion
from edgerecon.stream.engines import Engines
from edgerecon.stream.filters.chain import FilterSettings
from edgerecon.stream.filters.filter import open_filters
from edgerecon.stream.filters.source import filtered
from edgerecon.stream.loop.options import StreamOptions
from edgerecon.stream.loop.report import StreamReport
from edgerecon.stream.loop.stream import stream
from edgerecon.stream.picture.crop import cropped
from edgerecon.stream.process.backoff import Backoff
from edgerecon.stream.process.guarded import GuardedThread
from edgerecon.stream.serve.config import StreamTable
from edgerecon.stream.serve.ledger import Look, Tally
from edgerecon.stream.serve.pages import Pages, named
from edgerecon.stream.sinks import open_sink
from edgerecon.stream.sinks.base import Sink
from edgerecon.stream.sources import Source, open_source
from edgerecon.stream.sources.kind import is_live

_WAIT_S, _WAIT_AT_MOST_S = 1.0, 10.0
_log = logging.getLogger(__name__)


class Worker:
    """Starts at once. Whatever fails in it ends this stream alone, and is said by ``look``.

    A live source that is not there yet, as a scanner that is switched on later, is waited for.

    Args:
        threads: of the engine, where the table gives none; default: all cores.
        opener: opens its engines.
        wait_for: ended before anything is opened: the stream of the same name before it.
        pages: told how the stream stands; default: its own pages, which go with it.
    """

    def __init__(
        self,
        table: StreamTable,
        threads: int | None = None,
        opener: Callable[..., Engine] = open_engine,
        wait_for: Callable[[], None] = lambda: None,
        pages: Pages | None = None,
    ) -> None:
        self.table = table
        self._own_pages = pages is None
        self._pages = pages or Pages()
        if self._own_pages:
            self._pages.expect([table])
        self._threads, self._opener, self._wait_for = threads, opener, wait_for
        self._stop, self._ended, self._gone = threading.Event(), threading.Event(), threading.Event()
        self._counters: Counters | None = None
        self._report: StreamReport | None = None
        self._error: str | None = None
        self._addresses: list[str] = []
        self._waiting = False
        GuardedThread(table.name, self._run).start()

    def stop(self) -> None:
        """End the stream in order; returns at once."""
        self._stop.set()

    def wait(self, timeout_s: float) -> bool:
        """Whether it has ended by then and, where it failed, was stopped: nothing of it is left."""
        return self._gone.wait(timeout_s)

    def look(self) -> Look:
        """See ``Running.look``."""
        counters = self._counters or Counters()
        counts = counters.snapshot()
        state = "waiting" if self._waiting else "starting" if self._counters is None else "running"
        state = "stalled" if counts["stalled"] else state
        if self._ended.is_set():
            state = "failed" if self._error else "ended"
        tally = Tally.of(counts)
        return Look(
            state=state,
            error=self._error,
            stopped=self._stop.is_set(),
            tally=tally.closed() if self._ended.is_set() else tally,
            rung=counters.ladder[counters.rung] if counters.ladder else "",
            latency_ms=counters.last_latency_ms,
            report=self._report.to_json() if self._report else None,
            addresses=tuple(self._addresses),
        )

    def _run(self) -> None:
        self._say("starting")
        try:
            self._wait_for()
            source = self._await_source()
            if source is not None:
                with closing(source):
                    self._stream(source)
        except BaseException as error:  # noqa: BLE001 - the fault of one stream is not that of the others
            said = first_line(error)
            unknown = isinstance(error, Exception) and not isinstance(error, EdgereconError)
            self._error = redacted(f"{type(error).__name__}: {said}" if unknown else said)
        finally:
            if self._error:
                _log.error("stream '%s' failed: %s", self.table.name, self._error)
            self._say("failed" if self._error else "ended")
            self._ended.set()
            if self._own_pages:
                if self._error and self._pages.any:
                    self._stop.wait()  # until then they say that it failed
                self._pages.close()
            self._gone.set()

    def _await_source(self) -> Source | None:
        """The source; a live one is tried again until it is there, or the stream is stopped: then None."""
        uri, backoff = self.table.source, Backoff(self._stop, _WAIT_S, _WAIT_AT_MOST_S)
        try:
            while not self._stop.is_set():
                try:
                    return open_source(uri)
                except SourceError as error:
                    if not is_live(uri):
                        raise
                    if not self._waiting:
                        _log.warning("stream '%s' waits for its source: %s", self.table.name, error)
                        self._waiting = True
                        self._say("waiting")
                backoff.wait()
        finally:
            self._waiting = False
        return None

    def _stream(self, source: Source) -> None:
        table, sinks = self.table, list[Sink]()
        try:
            for uri in table.sinks:
                sinks.append(open_sink(named(uri, table.name)))
                self._addresses += [text for key in ("url", "token") if (text := getattr(sinks[-1], key, None))]
            before, after = (FilterSettings(open_filters(texts)) for texts in (table.filters, table.filters_after))
            with Engines(
                table.backend,
                table.precision,
                table.threads or self._threads,
                self._opener,
                strength=table.strength,
                protect=table.protect,
                filters=after,
                filters_before=before,
            ) as engines:
                engine = engines.open(table.model) if table.model else None
                ladder = engines.open_ladder(table.model, table.ladder)
                source = filtered(source, before)
                engines.find_tissue(cropped(source, table.crop_box))
                converts = is_conversion(source, table.sinks) and table.late == "present"
                policy = table.policy or ("every" if converts else "latest")
                options = StreamOptions(
                    policy=policy,
                    late=table.late,
                    deadline_ms=table.deadline_ms,
                    loop=table.loop,
                    frames=table.frames,
                    seconds=table.seconds,
                    crop=table.crop_box,
                )
                self._report = stream(
                    source,
                    engine,
                    sinks,
                    options,
                    ladder=ladder,
                    reopen=engines.reopen,
                    stop=self._stop,
                    on_progress=self._show_progress,
                    controls=engines.controls,
                )
            self._error = self._report.error
        finally:
            close_all(sinks)  # what the stream did not come to close holds ports

    def _show_progress(self, counters: Counters) -> None:
        if self._counters is None:
            self._say("running")
        self._counters = counters

    def _say(self, state: str) -> None:
        self._pages.say(self.table, state)


def close_all(sinks: Sequence[Sink]) -> None:
    """Whatever they say to it."""
    for sink in sinks:
        with suppress(BaseException):
            sink.close()


def threads_each(streams: int) -> int:
    """Of the engines of so many streams on this machine: cores for all of them, one at least."""
    return max(1, usable_cores() // max(1, streams))
