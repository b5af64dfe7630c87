"""The sinks of a stream: opened, written and closed one by one, so that the fault of one is not that of the others."""

from __future__ import annotations

import logging
import threading
from collections.abc import Sequence

from edgerecon.errors import SinkError
from edgerecon.frame import Frame, Image
from edgerecon.stream.counters import Counters
from edgerecon.stream.sinks.base import Sink, StreamInfo, abandon
from edgerecon.stream.sinks.deferred import DeferredSink

_WAIT_S, _WAIT_AT_MOST_S = 1.0, 30.0
_log = logging.getLogger(__name__)


class Fanout:
    """Presents every frame to each sink. One that raises is closed and left out from then on.

    With ``defer``, sinks that state ``quick = False`` (encoders, disks) or nothing get a thread of their own as soon as
    there is another sink that they could hold up; what they are too slow for is counted as their ``skips``. A sink with
    ``reopens = True`` (a connection) is opened again, with growing waits; a file is not, for it would be overwritten.

    Attributes:
        failures: one line for each sink that was lost and did not come back, or could not be finished.
    """

    def __init__(self, sinks: Sequence[Sink], defer: bool) -> None:
        alone = len(sinks) < 2
        self._all = [sink if alone or not defer or _is_quick(sink) else DeferredSink(sink) for sink in sinks]
        self._open: list[Sink] = []
        self._lost: dict[int, str] = {}
        self._returning: list[Sink] = []
        self._closed = threading.Event()
        self._info: StreamInfo | None = None

    @property
    def failures(self) -> list[str]:
        return list(self._lost.values())

    @property
    def all_lost(self) -> bool:
        """Whether there were sinks, every one of them failed, and none is being opened again."""
        return bool(self._all) and not self._open and len(self._lost) == len(self._all) and not self._returning

    def open(self, info: StreamInfo) -> None:
        """Open all of them; raises what the first that fails raises."""
        self._info = info
        for sink in self._all:
            self._open.append(sink)
            sink.open(info)

    def present(self, before: Image, after: Frame, late: bool) -> bool:
        """Hand the frame to each sink. Returns whether one had it, or there are none."""
        had = not self._all
        for sink in tuple(self._open):
            try:
                sink.present(before, after, late)
                had = True
            except Exception as error:  # noqa: BLE001 - a broken sink must not end the stream for the others
                self._lose(sink, error)
        return had

    def close(self) -> None:
        self._closed.set()
        for sink in tuple(self._open):
            self._open.remove(sink)
            try:
                sink.close()
            except Exception as error:  # noqa: BLE001 - the other sinks must still be closed
                self._note(sink, error)

    @property
    def _counters(self) -> Counters:
        assert self._info is not None
        return self._info.counters

    def _lose(self, sink: Sink, error: Exception) -> None:
        self._open.remove(sink)
        reopens = getattr(sink, "reopens", False)
        if reopens:
            self._returning.append(sink)
        self._note(sink, error)
        self._counters.sinks_lost += 1
        _log.warning("%s; the stream goes on without it", self._lost[id(sink)])
        try:
            abandon(sink)
        except Exception as again:  # noqa: BLE001 - it is lost already
            _log.debug("%s could not be closed: %s", sink.name, again)
        if reopens:
            threading.Thread(target=self._reopen, args=(sink,), name=f"reopen {sink.name}", daemon=True).start()

    def _reopen(self, sink: Sink) -> None:
        wait_s = _WAIT_S
        while not self._closed.wait(wait_s):
            try:
                assert self._info is not None
                sink.open(self._info)
            except Exception as error:  # noqa: BLE001 - whatever fails, it is tried again later
                _log.debug("%s cannot be opened again: %s", sink.name, error)
                wait_s = min(2 * wait_s, _WAIT_AT_MOST_S)
                continue
            del self._lost[id(sink)]
            self._open.append(sink)
            self._returning.remove(sink)
            self._counters.sinks_back += 1
            _log.warning("%s is back", sink.name)
            return
        self._returning.remove(sink)

    def _note(self, sink: Sink, error: Exception) -> None:
        self._lost[id(sink)] = str(error) if isinstance(error, SinkError) else f"{sink.name} failed: {error}"


def _is_quick(sink: Sink) -> bool:
    return isinstance(sink, DeferredSink) or getattr(sink, "quick", False)
