"""What ``/metrics`` and ``/healthz`` say. Numbers and the stream's name: no reason in words, which might quote a file.

Metric names follow Prometheus' practice: base units, ``_total`` for counters.
"""

from __future__ import annotations

import math
import threading
from collections.abc import Callable, Iterator, Mapping
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
from edgerecon.stream.sinks.metrics.counts import BUCKETS_S, COUNTS, LATENCY, count_name
from edgerecon.stream.sinks.metrics.health import STATES, Health
from edgerecon.stream.sinks.web.address import Address
from edgerecon.stream.sinks.web.guard import HEADERS, Guard
from edgerecon.stream.sinks.web.site import Site


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
        self._registry.register(_Counts(self.streams, self.states))
        self._latency = Histogram(
            "edgerecon_latency_seconds",
            LATENCY,
            ["stream"],
            buckets=BUCKETS_S,
            registry=self._registry,
        )

    def app(self) -> ASGIApp:
        """The web application: ``/metrics`` and ``/healthz``."""
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

    def plan(self, states: Mapping[str, str]) -> None:
        """See ``Site.plan``; what was taken out and has ended is counted no more."""
        super().plan(states)
        with self._changing:
            for name in [name for name, one in self._streams.items() if name not in states and one.health.ended]:
                del self._streams[name]  # it was taken out of the configuration
                self._latency.remove(name)

    def states(self) -> dict[str, str]:
        """Every stream's state, one of STATES: what its counters say while it runs, else what the plan says."""
        streams, planned = self.streams(), self.planned or {}
        states = {}
        for name in self.in_order(streams):
            state = streams[name].health.state() if name in streams else "starting"
            begun = name in streams and state != "ended"
            states[name] = state if begun or planned.get(name) in (None, "running") else planned[name]
        return states

    async def _metrics(self, request: Request) -> Response:
        return Response(generate_latest(self._registry), headers={**HEADERS, "Content-Type": CONTENT_TYPE_LATEST})

    async def _healthz(self, request: Request) -> Response:
        """200 while every stream that there is to be is ok, else 503. One that leaves the plan counts no more."""
        states = self.states()
        counted = states if self.planned is None else self.planned
        well = bool(counted) and all(states.get(name) == "ok" for name in counted)
        return JSONResponse({"healthy": well, "streams": states}, 200 if well else 503, headers=HEADERS)


class _Counts(Collector):
    """Reads the counters when it is asked, so that a stream spends nothing on them."""

    def __init__(self, streams: Callable[[], dict[str, Stream]], states: Callable[[], dict[str, str]]) -> None:
        self._streams, self._states = streams, states

    def collect(self) -> Iterator[Metric]:
        streams = self._streams()
        snapshots = {name: stream.info.counters.snapshot() for name, stream in streams.items()}
        for key, text in COUNTS.items():
            family = CounterMetricFamily(f"edgerecon_{count_name(key)}", text, labels=["stream"])
            for name, counts in snapshots.items():
                if isinstance(value := counts.get(key), (int, float)):
                    family.add_metric([name], value)
            yield family
        yield _gauge(
            "deadline_seconds",
            LATENCY,
            {
                name: stream.info.deadline_ms / 1e3
                for name, stream in streams.items()
                if math.isfinite(stream.info.deadline_ms)
            },
        )
        yield _gauge(
            "rung",
            "Step of the quality ladder; 0 is the full model.",
            {name: rung for name, counts in snapshots.items() if isinstance(rung := counts.get("rung"), int)},
        )
        state = GaugeMetricFamily(
            "edgerecon_state", "1 for the state that the stream is in.", labels=["stream", "state"]
        )
        for name, now in self._states().items():
            for one in STATES:
                state.add_metric([name, one], one == now)
        yield state


def _gauge(name: str, text: str, values: dict[str, float]) -> GaugeMetricFamily:
    family = GaugeMetricFamily(f"edgerecon_{name}", text, labels=["stream"])
    for stream, value in values.items():
        family.add_metric([stream], value)
    return family
