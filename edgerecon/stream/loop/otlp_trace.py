"""Every frame as a trace of OpenTelemetry: a span for the frame, and below it one for each stage."""

from __future__ import annotations

import time
from collections.abc import Iterator

from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor, SpanExporter
from opentelemetry.trace import Status, StatusCode, Tracer, set_span_in_context

from edgerecon.core.errors import needed
from edgerecon.stream.loop.trace import Note, Trace
from edgerecon.stream.protocols.otlp import EXTRA, TIMEOUT_S, endpoint, resource


class OtlpTrace(Trace):
    """Sends spans to a collector in batches. A collector that is away costs its spans and a line in the log.

    Environment variables of OpenTelemetry hold, as OTEL_TRACES_SAMPLER for every tenth frame alone.

    Args:
        address: otlp://HOST[:PORT]. source: whose frames these are. exporter: takes the place of a collector.

    Raises:
        UsageError: no such address. DependencyError: the exporter is absent.
    """

    def __init__(self, address: str, source: str, exporter: SpanExporter | None = None) -> None:
        super().__init__()
        if exporter is None:
            with needed(EXTRA, "opentelemetry-exporter-otlp-proto-http"):
                from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
            exporter = OTLPSpanExporter(endpoint(address, "traces"), timeout=TIMEOUT_S)
        self._source = source
        self._provider = TracerProvider(resource=resource(), shutdown_on_exit=False)
        self._provider.add_span_processor(BatchSpanProcessor(exporter))
        self._unix_ns = time.time_ns() - time.perf_counter_ns()
        self._start("OpenTelemetry trace")

    def _write(self, notes: Iterator[Note]) -> None:
        tracer = self._provider.get_tracer("edgerecon.stream")
        for note in notes:
            self._send(tracer, *note)
        self._provider.shutdown()

    def _send(self, tracer: Tracer, sequence: int, fate: str, spans: tuple[tuple[str, int, int], ...]) -> None:
        if not spans:
            return
        attributes: dict[str, str | int] = {
            "edgerecon.source": self._source,
            "edgerecon.frame": sequence,
            "edgerecon.fate": fate,
        }
        frame = tracer.start_span("frame", start_time=self._unix_ns + spans[0][1], attributes=attributes)
        if fate.startswith("failed"):
            frame.set_status(Status(StatusCode.ERROR, fate))
        within = set_span_in_context(frame)
        for stage, begin_ns, end_ns in spans:
            tracer.start_span(stage, within, start_time=self._unix_ns + begin_ns).end(self._unix_ns + end_ns)
        frame.end(self._unix_ns + max(end_ns for _, _, end_ns in spans))
