"""Tells the viewers and metrics of a service which streams there are to be, and how those stand that do not run."""

from __future__ import annotations

import logging
import threading
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import replace
from typing import TYPE_CHECKING
from urllib.parse import quote

from edgerecon.core.errors import EdgereconError, printable
from edgerecon.stream.serve.config import StreamTable
from edgerecon.stream.sinks.kind import word_of
from edgerecon.stream.sinks.metrics.metrics import PORT as METRICS_PORT
from edgerecon.stream.sinks.viewer.sink import PORT as VIEWER_PORT
from edgerecon.stream.sinks.web.address import Address, parse

if TYPE_CHECKING:
    from edgerecon.stream.sinks.web.site import Site

PORTS = {"viewer": VIEWER_PORT, "metrics": METRICS_PORT}
_Place = tuple[str, Address]
_log = logging.getLogger(__name__)


class Pages:
    """Keeps every page of this process open for as long as the configuration names it, whatever becomes of its streams.

    A viewer shows a tile, and the metrics a state, for each stream of the configuration, in its order. An address that
    cannot be opened is tried again with every change; what is wrong with it is said by the stream whose sink it is.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._tables: dict[str, StreamTable] = {}
        self._states: dict[str, str] = {}
        self._sites: dict[_Place, Site] = {}

    def expect(self, tables: Sequence[StreamTable]) -> None:
        """These streams and no others are to be there."""
        with self._lock:
            self._tables = {table.name: table for table in tables}
            self._states = {name: self._states.get(name, "starting") for name in self._tables}
            self._show()

    def say(self, table: StreamTable, state: str) -> None:
        """Note how a stream stands: "starting", "waiting", "running", "failed" or "ended"."""
        with self._lock:
            if self._tables.get(table.name) == table:  # else it is being replaced, or was taken out
                self._states[table.name] = state
            self._show()

    @property
    def any(self) -> bool:
        """Whether a page is open."""
        return bool(self._sites)

    def close(self) -> None:
        self.expect(())

    def _show(self) -> None:
        wanted: dict[_Place, dict[str, str]] = {}
        for table in self._tables.values():
            for place, shown in _places(table):
                wanted.setdefault(place, {})[shown] = self._states[table.name]
        for place in self._sites.keys() - wanted.keys():
            self._sites.pop(place).leave()
        for place, states in wanted.items():
            site = self._sites.get(place) or _join(place)
            if site is not None:
                self._sites[place] = site
                site.plan(states)


def _places(table: StreamTable) -> Iterator[tuple[_Place, str]]:
    """The pages of a stream, and its name on each. Port 0 is another one for each sink: nothing is shared there."""
    for uri in table.sinks:
        kind = word_of(uri)
        with suppress(EdgereconError):  # the stream says what is wrong with its sink
            if kind in PORTS and (address := parse(named(uri, table.name), PORTS[kind])).port:
                yield (kind, replace(address, name=None)), printable(address.name or table.name)


def _join(place: _Place) -> Site | None:
    kind, address = place
    try:
        site: Site
        if kind == "viewer":
            from edgerecon.stream.sinks.viewer.server import ViewerSite

            site = ViewerSite.join(address)
        else:
            from edgerecon.stream.sinks.metrics.exposition import MetricsSite

            site = MetricsSite.join(address)
    except (EdgereconError, ImportError) as error:
        _log.debug("no %s without a stream: %s", kind, error)
        return None
    site.start()
    return site


def named(uri: str, name: str) -> str:
    """A sink's address with the stream's name, where it is one that shows names and gives none."""
    if word_of(uri) not in PORTS or "name=" in uri:
        return uri
    return f"{uri}{'&' if '?' in uri else '?'}name={quote(name)}"
