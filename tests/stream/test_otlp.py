"""OpenTelemetry: metrics and spans, by the SDK's own readers and by a collector in this process."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import numpy as np
import pytest

pytest.importorskip("opentelemetry.sdk", reason="pip install opentelemetry-exporter-otlp-proto-http")
from opentelemetry.sdk.metrics.export import InMemoryMetricReader
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from edgerecon.core.errors import UsageError
from edgerecon.stream.loop.open_trace import open_trace
from edgerecon.stream.loop.otlp_trace import OtlpTrace
from edgerecon.stream.loop.stream import stream
from edgerecon.stream.sinks import open_sink
from edgerecon.stream.sinks.otlp import OtlpSink
from edgerecon.stream.sources.base import Capture
from tests.support.stream_fakes import ListSource

FRAMES = [*(Capture(np.full((4, 4), 9, np.uint8)) for _ in range(3)), Capture(None, "torn")]


class Reader(InMemoryMetricReader):
    """Keeps what was there when the stream ended."""

    def shutdown(self, timeout_millis: float = 30_000, **kwargs: Any) -> None:
        (scope,) = self.get_metrics_data().resource_metrics[0].scope_metrics
        self.found = {metric.name: metric.data.data_points[0] for metric in scope.metrics}
        super().shutdown(timeout_millis, **kwargs)


def test_metrics_are_those_of_the_counters() -> None:
    reader = Reader()
    report = stream(ListSource(FRAMES), None, [OtlpSink("otlp://host", "bed 1", reader)], policy="every", pace=False)
    counted = {name: point.value for name, point in reader.found.items() if hasattr(point, "value")}
    assert counted["edgerecon.frames"] == 4 and counted["edgerecon.presented"] == 3 == report.presented
    assert counted["edgerecon.failed"] == 1 and counted["edgerecon.dropped"] == 0
    assert reader.found["edgerecon.latency"].count == 3
    assert reader.found["edgerecon.frames"].attributes["stream"] == "bed 1"


def test_each_frame_is_a_trace_of_its_stages() -> None:
    spans = InMemorySpanExporter()
    trace = OtlpTrace("otlp://host", "a recording", spans)
    stream(ListSource(FRAMES), None, [], policy="every", pace=False, deadline_ms=1e6, trace=trace)
    trace.close()
    found = spans.get_finished_spans()
    frames = {span.context.span_id: span for span in found if span.parent is None}
    assert {span.attributes["edgerecon.frame"] for span in frames.values()} == {0, 1, 2, 3}
    assert Counter(span.attributes["edgerecon.fate"] for span in frames.values()) == {"presented": 3, "failed: torn": 1}
    for span in found:
        if span.parent is not None:
            parent = frames[span.parent.span_id]
            assert parent.start_time <= span.start_time <= span.end_time <= parent.end_time
    assert Counter(span.name for span in found)["infer"] == 3


@pytest.fixture
def collector() -> Iterator[tuple[str, list[tuple[str, bytes]]]]:
    got: list[tuple[str, bytes]] = []

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            got.append((self.path, self.rfile.read(int(self.headers["Content-Length"]))))
            self.send_response(200)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, *words: Any) -> None: ...

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield f"otlp://127.0.0.1:{server.server_port}", got
    server.shutdown()
    thread.join(60)
    server.server_close()


def test_collector_gets_both_in_protocol_buffers(collector: tuple[str, list[tuple[str, bytes]]]) -> None:
    from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

    address, got = collector
    trace = open_trace(address, "a recording")
    stream(ListSource(FRAMES), None, [open_sink(address)], policy="every", pace=False, trace=trace)
    trace.close()
    assert {path for path, _ in got} == {"/v1/traces", "/v1/metrics"}
    request = ExportTraceServiceRequest.FromString(next(body for path, body in got if path == "/v1/traces"))
    (sent,) = request.resource_spans
    names = {attribute.key: attribute.value.string_value for attribute in sent.resource.attributes}
    assert names["service.name"] == "edgerecon"


def test_address_without_host_is_refused() -> None:
    with pytest.raises(UsageError, match="names no collector"):
        open_sink("otlp://:4318")
    with pytest.raises(UsageError, match="names no collector"):
        open_trace("otlp://", "x")
