"""Prometheus metrics and the health of streams, read as Prometheus reads them."""

from __future__ import annotations

import time
from dataclasses import replace

import httpx
import numpy as np
import pytest

from tests.support.stream_fakes import FakeEngine, KeepSink, ListSource, ramp

pytest.importorskip("prometheus_client", reason="prometheus-client is not installed")
from prometheus_client.parser import text_string_to_metric_families

from edgerecon.core.errors import DependencyError
from edgerecon.core.frame import Frame
from edgerecon.stream.accounting.counters import Counters
from edgerecon.stream.loop.stream import stream
from edgerecon.stream.sinks import open_sink
from edgerecon.stream.sinks.base import StreamInfo
from edgerecon.stream.sinks.metrics import health as health_module
from edgerecon.stream.sinks.metrics import metrics
from edgerecon.stream.sinks.metrics.health import PATIENCE_S, Health
from edgerecon.stream.sinks.metrics.metrics import MetricsSink
from edgerecon.stream.sinks.web.address import Address


def info(counters: Counters | None = None) -> StreamInfo:
    return StreamInfo("cine", "model", "onnxruntime", "fp32", 1 / 30, 33.3, None, counters or Counters())


def samples(sink: MetricsSink) -> dict[tuple[str, ...], float]:
    """{(name, value of stream, value of another label): value}."""
    text = httpx.get(f"http://127.0.0.1:{sink.port}/metrics", timeout=120).text
    return {
        (sample.name, *(sample.labels[label] for label in sorted(sample.labels, reverse=True))): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


def health(sink: MetricsSink) -> tuple[int, dict[str, str]]:
    answer = httpx.get(f"http://127.0.0.1:{sink.port}/healthz", timeout=120)
    return answer.status_code, answer.json()["streams"]


def test_counters_and_latency_of_two_streams(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(health_module, "PATIENCE_S", 3600.0)  # however slow this machine is
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
        httpx.get(f"http://127.0.0.1:{first.port}/metrics", timeout=120)


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
    assert state(PATIENCE_S + 0.3) == "degraded", "a frame was raw a moment ago"
    for tenth in range(3, 15):
        counters.captured()
        counters.shown(1.0, True, None)
        now = state(PATIENCE_S + tenth / 10)
    assert now == "ok"


@pytest.mark.parametrize("asked_every", [1, 7, 40])
def test_stream_that_is_mostly_raw_is_degraded_at_any_request(asked_every: int) -> None:
    counters = Counters()
    state, seen = Health(info(counters), now=0.0).state, set()
    for number in range(352):
        counters.captured()
        counters.shown(1.0, False, None if number % 23 == 0 else "the engine failed")
        if number >= 40 and number % asked_every == 0:
            seen.add(state(number / 30))
    assert seen == {"degraded"}


def test_passthrough_rung_is_degraded_but_no_model_is_ok() -> None:
    counters = Counters()
    state = Health(info(counters), now=0.0).state

    def shown(second: int, raw: str | None) -> str:
        counters.captured()
        counters.shown(1.0, False, raw)
        return state(second / 2)

    counters.ladder = ("passthrough",)
    assert {shown(second, None) for second in range(1, 9)} == {"ok"}, "frames as they are were asked for"
    counters.ladder, counters.rung = ("full", "passthrough"), 1
    assert {shown(second, "passthrough") for second in range(9, 19)} == {"degraded"}
    counters.rung = 0
    assert [shown(second, None) for second in range(19, 23)][-1] == "ok"


def test_lost_sink_is_degraded_until_it_is_back() -> None:
    counters = Counters()
    counters.captured()
    counters.shown(1.0, False, None)
    state = Health(info(counters), now=0.0).state
    counters.sinks_lost += 1
    assert state(0.1) == "degraded", "a recording on a full disk, a client that went"
    counters.sinks_back += 1
    assert state(0.2) == "ok"


@pytest.mark.parametrize("fault", ["raw frames", "a lost recording"])
def test_degraded_is_said_of_a_stream_as_it_runs(fault: str, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(call: int) -> None:
        if call % 10:
            raise OSError("no more")

    monkeypatch.setattr(health_module, "PATIENCE_S", 3600.0)
    one, said = MetricsSink(Address("127.0.0.1", 0, "bed")), []
    recording, asking = (
        KeepSink(fail if fault == "a lost recording" else None, "recording"),
        KeepSink(lambda call: said.append(health(one)) if call == 29 else None, "asking"),
    )
    engine = FakeEngine(fail if fault == "raw frames" else None)
    stream(ListSource(ramp(30), 0.001), engine, [one, recording, asking], policy="every", pace=False)
    assert said == [(503, {"bed": "degraded"})]


def test_names_of_files_do_not_command_whoever_reads_the_metrics() -> None:
    sink = MetricsSink(Address("127.0.0.1", 0))
    sink.open(replace(info(), source="bed\x1b[2J\x9b.dcm"))
    try:
        for path in ("metrics", "healthz"):
            text = httpx.get(f"http://127.0.0.1:{sink.port}/{path}", timeout=120).text
            assert "bed\\" in text and "\x1b" not in text and "\x9b" not in text
    finally:
        sink.close()


def test_page_tells_what_does_not_run(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(health_module, "PATIENCE_S", 3600.0)
    one = MetricsSink(Address("127.0.0.1", 0, "a"))
    one.open(info())
    try:
        site = one._site
        assert site is not None
        site.plan({"late": "waiting", "a": "running", "broken": "failed", "new": "running"})
        assert health(one) == (503, {"late": "waiting", "a": "ok", "broken": "failed", "new": "starting"})
        seen = samples(one)
        assert seen["edgerecon_state", "late", "waiting"] == 1 and seen["edgerecon_state", "late", "ok"] == 0
        two = MetricsSink(Address("127.0.0.1", one.port, "late"))
        two.open(info())
        site.plan({"late": "running", "a": "running"})
        assert health(one) == (200, {"late": "ok", "a": "ok"})
        site.plan({"a": "running"})
        assert health(one) == (200, {"a": "ok", "late": "ok"}), "it is on its way out, and counts no more"
        two.close()
        site.plan({"a": "running"})
        assert health(one) == (200, {"a": "ok"}) and ("edgerecon_frames_total", "late") not in samples(one)
    finally:
        one.close()


def test_beyond_loopback_metrics_want_the_token(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("EDGERECON_TOKEN", raising=False)
    monkeypatch.setattr(health_module, "PATIENCE_S", 3600.0)
    sink = MetricsSink(Address("0.0.0.0", 0))
    sink.open(info())
    try:
        for path in ("metrics", "healthz"):
            address = f"http://127.0.0.1:{sink.port}/{path}"
            assert httpx.get(address, timeout=120).status_code == 401
            assert httpx.get(address, headers={"Authorization": f"Bearer {sink.token}"}, timeout=120).status_code == 200
        assert sink.token and sink.token not in sink.name + sink.url
    finally:
        sink.close()


def test_missing_package_names_its_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(metrics, "find_spec", lambda name: None if name == "prometheus_client" else object())
    with pytest.raises(DependencyError, match="prometheus-client.*edgerecon\\[stream\\]"):
        open_sink("metrics")
