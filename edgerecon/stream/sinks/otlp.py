"""OpenTelemetry's metrics of a stream, pushed to a collector: what ``metrics`` serves to Prometheus."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterable
from functools import partial
from typing import TYPE_CHECKING, Any

from edgerecon.core.errors import needed, printable
from edgerecon.core.frame import Frame, Image
from edgerecon.stream.protocols.otlp import EXTRA, PORT, SCHEMES, TIMEOUT_S, endpoint, resource
from edgerecon.stream.sinks.base import StreamInfo
from edgerecon.stream.sinks.kind import SinkKind
from edgerecon.stream.sinks.metrics.counts import BUCKETS_S, COUNTS, LATENCY, count_name

if TYPE_CHECKING:
    from opentelemetry.metrics import CallbackOptions, Histogram, Observation
    from opentelemetry.sdk.metrics.export import MetricReader


class OtlpSink:
    """Pushes counters and latencies every OTEL_METRIC_EXPORT_INTERVAL (60 s) and at the end. No pixel is read.

    A collector that is away costs its measurements and a line in the log.

    Args:
        address: otlp://HOST[:PORT]. name: of the stream; None: its source's. reader: takes the place of a collector.

    Raises:
        UsageError: no such address. DependencyError: OpenTelemetry is absent.
    """

    quick = True
    close_s = 4 * TIMEOUT_S

    def __init__(self, address: str, name: str | None = None, reader: MetricReader | None = None) -> None:
        self.name = address
        self._stream_name, self._resource = name, resource()
        self._reader = _pusher(endpoint(address, "metrics")) if reader is None else reader
        self._provider: Any = None
        self._latency: Histogram | None = None

    def open(self, info: StreamInfo) -> None:
        from opentelemetry.sdk.metrics import MeterProvider
        from opentelemetry.sdk.metrics.view import ExplicitBucketHistogramAggregation, View

        buckets = View(instrument_name="edgerecon.latency", aggregation=ExplicitBucketHistogramAggregation(BUCKETS_S))
        self._provider = MeterProvider([self._reader], self._resource, shutdown_on_exit=False, views=[buckets])
        meter = self._provider.get_meter("edgerecon.stream")
        self._of = {"stream": printable(self._stream_name or info.source), "model": info.model, "backend": info.backend}
        self._latency = meter.create_histogram("edgerecon.latency", "s", LATENCY)
        for counter, text in COUNTS.items():
            read = self._observed(partial(getattr, info.counters, counter))
            meter.create_observable_counter(f"edgerecon.{count_name(counter)}", [read], "{frame}", text)
        if math.isfinite(info.deadline_ms):
            read = self._observed(lambda: info.deadline_ms / 1e3)
            meter.create_observable_gauge("edgerecon.deadline", [read], "s", LATENCY)

    def present(self, before: Image, after: Frame, late: bool) -> None:
        if self._latency is not None:
            self._latency.record((time.perf_counter_ns() - after.captured_ns) / 1e9, self._of)

    def close(self) -> None:
        """Push what is there, once more."""
        provider, self._provider = self._provider, None
        if provider is not None:
            provider.shutdown()

    def _observed(self, read: Callable[[], float]) -> Callable[[CallbackOptions], Iterable[Observation]]:
        from opentelemetry.metrics import Observation

        return lambda options: [Observation(read(), self._of)]


def _pusher(address: str) -> MetricReader:
    with needed(EXTRA, "opentelemetry-exporter-otlp-proto-http"):
        from opentelemetry.exporter.otlp.proto.http.metric_exporter import OTLPMetricExporter
    from opentelemetry.sdk.metrics.export import PeriodicExportingMetricReader

    return PeriodicExportingMetricReader(OTLPMetricExporter(address, timeout=TIMEOUT_S))


SINK = SinkKind(
    name="OpenTelemetry",
    title="OpenTelemetry's metrics",
    schemes=SCHEMES,
    addresses=(f"otlp://HOST[:{PORT}]",),
    options=("name",),
    shared=True,
    watched=True,
    open=lambda place, query: OtlpSink(place, query.get("name")),
)
