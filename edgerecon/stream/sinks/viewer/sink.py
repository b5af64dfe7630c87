"""ViewerSink: the stream, live in a browser."""

from __future__ import annotations

import time
from importlib.util import find_spec
from typing import TYPE_CHECKING

from edgerecon.core.errors import DependencyError, printable
from edgerecon.core.frame import Frame, Image, Status
from edgerecon.stream.sinks.base import StreamInfo
from edgerecon.stream.sinks.kind import SinkKind
from edgerecon.stream.sinks.viewer.latest import Latest
from edgerecon.stream.sinks.web.address import OPTIONS, Address, address_of

if TYPE_CHECKING:
    from edgerecon.stream.sinks.viewer.channel import Channel

PORT = 8765


class ViewerSink:
    """Serves a page with before and after, latency and counters; sinks of one address share the page.

    ``present`` copies one frame and returns; packing and sending happen in the server's own thread, only while
    somebody looks, and always of the newest frame. The address is taken when the sink is made, so that a busy port is
    reported before the stream starts, and ``url`` can be opened at once: the page waits for the first frame.

    Args:
        address: beyond loopback the page asks for a token: that of EDGERECON_TOKEN, or a new one, which is in ``url``.

    Attributes:
        url: for people; holds the token when that was made here, so it belongs on the screen and in no log.

    Raises:
        SinkError: the port is taken or may not be used, or the certificate cannot be used.
        UsageError: the port is not one, or the token of the environment is too short.
        DependencyError: starlette, uvicorn or websockets is absent.
    """

    quick = True

    def __init__(self, address: Address | None = None) -> None:
        for package in ("starlette", "uvicorn", "websockets"):
            if find_spec(package) is None:
                raise DependencyError(package, "stream")
        from edgerecon.stream.sinks.viewer.server import ViewerSite

        self._address = address or Address("127.0.0.1", PORT)
        self._site: ViewerSite | None = ViewerSite.join(self._address)
        self.port = self._site.port
        self.url = self._site.rules.url_with_token(self.port)
        self.name = f"viewer at {self._site.url}"
        self._latest = Latest()
        self._channel: Channel | None = None

    def open(self, info: StreamInfo) -> None:
        assert self._site is not None, "a closed viewer stays closed"
        self._site.start()
        self._channel = self._site.add(printable(self._address.name or info.source), self._latest, info)

    def present(self, before: Image, after: Frame, late: bool) -> None:
        if self._site is not None:
            self._site.check()
        now_ns = time.perf_counter_ns()
        latency_ms = (now_ns - after.captured_ns) / 1e6
        self._latest.put(
            before,
            after.pixels,
            sequence=after.sequence,
            at_ms=now_ns / 1e6,
            latency_ms=latency_ms,
            time_ms=time.time() * 1e3 - latency_ms,
            late=late,
            raw=after.status is Status.RAW,
            spacing_mm=after.spacing_mm,
            before_colour=after.colour,
            after_colour=after.drawn,
        )
        if self._site is not None and self._channel is not None:
            self._site.wake(self._channel)

    def close(self) -> None:
        """Tell every page that the stream has ended; with the last stream the server stops."""
        site, self._site = self._site, None
        if site is None:
            return
        try:
            if self._channel is not None:
                site.remove(self._channel)
        finally:
            site.leave()


SINK = SinkKind(
    name="viewer",
    title="the viewer",
    words=("viewer",),
    addresses=("viewer[:HOST:PORT]",),
    options=OPTIONS,
    shared=True,
    watched=True,
    open=lambda place, query: ViewerSink(address_of(place, query, PORT)),
    check=lambda place, query: address_of(place, query, PORT),
)
