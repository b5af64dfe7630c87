"""What ``/metrics`` and ``/healthz`` say. Numbers and the stream's name: no reason in words, which might quote a file.

Metric names follow Prometheus' practice: base units, ``_total`` for counters.
"""

from __future__ import annotations

import math
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from prometheus_client import CollectorRegistry, Histogram, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.exposition import CONTENT_TYPE_LATEST
from prometheus_client.registry import Collector
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route
from starlette.types import ASGIApp

from edgerecon.stream.sinks.base import StreamInfo
from edgerecon.stream.sinks.health import STATES, Health
from edgerecon.stream.sinks.web.address import Address
from edgerecon.stream.sinks.web.guard import HEADERS, Guard
from edgerecon.stream.sinks.web.site import Site

BUCKETS_S = (0.001, 0.002, 0.005, 0.01, 0.016, 0.02, 0.025, 0.033, 0.04, 0.05, 0.066, 0.1, 0.2, 0.5, 1.0)

_COUNTS = {
    "frames_in": "Frames captured.",
    "presented": "Frames shown, reconstructed or raw.",
    "late": "Frames shown after their deadline.",
    "raw_shown": "Frames shown raw because they could not be processed.",
    "dropped": "Frames overtaken or abandoned.",
    "failed": "Frames for which nothing could be shown.",
    "gaps": "Frames lost before they reached the stream.",
}


@dataclass
class Stream:
    """One stream as the metrics know it."""

    info: StreamInfo
    health: Health
    latency: Histogram


class MetricsSite(Site):
    """Serves the metrics of all sinks of one address."""

    kind = "metrics"

    def __init__(self, address: Address) -> None:
        super().__init__(address)
        self._changing = threading.Lock()
        self._streams: dict[str, Stream] = {}
        self._registry = CollectorRegistry()
        self._registry.register(_Counts(self.streams))
        self._latency = Histogram(
            "edgerecon_latency_seconds",
            "From capture to presentation.",
            ["stream"],
            buckets=BUCKETS_S,
            registry=self._registry,
        )

    def app(self) -> ASGIApp:
        routes = [Route("/metrics", self._metrics), Route("/healthz", self._healthz)]
        return Guard(Starlette(routes=routes), self.rules)

    def add(self, name: str, info: StreamInfo) -> Stream:
        """Count one more stream; one of this name that has ended gives way to it."""
        with self._changing:
            unique, count = name, 1
            while unique in self._streams and not self._streams[unique].health.ended:
                count += 1
                unique = f"{name} {count}"
            stream = Stream(info, Health(info), self._latency.labels(unique))
            self._streams[unique] = stream
            return stream

    def streams(self) -> dict[str, Stream]:
        """A copy: sinks come and go while the server answers."""
        with self._changing:
            return dict(self._streams)

    async def _metrics(self, request: Request) -> Response:
        return Response(generate_latest(self._registry), headers={**HEADERS, "Content-Type": CONTENT_TYPE_LATEST})

    async def _healthz(self, request: Request) -> Response:
        """200 while every stream that was started shows reconstructed frames, else 503."""
        states = {name: stream.health.state() for name, stream in self.streams().items()}
        well = bool(states) and all(state == "ok" for state in states.values())
        return JSONResponse({"healthy": well, "streams": states}, 200 if well else 503, headers=HEADERS)


class _Counts(Collector):
    """Reads the counters when it is asked, so that a stream spends nothing on them."""

    def __init__(self, streams: Callable[[], dict[str, Stream]]) -> None:
        self._streams = streams

    def collect(self) -> Iterator[Metric]:
        streams = self._streams()
        snapshots = {name: stream.info.counters.snapshot() for name, stream in streams.items()}
        for key, text in _COUNTS.items():
            family = CounterMetricFamily(f"edgerecon_{key.removesuffix('_in')}", text, labels=["stream"])
            for name, counts in snapshots.items():
                if isinstance(value := counts.get(key), (int, float)):
                    family.add_metric([name], value)
            yield family
        yield _gauge("deadline_seconds", "From capture to presentation.", {
            name: stream.info.deadline_ms / 1e3 for name, stream in streams.items()
            if math.isfinite(stream.info.deadline_ms)
        })  # fmt: skip
        yield _gauge("rung", "Step of the quality ladder; 0 is the full model.", {
            name: rung for name, counts in snapshots.items() if isinstance(rung := counts.get("rung"), int)
        })  # fmt: skip
        state = GaugeMetricFamily(
            "edgerecon_state", "1 for the state that the stream is in.", labels=["stream", "state"]
        )
        for name, stream in streams.items():
            now = stream.health.state()
            for one in STATES:
                state.add_metric([name, one], one == now)
        yield state


def _gauge(name: str, text: str, values: dict[str, float]) -> GaugeMetricFamily:
    family = GaugeMetricFamily(f"edgerecon_{name}", text, labels=["stream"])
    for stream, value in values.items():
        family.add_metric([stream], value)
    return family
