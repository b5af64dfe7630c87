"""MetricsSink: what Prometheus and a health check want to know of the stream."""

from __future__ import annotations

import time
from importlib.util import find_spec
from typing import TYPE_CHECKING

from edgerecon.core.errors import DependencyError, printable
from edgerecon.core.frame import Frame, Image
from edgerecon.stream.sinks.base import StreamInfo
from edgerecon.stream.sinks.kind import SinkKind
from edgerecon.stream.sinks.web.address import OPTIONS, Address, address_of

if TYPE_CHECKING:
    from edgerecon.stream.sinks.metrics.exposition import MetricsSite, Stream

PORT = 9464
"""The port of OpenTelemetry's Prometheus exporters."""


class MetricsSink:
    """Serves ``/metrics`` (Prometheus) and ``/healthz``; sinks of one address share them. No pixel is read.

    Args:
        address: see ``ViewerSink``; beyond loopback the token is asked for as ``Authorization: Bearer TOKEN``.

    Attributes:
        url: of the metrics, for people. token: the one made here for this address, or None.

    Raises:
        SinkError, UsageError, DependencyError: as ``ViewerSink``.
    """

    quick = True

    def __init__(self, address: Address | None = None) -> None:
        for package, module in (("starlette",) * 2, ("uvicorn",) * 2, ("prometheus-client", "prometheus_client")):
            if find_spec(module) is None:
                raise DependencyError(package, "stream")
        from edgerecon.stream.sinks.metrics.exposition import MetricsSite

        self._address = address or Address("127.0.0.1", PORT)
        self._site: MetricsSite | None = MetricsSite.join(self._address)
        self.port = self._site.port
        self.url = self._site.url + "metrics"
        self.token = self._site.rules.token if self._site.rules.generated else None
        self.name = f"metrics at {self.url}"
        self._stream: Stream | None = None

    def open(self, info: StreamInfo) -> None:
        assert self._site is not None, "closed metrics stay closed"
        self._site.start()
        self._stream = self._site.add(printable(self._address.name or info.source), info)

    def present(self, before: Image, after: Frame, late: bool) -> None:
        if self._site is not None:
            self._site.check()
        if self._stream is not None:
            self._stream.latency.observe((time.perf_counter_ns() - after.captured_ns) / 1e9)

    def close(self) -> None:
        """The stream stays listed, as ended, until the last one of this address ends."""
        site, self._site = self._site, None
        if site is None:
            return
        if self._stream is not None:
            self._stream.health.ended = True
        site.leave()


SINK = SinkKind(
    name="metrics",
    title="the metrics",
    words=("metrics",),
    addresses=("metrics[:HOST:PORT]",),
    options=OPTIONS,
    shared=True,
    watched=True,
    open=lambda place, query: MetricsSink(address_of(place, query, PORT)),
    check=lambda place, query: address_of(place, query, PORT),
)
