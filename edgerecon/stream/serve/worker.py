"""One stream of several: everything it needs opened, run and closed on a thread of its own."""

from __future__ import annotations

import logging
import os
import threading
from collections.abc import Callable
from contextlib import ExitStack, closing, suppress
from math import inf
from urllib.parse import quote

from edgerecon.engines import open_engine
from edgerecon.engines.base import Engine
from edgerecon.errors import EdgereconError
from edgerecon.stream.counters import Counters
from edgerecon.stream.engines import Engines
from edgerecon.stream.loop import DEFAULT_PERIOD_S, stream
from edgerecon.stream.report import StreamReport
from edgerecon.stream.serve.config import StreamTable, kind_of
from edgerecon.stream.serve.ledger import Look, Tally
from edgerecon.stream.sinks import open_sink
from edgerecon.stream.sinks.base import Sink, StreamInfo
from edgerecon.stream.sources import open_source

_log = logging.getLogger(__name__)


class Worker:
    """Starts at once. Whatever fails in it ends this stream alone, and is said by ``look``.

    Args:
        threads: of the engine, where the table gives none; default: all cores.
        opener: opens its engines.
        wait_for: ended before anything is opened: the stream of the same name before it.
    """

    def __init__(
        self,
        table: StreamTable,
        threads: int | None = None,
        opener: Callable[..., Engine] = open_engine,
        wait_for: Callable[[], None] = lambda: None,
    ) -> None:
        self.table = table
        self._threads, self._opener, self._wait_for = threads, opener, wait_for
        self._stop, self._ended = threading.Event(), threading.Event()
        self._counters: Counters | None = None
        self._report: StreamReport | None = None
        self._error: str | None = None
        self._addresses: list[str] = []
        threading.Thread(target=self._run, name=table.name, daemon=True).start()

    def stop(self) -> None:
        """End the stream in order; returns at once."""
        self._stop.set()

    def wait(self, timeout_s: float) -> bool:
        """Whether it has ended by then."""
        return self._ended.wait(timeout_s)

    def look(self) -> Look:
        counters = self._counters or Counters()
        counts = counters.snapshot()
        state = "starting" if self._counters is None else "stalled" if counts["stalled"] else "running"
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
        sinks: list[Sink] = []
        try:
            self._wait_for()
            if not self._stop.is_set():
                self._stream(sinks)
        except Exception as error:  # noqa: BLE001 - the fault of one stream is not that of the others
            self._error = str(error) if isinstance(error, EdgereconError) else f"{type(error).__name__}: {error}"
        finally:
            if self._error and self._counters is None:
                self._say_missing(sinks)
            for sink in sinks:  # what the stream did not come to close holds ports
                with suppress(Exception):
                    sink.close()
            if self._error:
                _log.error("stream '%s' failed: %s", self.table.name, self._error)
            self._ended.set()

    def _stream(self, sinks: list[Sink]) -> None:
        table = self.table
        with ExitStack() as stack:
            for uri in table.sinks:
                sinks.append(open_sink(named(uri, table.name)))
                self._addresses += [text for key in ("url", "token") if (text := getattr(sinks[-1], key, None))]
            threads = table.threads or self._threads
            engines = stack.enter_context(Engines(table.backend, table.precision, threads, self._opener))
            engine = engines.open(table.model) if table.model else None
            ladder = engines.open_ladder(table.model, table.ladder)
            source = stack.enter_context(closing(open_source(table.source)))
            self._report = stream(
                source, engine, sinks, policy=table.policy, late=table.late, deadline_ms=table.deadline_ms,
                loop=table.loop, frames=table.frames, seconds=table.seconds, ladder=ladder, reopen=engines.reopen,
                stop=self._stop, on_progress=self._told,
            )  # fmt: skip
            self._error = self._report.error

    def _say_missing(self, sinks: list[Sink]) -> None:
        """A stream that never began is in the metrics too, as ended: a service without it is not healthy."""
        table = self.table
        info = StreamInfo(
            table.source,
            table.model or "none",
            "none",
            "fp32",
            DEFAULT_PERIOD_S,
            table.deadline_ms or inf,
            None,
            Counters(),
        )
        for uri, sink in zip(table.sinks, sinks, strict=False):
            if kind_of(uri) == "metrics":
                with suppress(Exception):
                    sink.open(info)

    def _told(self, counters: Counters) -> None:
        self._counters = counters


def named(uri: str, name: str) -> str:
    """A sink's address with the stream's name, where it is one that shows names and gives none."""
    if kind_of(uri) not in ("viewer", "metrics") or "name=" in uri:
        return uri
    return f"{uri}{'&' if '?' in uri else '?'}name={quote(name)}"


def threads_each(streams: int) -> int:
    """Of the engines of so many streams on this machine: cores for all of them, one at least."""
    return max(1, len(os.sched_getaffinity(0)) // max(1, streams))
