"""Keeps several streams running as a file says, each apart from the others, and keeps their accounts."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from time import monotonic
from typing import Protocol

from edgerecon.core.errors import EdgereconError
from edgerecon.stream.process.systemd import Service, notify
from edgerecon.stream.serve.config import ServeConfig, StreamTable
from edgerecon.stream.serve.ledger import Look, Tally

DRAIN_S = 15.0
"""A stream that has not ended by then, after it was told to, is left to itself."""

_LOOK_EVERY_S = 0.1
_STARTING_AT_MOST_S = 30.0
"""A stream that takes longer does not keep systemd from hearing that the others are ready."""

_SAME_CTRL_C_S = 1.0
_log = logging.getLogger(__name__)


class Running(Protocol):
    """A stream that runs, here or elsewhere. None of these calls waits but ``wait``."""

    table: StreamTable

    def stop(self) -> None:
        """Ask the stream to end in order; returns at once."""
        ...

    def wait(self, timeout_s: float) -> bool:
        """Wait until the stream is over, or for ``timeout_s`` seconds; returns whether it is over."""
        ...

    def look(self) -> Look:
        """State and counters now."""
        ...


Make = Callable[[StreamTable, int, Callable[[], None]], Running]
"""Starts a stream: of this table, beside so many others, once the given call has returned."""


class Supervisor:
    """Runs until every stream has ended or it is told to stop; then ends them all in order.

    With a new configuration, streams whose tables are the same go on untouched, unless they have failed: these are
    tried again. A changed one is started when the old one has ended, so that it finds its ports and files free.

    Args:
        make: starts one stream. Where it has a method ``expect``, that is told which streams there are to be first.
        drain_s: how long streams may take to end.
    """

    def __init__(self, make: Make, drain_s: float = DRAIN_S) -> None:
        self._make = make
        self._expect: Callable[[Sequence[StreamTable]], None] = getattr(make, "expect", lambda tables: None)
        self._drain_s = drain_s
        self.running: dict[str, Running] = {}
        self._leaving: list[Running] = []
        self._gone: dict[str, Look] = {}

    def apply(self, config: ServeConfig) -> None:
        """Start, restart and end streams so that those of the configuration run. Waits for none of them."""
        wanted = {table.name: table for table in config.stream}
        for name, old in list(self.running.items()):
            if wanted.get(name) != old.table or old.look().state == "failed":
                del self.running[name]
                self._leaving.append(old)
                old.stop()
        self._expect(config.stream)
        self.running = {
            name: self.running.get(name) or self._make(table, len(wanted), self._end_of(name))
            for name, table in wanted.items()
        }

    def run(
        self,
        config: ServeConfig,
        reread: Callable[[], ServeConfig],
        stop: threading.Event,
        reload: threading.Event,
        on_looks: Callable[[Mapping[str, Look]], None] = lambda looks: None,
    ) -> bool:
        """Serve. Returns whether Ctrl-C ended it.

        Args:
            reread: gives the new configuration; what it raises is logged, and the old one stays.
            stop: set it to end all streams. reload: set it to have ``reread`` called; cleared when that is done.
            on_looks: told of all streams ten times a second.
        """
        service, begun, interrupted = Service(), monotonic(), False
        try:
            self.apply(config)
            while not stop.wait(_LOOK_EVERY_S):
                if reload.is_set():
                    reload.clear()
                    self._reload(reread)
                self._settle()
                looks = self.looks()
                on_looks(looks)
                slow = monotonic() - begun > _STARTING_AT_MOST_S
                if slow or all(look.state != "starting" for look in looks.values()):
                    service.beat(sum((look.tally for look in looks.values()), Tally()))
                if all(running.look().has_ended for running in self.running.values()):
                    break
        except KeyboardInterrupt:
            interrupted = True
        self._drain()
        on_looks(self.looks())
        return interrupted

    def looks(self) -> dict[str, Look]:
        """Every stream there was, by name, with what it counted in all its lives: those of the configuration first."""
        looks = dict(self._gone)
        for running in (*self._leaving, *self.running.values()):
            name, look = running.table.name, running.look()
            looks[name] = _after(looks[name], look) if name in looks else look
        return {name: looks[name] for name in (*self.running, *looks)}

    def _reload(self, reread: Callable[[], ServeConfig]) -> None:
        notify(f"RELOADING=1\nMONOTONIC_USEC={int(monotonic() * 1e6)}")
        try:
            self.apply(reread())
        except EdgereconError as error:
            _log.error("the new configuration is refused, the old one stays: %s", error)
        else:
            _log.warning("the configuration was read again: %d streams", len(self.running))
        notify("READY=1")

    def _end_of(self, name: str) -> Callable[[], None]:
        """Waits until those that bore this name before have ended."""
        before = [old for old in self._leaving if old.table.name == name]

        def wait() -> None:
            until = monotonic() + self._drain_s
            if not all(old.wait(max(0.0, until - monotonic())) for old in before):
                raise EdgereconError(f"the stream that it follows has not ended within {self._drain_s:g} s")

        return wait

    def _settle(self) -> None:
        """Take over the accounts of those that have left."""
        for old in [old for old in self._leaving if old.look().has_ended]:
            self._leaving.remove(old)
            name, look = old.table.name, old.look()
            self._gone[name] = _after(self._gone[name], look) if name in self._gone else look

    def _drain(self) -> None:
        everyone = [*self._leaving, *self.running.values()]
        for running in everyone:
            running.stop()
        begun = monotonic()
        for running in everyone:
            while (left := begun + self._drain_s - monotonic()) > 0:
                try:
                    running.wait(left)
                    break
                except KeyboardInterrupt:
                    if monotonic() - begun > _SAME_CTRL_C_S:  # one Ctrl-C may arrive as two signals
                        raise
        for running in everyone:
            if not running.look().has_ended:
                _log.error("stream '%s' does not end: it is left behind", running.table.name)


def _after(before: Look, look: Look) -> Look:
    """A stream that goes on under a name: what it says now, and what was counted before."""
    return replace(look, tally=before.tally + look.tally, lives=before.lives + look.lives)
