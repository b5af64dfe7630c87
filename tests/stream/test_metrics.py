"""Prometheus metrics and the health of streams, read as Prometheus reads them."""

from __future__ import annotations

import time
from dataclasses import replace

import httpx
import numpy as np
import pytest

pytest.importorskip("prometheus_client", reason="prometheus-client is not installed")
from prometheus_client.parser import text_string_to_metric_families

from edgerecon.errors import DependencyError
from edgerecon.frame import Frame
from edgerecon.stream.counters import Counters
from edgerecon.stream.sinks import metrics, open_sink
from edgerecon.stream.sinks.base import StreamInfo
from edgerecon.stream.sinks.health import PATIENCE_S, Health
from edgerecon.stream.sinks.metrics import MetricsSink
from edgerecon.stream.sinks.web.address import Address


def info(counters: Counters | None = None) -> StreamInfo:
    return StreamInfo("cine", "model", "onnxruntime", "fp32", 1 / 30, 33.3, None, counters or Counters())


def samples(sink: MetricsSink) -> dict[tuple[str, ...], float]:
    """{(name, value of stream, value of another label): value}."""
    text = httpx.get(f"http://127.0.0.1:{sink.port}/metrics").text
    return {
        (sample.name, *(sample.labels[label] for label in sorted(sample.labels, reverse=True))): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


def health(sink: MetricsSink) -> tuple[int, dict[str, str]]:
    answer = httpx.get(f"http://127.0.0.1:{sink.port}/healthz")
    return answer.status_code, answer.json()["streams"]


def test_counters_and_latency_of_two_streams() -> None:
    first, second = MetricsSink(Address("127.0.0.1", 0)), None
    try:
        counters = Counters()
        first.open(info(counters))
        second = MetricsSink(Address("127.0.0.1", first.port, "bed 2"))
        second.open(replace(info(), deadline_ms=float("inf")))
        image = np.zeros((4, 4), np.float32)
        for sequence in range(3):
            counters.captured()
            first.present(image, Frame(image, sequence, time.perf_counter_ns() - 7_000_000), late=False)
            counters.shown(7.0, sequence == 2, None)
        counters.captured()
        counters.drop("capture", "overtaken by a newer frame")
        seen = samples(first)
        assert seen["edgerecon_frames_total", "cine"] == 4 and seen["edgerecon_frames_total", "bed 2"] == 0
        assert seen["edgerecon_presented_total", "cine"] == 3 and seen["edgerecon_late_total", "cine"] == 1
        assert seen["edgerecon_dropped_total", "cine"] == 1 and seen["edgerecon_failed_total", "cine"] == 0
        assert seen["edgerecon_deadline_seconds", "cine"] == pytest.approx(0.0333)
        assert ("edgerecon_deadline_seconds", "bed 2") not in seen, "no deadline"
        assert seen["edgerecon_latency_seconds_count", "cine"] == 3
        assert seen["edgerecon_latency_seconds_bucket", "cine", "0.005"] == 0
        assert seen["edgerecon_state", "cine", "ok"] == 1 and seen["edgerecon_state", "cine", "stalled"] == 0
        assert health(first) == (200, {"cine": "ok", "bed 2": "ok"})
        counters.stalled = True
        assert health(first) == (503, {"cine": "stalled", "bed 2": "ok"})
        counters.stalled = False
        second.close()
        assert health(first) == (503, {"cine": "ok", "bed 2": "ended"})
        again = MetricsSink(Address("127.0.0.1", first.port, "bed 2"))
        again.open(info())
        assert health(first) == (200, {"cine": "ok", "bed 2": "ok"}), "a stream that began anew"
        again.close()
    finally:
        first.close()
    with pytest.raises(httpx.ConnectError):
        httpx.get(f"http://127.0.0.1:{first.port}/metrics")


def test_health_of_a_stream_on_a_made_up_clock() -> None:
    counters = Counters()
    state = Health(info(counters), now=0.0).state
    assert state(PATIENCE_S) == "ok", "it has just begun"
    assert state(PATIENCE_S + 0.1) == "stalled"
    counters.captured()
    counters.shown(1.0, False, "the engine failed")
    assert state(PATIENCE_S + 0.2) == "failed", "frames come, and none is reconstructed"
    counters.captured()
    counters.shown(1.0, True, None)
    assert state(PATIENCE_S + 0.3) == "ok"


def test_beyond_loopback_metrics_want_the_token(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("EDGERECON_TOKEN", raising=False)
    sink = MetricsSink(Address("0.0.0.0", 0))
    sink.open(info())
    try:
        for path in ("metrics", "healthz"):
            address = f"http://127.0.0.1:{sink.port}/{path}"
            assert httpx.get(address).status_code == 401
            assert httpx.get(address, headers={"Authorization": f"Bearer {sink.token}"}).status_code == 200
        assert sink.token and sink.token not in sink.name + sink.url
    finally:
        sink.close()


def test_missing_package_names_its_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(metrics, "find_spec", lambda name: None if name == "prometheus_client" else object())
    with pytest.raises(DependencyError, match="prometheus-client.*edgerecon\\[stream\\]"):
        open_sink("metrics")
