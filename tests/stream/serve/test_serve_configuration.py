"""A service whose configuration changes: who goes on, who starts, and what page and health say."""

from __future__ import annotations

import json
import threading
import urllib.error
import urllib.request
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from edgerecon.core.errors import ConfigError, SourceError
from edgerecon.stream.serve import worker as worker_module
from edgerecon.stream.serve.config import ServeConfig, StreamTable
from edgerecon.stream.serve.ledger import Look, Tally
from edgerecon.stream.serve.local import start_locally
from edgerecon.stream.serve.report import failures
from edgerecon.stream.serve.supervisor import Supervisor
from edgerecon.stream.serve.worker import Worker
from edgerecon.stream.sinks.metrics import health
from tests.stream.serve.running_service import FRAMES, SIM, asked, config, free_port, list_source, running, until


def test_a_new_configuration_leaves_alone_what_did_not_change(caplog: pytest.LogCaptureFixture, tmp_path: Path) -> None:
    a, b = dict(name="a", source=SIM), dict(name="b", source=SIM, sinks=[str(tmp_path / "b.npz")])
    with running(config(a, b, dict(name="c", source=SIM), dict(name="lost", source="nowhere.dcm"))) as one:
        until(lambda: one.presented("a", "b", "c") and one.supervisor.looks()["lost"].state == "failed")
        before = dict(one.supervisor.running)
        counted = one.supervisor.looks()["b"].tally.presented

        caplog.clear()
        one.change(ConfigError("streams.toml:3: stream.policy: no"))
        until(lambda: caplog.messages)
        assert caplog.messages == [
            "the new configuration is refused, the old one stays: streams.toml:3: stream.policy: no"
        ]
        assert one.supervisor.running == before and not any(each.look().stopped for each in before.values())

        one.change(
            config(a, dict(b, deadline_ms=5), dict(name="d", source=SIM), dict(name="lost", source="nowhere.dcm"))
        )
        until(lambda: set(one.supervisor.running) == {"a", "b", "d", "lost"} and one.presented("d"))
        after = dict(one.supervisor.running)
        assert after["a"] is before["a"], "the same object, not restarted"
        assert after["b"] is not before["b"] and before["b"].look().stopped
        assert after["lost"] is not before["lost"], "what failed is tried again"
        until(lambda: one.supervisor.looks()["c"].state == "ended" and after["b"].look().tally.presented > 0)
        assert before["b"].look().has_ended
        looks = one.end()
    assert looks["b"].lives == 2 and looks["b"].tally.presented > counted
    assert looks["b"].tally == before["b"].look().tally + after["b"].look().tally
    assert looks["b"].report["deadline_ms"] == 5 and looks["c"].tally.presented > 0  # type: ignore[index]
    assert looks["a"].lives == 1 and looks["a"].report["interrupted"]  # type: ignore[index]
    assert all(look.tally.in_flight == 0 and look.tally.lost == 0 for look in looks.values())


def test_a_stream_that_does_not_end_holds_up_its_successor_alone(caplog: pytest.LogCaptureFixture) -> None:
    class Stuck:
        def __init__(self, table: StreamTable, beside: int, wait_for: Callable[[], None]) -> None:
            self.table, self.wait_for = table, wait_for

        def stop(self) -> None: ...

        def wait(self, timeout_s: float) -> bool:
            return False

        def look(self) -> Look:
            return Look("running", tally=Tally(3, 2))

    supervisor = Supervisor(Stuck, drain_s=0.05)
    supervisor.apply(config(dict(name="a", source=SIM)))
    supervisor.apply(config(dict(name="a", source=SIM, loop=True)))
    successor: Any = supervisor.running["a"]
    with pytest.raises(Exception, match="has not ended within 0.05 s"):
        successor.wait_for()
    stop = threading.Event()
    stop.set()
    supervisor.run(config(dict(name="a", source=SIM, loop=True)), lambda: pytest.fail(""), stop, threading.Event())  # type: ignore[arg-type,return-value]
    assert caplog.messages == ["stream 'a' does not end: it is left behind"] * 2
    assert failures(supervisor.looks()) == "1 of 1 streams failed: 'a'"


def test_ctrl_c_drains_all() -> None:
    def interrupt(looks: Any) -> None:
        if sum(look.tally.presented for look in looks.values()) and not seen:
            seen.append(1)
            raise KeyboardInterrupt

    seen: list[int] = []
    with start_locally() as make:
        supervisor = Supervisor(make)
        same = config(dict(name="a", source=SIM), dict(name="b", source=SIM))
        assert supervisor.run(same, lambda: same, threading.Event(), threading.Event(), interrupt)
    assert all(look.state == "ended" and look.tally.in_flight == 0 for look in supervisor.looks().values())


def test_a_stream_that_never_began_makes_the_service_unhealthy() -> None:
    pytest.importorskip("prometheus_client")
    port = free_port()
    metrics = [f"metrics:{port}"]
    both = config(dict(name="a", source=SIM, sinks=metrics), dict(name="gone", source="nowhere.dcm", sinks=metrics))
    with running(both) as one:
        until(lambda: one.presented("a") and one.supervisor.looks()["gone"].state == "failed")
        with pytest.raises(urllib.error.HTTPError) as caught:
            until(lambda: urllib.request.urlopen(f"http://127.0.0.1:{port}/healthz", timeout=10).status != 200)
        assert caught.value.code == 503
        assert json.loads(caught.value.read())["streams"]["gone"] == "failed"
        assert one.supervisor.looks()["a"].addresses == (f"http://127.0.0.1:{port}/metrics",)


def test_stream_taken_out_of_the_configuration_leaves_the_health(monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("prometheus_client")
    monkeypatch.setattr(health, "PATIENCE_S", 3600.0)  # however slow this machine is
    port = free_port()
    tables = [dict(name=name, source=SIM, sinks=[f"metrics:{port}"]) for name in ("c", "a", "b")]
    with running(config(*tables)) as one:
        until(lambda: asked(port, "/healthz") == (200, {"healthy": True, "streams": dict(a="ok", b="ok", c="ok")}))
        one.change(config(tables[0], tables[2], dict(tables[1], name="d")))
        until(lambda: list(asked(port, "/healthz")[1].get("streams", ())) == ["c", "b", "d"])
        until(lambda: asked(port, "/healthz")[0] == 200)
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=20) as answer:
            assert b'stream="a"' not in answer.read()


def test_viewer_lists_the_whole_configuration_in_its_order(monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("starlette")
    monkeypatch.setattr(worker_module, "_WAIT_S", 0.01)
    port, nobody = free_port(), f"igtl://127.0.0.1:{free_port()}"
    viewer = [f"viewer:{port}"]
    tables = [
        dict(name="late", source=nobody, sinks=viewer),
        dict(name="gone", source="nowhere.dcm", sinks=viewer),
        dict(name="short", source=SIM, frames=3, sinks=viewer),
        dict(name="live", source=SIM, sinks=viewer),
    ]
    with running(config(*tables)) as one:
        said = {"late": "waiting", "gone": "failed", "short": "ended"}
        until(lambda: asked(port, "/streams")[1] == {"streams": ["late", "gone", "short", "live"], "absent": said})
        one.change(config(tables[3], tables[0]))
        until(lambda: asked(port, "/streams")[1] == {"streams": ["live", "late"], "absent": {"late": "waiting"}})
        assert list(one.supervisor.looks())[:2] == ["live", "late"], "the table in the terminal, too"


def test_page_moves_with_the_configuration() -> None:
    pytest.importorskip("starlette")
    old, new = free_port(), free_port()
    stays = dict(name="stays", source=SIM, sinks=["null"])  # a service without a live stream would end

    def failing(port: int) -> ServeConfig:
        return config(dict(name="gone", source="nowhere.dcm", sinks=[f"viewer:{port}"]), stays)

    with running(failing(old)) as one:
        until(lambda: asked(old, "/streams")[1].get("absent", {}).get("gone") == "failed")
        one.change(failing(new))
        until(lambda: asked(new, "/streams")[1].get("absent", {}).get("gone") == "failed")
        until(lambda: asked(old, "/streams") == (0, {}))


def test_a_scanner_that_is_switched_on_later_is_waited_for(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    pytest.importorskip("prometheus_client")
    monkeypatch.setattr(worker_module, "_WAIT_S", 0.01)
    on = threading.Event()

    def open_source(uri: str) -> Any:
        if on.is_set():
            return list_source()
        raise SourceError("connection refused")

    monkeypatch.setattr(worker_module, "open_source", open_source)
    port = free_port()
    one = Worker(StreamTable(name="a", source="igtl://bed", sinks=(f"metrics:{port}", "null"), policy="every"))
    until(lambda: one.look().state == "waiting")
    until(lambda: caplog.messages)
    with pytest.raises(urllib.error.HTTPError) as caught:
        until(lambda: urllib.request.urlopen(f"http://127.0.0.1:{port}/healthz", timeout=10).status != 200)
    assert json.loads(caught.value.read())["streams"] == {"a": "waiting"}
    on.set()
    assert one.wait(60) and one.look().tally.presented == FRAMES and one.look().error is None
    assert caplog.messages == ["stream 'a' waits for its source: connection refused"]

    on.clear()
    two = Worker(StreamTable(name="b", source="igtl://bed"))
    until(lambda: two.look().state == "waiting")
    two.stop()
    assert two.wait(60) and two.look().state == "ended" and two.look().tally == Tally()
