"""The sinks of a stream: opened, written and closed one by one, so that the fault of one is not that of the others."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Sequence
from functools import partial

from edgerecon.core.errors import SinkError, first_line
from edgerecon.core.frame import Frame, Image
from edgerecon.stream.accounting.counters import Counters
from edgerecon.stream.process.backoff import Backoff
from edgerecon.stream.process.guarded import GuardedThread
from edgerecon.stream.sinks.base import Sink, StreamInfo, abandon
from edgerecon.stream.sinks.deferred import DeferredSink

CLOSE_S = 5.0
"""How long a sink may take to close, unless it states ``close_s``."""

_ABANDON_S = 2.0
_WAIT_S, _WAIT_AT_MOST_S = 1.0, 30.0
_log = logging.getLogger(__name__)


class CallAbandoned(Exception):
    """Raised when a call of a sink returns after the watchdog gave it up: another thread presents the frames now."""


class _Call:
    """A call of a sink that can be given up; its end raises CallAbandoned when it has been."""

    __slots__ = ("_fanout", "began_s", "sink")

    def __init__(self, fanout: Fanout, sink: Sink) -> None:
        self._fanout, self.sink, self.began_s = fanout, sink, time.monotonic()

    def __enter__(self) -> None:
        self._fanout.call = self

    def __exit__(self, *error: object) -> None:
        with self._fanout.lock:
            if self._fanout.call is not self:
                raise CallAbandoned
            self._fanout.call = None


class Fanout:
    """Presents every frame to each sink. One that raises, or hangs, is abandoned and left out from then on.

    With ``defer``, sinks that state ``quick = False`` (encoders, disks) or nothing get a thread of their own as soon as
    there is another sink that they could hold up; what they are too slow for is counted as their ``skips``. A sink with
    ``reopens = True`` (a connection) is opened again, with growing waits; a file is not, for it would be overwritten.

    Attributes:
        failures: one line for each sink that was lost and did not come back, or could not be finished.
        call: the call of a sink that is under way. lock: of all that other threads change.
    """

    def __init__(self, sinks: Sequence[Sink], defer: bool) -> None:
        alone = len(sinks) < 2
        self._all = [sink if alone or not defer or _is_quick(sink) else DeferredSink(sink) for sink in sinks]
        self._open: list[Sink] = []
        self._lost: dict[int, str] = {}
        self._returning: list[Sink] = []
        self._leaving: list[GuardedThread] = []
        self.lock = threading.Lock()
        self._closed = threading.Event()
        self._info: StreamInfo | None = None
        self.call: _Call | None = None
        self._due: list[Sink] = []
        self._had = False

    @property
    def failures(self) -> list[str]:
        """Why sinks were lost, a sentence each."""
        return list(self._lost.values())

    @property
    def all_lost(self) -> bool:
        """Whether there were sinks, every one of them failed, and none is being opened again."""
        return bool(self._all) and not self._open and len(self._lost) == len(self._all) and not self._returning

    def open(self, info: StreamInfo) -> None:
        """Open all of them; raises what the first that fails raises, and SinkError for what no sink should raise."""
        self._info = info
        for sink in self._all:
            try:
                with _Call(self, sink):
                    sink.open(info)
            except CallAbandoned:
                raise
            except BaseException as error:
                self._leave(sink)
                if isinstance(error, Exception):
                    raise
                raise SinkError(f"{sink.name} cannot be opened: {first_line(error)}") from error
            self._open.append(sink)

    def present(self, before: Image, after: Frame, late: bool) -> bool:
        """Hand the frame to each sink. Returns whether one had it, or there are none.

        Raises:
            CallAbandoned: a call was given up meanwhile; another thread has called ``resume``.
        """
        self._had = not self._all
        self._due = self._open.copy()
        return self.resume(before, after, late)

    def resume(self, before: Image, after: Frame, late: bool) -> bool:
        """Go on behind the sink whose call was given up; else as ``present``."""
        while self._due:
            sink = self._due.pop(0)
            try:
                with _Call(self, sink):
                    sink.present(before, after, late)
                self._had = True
            except CallAbandoned:
                raise
            except BaseException as error:  # noqa: BLE001 - a broken sink must not end the stream for the others
                self._lose_sink(sink, _said(sink, error))
        return self._had

    def abandon_hung(self, after_s: float) -> str | None:
        """Leave out the sink whose call has taken longer than that. Returns what is said of it, None when none has.

        The thread of the call finds that it was left behind, should the call return; it is not waited for.
        """
        with self.lock:
            call = self.call
            if call is None or time.monotonic() - call.began_s < after_s:
                return None
            self.call = None
        why = f"{call.sink.name} has hung for {after_s:g} s and was given up"
        self._lose_sink(call.sink, why)
        return why

    def close(self) -> None:
        """Close each on a thread of its own, so that none waits for another; abandon those that hang."""
        with self.lock:
            self._closed.set()
            closing, self._open = self._open, []
        begun = time.monotonic()
        threads = [(sink, GuardedThread(f"close {sink.name}", partial(self._close, sink))) for sink in closing]
        for _, thread in threads:
            thread.start()
        for sink, thread in threads:
            close_s = getattr(sink, "close_s", None) or CLOSE_S
            thread.join(max(0.0, begun + close_s - time.monotonic()))
            if thread.is_alive():
                self._note(sink, f"{sink.name} was not closed within {close_s:g} s and was given up")
                self._leave(sink)
        until = time.monotonic() + _ABANDON_S
        for leaving in self._leaving:
            leaving.join(max(0.0, until - time.monotonic()))

    @property
    def _counters(self) -> Counters:
        assert self._info is not None
        return self._info.counters

    def _lose_sink(self, sink: Sink, why: str) -> None:
        reopens = getattr(sink, "reopens", False)
        with self.lock:
            if sink in self._open:
                self._open.remove(sink)
            if reopens:
                self._returning.append(sink)
        self._note(sink, why)
        _log.warning("%s; the stream goes on without it", why)
        self._leave(sink, self._reopen if reopens else None)

    def _leave(self, sink: Sink, afterwards: Callable[[Sink], None] | None = None) -> None:
        """Abandon a sink behind the stream, for that may take its time too."""

        def work() -> None:
            try:
                abandon(sink)
            except BaseException as again:  # noqa: BLE001 - it is lost already
                _log.debug("%s cannot be abandoned: %s", sink.name, first_line(again))
            if afterwards is not None:
                afterwards(sink)

        thread = GuardedThread(f"abandon {sink.name}", work)
        thread.start()
        self._leaving = [*(one for one in self._leaving if one.is_alive()), thread]

    def _close(self, sink: Sink) -> None:
        try:
            sink.close()
        except BaseException as error:  # noqa: BLE001 - said at the end; the other sinks are closed all the same
            self._note(sink, _said(sink, error))
            abandon(sink)

    def _reopen(self, sink: Sink) -> None:
        backoff = Backoff(self._closed, _WAIT_S, _WAIT_AT_MOST_S)
        while backoff.wait():
            try:
                assert self._info is not None
                sink.open(self._info)
            except BaseException as error:  # noqa: BLE001 - whatever fails, it is tried again later
                _log.debug("%s cannot be opened again: %s", sink.name, first_line(error))
                continue
            self._reinstate(sink)
            return
        self._returning.remove(sink)

    def _reinstate(self, sink: Sink) -> None:
        with self.lock:
            self._returning.remove(sink)
            in_time = not self._closed.is_set()
            if in_time:
                del self._lost[id(sink)]
                self._open.append(sink)
                self._counters.sinks_back += 1
        if in_time:
            _log.warning("%s is back", sink.name)
        else:
            sink.close()  # the stream ended while it was opened

    def _note(self, sink: Sink, why: str) -> None:
        with self.lock:
            if id(sink) not in self._lost:
                self._counters.sinks_lost += 1
            self._lost[id(sink)] = why


def _said(sink: Sink, error: BaseException) -> str:
    return str(error) if isinstance(error, SinkError) else f"{sink.name} failed: {first_line(error)}"


def _is_quick(sink: Sink) -> bool:
    return isinstance(sink, DeferredSink) or getattr(sink, "quick", False)
