"""Many streams in one process: each apart from the others, changed while they run, drained, and accounted for."""

from __future__ import annotations

import json
import os
import socket
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pytest

from edgerecon.core.errors import ConfigError, SinkError, SourceError
from edgerecon.engines import open_engine
from edgerecon.stream.serve import worker as worker_module
from edgerecon.stream.serve.config import ServeConfig, StreamTable
from edgerecon.stream.serve.ledger import Look, Tally
from edgerecon.stream.serve.local import start_locally
from edgerecon.stream.serve.pages import named
from edgerecon.stream.serve.report import failures, served
from edgerecon.stream.serve.shared_engines import SharedEngines
from edgerecon.stream.serve.supervisor import Supervisor
from edgerecon.stream.serve.worker import Worker, threads_each
from edgerecon.stream.sinks.metrics import health
from edgerecon.stream.sources.base import Capture
from tests.support.stream_fakes import FakeEngine, KeepSink, ListSource, ramp

FRAMES = 60
SIM = "sim://?size=32x32&fps=100"


def config(*tables: dict[str, Any]) -> ServeConfig:
    return ServeConfig.model_validate({"stream": tables})


def until(condition: Callable[[], object]) -> None:
    deadline = time.monotonic() + 30
    while not condition():
        assert time.monotonic() < deadline, "it did not come to that"
        time.sleep(0.005)


class Beds:
    """Three streams of the listed frames, whose parts a test may replace: by the stream's name."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.sources: dict[str, Callable[[], ListSource]] = {}
        self.engines: dict[str, FakeEngine] = {}
        self.sinks: dict[str, KeepSink] = {}
        monkeypatch.setattr(worker_module, "open_source", lambda uri: self.sources.get(uri, _list)())
        monkeypatch.setattr(worker_module, "open_sink", lambda uri: self.sinks.setdefault(uri, KeepSink(name=uri)))

    def serve(self) -> dict[str, Look]:
        names = ("a", "b", "c")
        tables = [
            dict(name=name, source=name, model="compact-despeckle", sinks=[f"{name}.npz"], policy="every")
            for name in names
        ]

        def start(table: StreamTable, beside: int, wait_for: Callable[[], None]) -> Worker:
            assert beside == 3
            return Worker(table, 1, lambda *how, **more: self.engines.get(table.name, FakeEngine()), wait_for)

        supervisor = Supervisor(start)
        interrupted = supervisor.run(
            config(*tables), lambda: pytest.fail("not asked"), threading.Event(), threading.Event()
        )  # type: ignore[arg-type,return-value]
        assert not interrupted
        return supervisor.looks()


def _list(items: list[Capture | Exception] | None = None) -> ListSource:
    return ListSource(items if items is not None else [*ramp(FRAMES)])


@pytest.fixture
def beds(monkeypatch: pytest.MonkeyPatch) -> Beds:
    return Beds(monkeypatch)


def unharmed(look: Look) -> bool:
    report = look.report
    return look.tally == Tally(FRAMES, FRAMES, late=look.tally.late) and look.error is None and not report["raws"]  # type: ignore[index]


def test_all_is_well(beds: Beds) -> None:
    looks = beds.serve()
    assert all(unharmed(look) for look in looks.values()) and failures(looks) is None
    assert all(len(sink.frames) == FRAMES and sink.closed for sink in beds.sinks.values())


@pytest.mark.parametrize("error", [SystemExit(1), KeyboardInterrupt(), GeneratorExit()], ids=repr)
def test_a_library_that_wants_to_exit_ends_one_stream(beds: Beds, error: BaseException) -> None:
    def leave() -> ListSource:
        raise error

    beds.sources["b"] = leave
    looks = beds.serve()
    assert unharmed(looks["a"]) and unharmed(looks["c"])
    assert looks["b"].state == "failed" and looks["b"].error is not None
    assert looks["b"].error.startswith(type(error).__name__)


def test_a_source_that_cannot_be_opened_is_that_streams_alone(beds: Beds, caplog: pytest.LogCaptureFixture) -> None:
    def refuse() -> ListSource:
        raise SinkError("no such probe")

    beds.sources["b"] = refuse
    looks = beds.serve()
    assert unharmed(looks["a"]) and unharmed(looks["c"])
    assert looks["b"].state == "failed" and looks["b"].error == "no such probe" and looks["b"].tally == Tally()
    assert "b.npz" not in beds.sinks
    assert failures(looks) == "1 of 3 streams failed: 'b'"
    assert caplog.messages.count("stream 'b' failed: no such probe") == 1


def test_a_source_that_breaks_is_that_streams_alone(beds: Beds) -> None:
    beds.sources["b"] = lambda: _list([*ramp(10), OSError("unplugged")])
    looks = beds.serve()
    assert unharmed(looks["a"]) and unharmed(looks["c"])
    assert looks["b"].tally.presented == 10 and "unplugged" in str(looks["b"].error)


def test_an_engine_that_fails_is_that_streams_alone(beds: Beds) -> None:
    def act(call: int) -> None:
        if call % 2:
            raise RuntimeError("lost the device")

    beds.engines["b"] = FakeEngine(act)
    looks = beds.serve()
    assert unharmed(looks["a"]) and unharmed(looks["c"])
    assert looks["b"].tally.raw_shown == FRAMES // 2 and looks["b"].state == "ended"


def test_an_engine_that_hangs_is_that_streams_alone(beds: Beds) -> None:
    forever = threading.Event()
    beds.engines["b"] = FakeEngine(lambda call: forever.wait(20) and None if call == 3 else None)
    looks = beds.serve()
    forever.set()
    assert unharmed(looks["a"]) and unharmed(looks["c"])
    assert looks["b"].report["counts"]["hung"] == 1 and looks["b"].tally.presented == FRAMES  # type: ignore[index]


def test_a_sink_that_breaks_is_that_streams_alone(beds: Beds) -> None:
    def act(call: int) -> None:
        if call == 5:
            raise OSError("disk full")

    beds.sinks["b.npz"] = KeepSink(act)
    looks = beds.serve()
    assert unharmed(looks["a"]) and unharmed(looks["c"])
    assert looks["b"].state == "failed" and "disk full" in str(looks["b"].error)
    tally = looks["b"].tally
    assert tally.frames_in == tally.presented + tally.dropped + tally.failed + tally.lost and tally.in_flight == 0


def test_the_report_is_json(beds: Beds) -> None:
    plain = json.loads(json.dumps(served(beds.serve())))
    assert [stream["name"] for stream in plain["streams"]] == ["a", "b", "c"]
    one = plain["streams"][0]
    assert one["frames_in"] == FRAMES and one["deadline_miss_rate"] == one["late"] / FRAMES
    assert one["last"]["frames_in"] == FRAMES and "host" not in one["last"] and plain["host"]


class Served:
    """A supervisor in a thread of its own, whose configuration may be changed."""

    def __init__(self, first: ServeConfig, make: Any) -> None:
        self.supervisor = Supervisor(make, drain_s=10)
        self.config: ServeConfig | Exception = first
        self.stop, self.reload = threading.Event(), threading.Event()
        self.thread = threading.Thread(target=self.supervisor.run, args=(first, self._reread, self.stop, self.reload))
        self.thread.start()

    def _reread(self) -> ServeConfig:
        if isinstance(self.config, Exception):
            raise self.config
        return self.config

    def change(self, to: ServeConfig | Exception) -> None:
        self.config = to
        self.reload.set()
        until(lambda: not self.reload.is_set())

    def presented(self, *names: str) -> bool:
        looks = self.supervisor.looks()
        return all(name in looks and looks[name].tally.presented > 0 for name in names)

    def end(self) -> dict[str, Look]:
        self.stop.set()
        self.thread.join(20)
        assert not self.thread.is_alive()
        return self.supervisor.looks()


@contextmanager
def running(first: ServeConfig) -> Iterator[Served]:
    with start_locally() as make:
        one = Served(first, make)
        try:
            yield one
        finally:
            one.end()


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


def free_port() -> int:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return int(free.getsockname()[1])


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


def asked(port: int, path: str) -> tuple[int, Any]:
    """Status and JSON of an answer; (0, {}) while nobody serves."""
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}{path}", timeout=20) as answer:
            return answer.status, json.load(answer)
    except urllib.error.HTTPError as error:
        return error.code, json.load(error)
    except urllib.error.URLError:
        return 0, {}


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
            return _list()
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
    assert one.wait(20) and one.look().tally.presented == FRAMES and one.look().error is None
    assert caplog.messages == ["stream 'a' waits for its source: connection refused"]

    on.clear()
    two = Worker(StreamTable(name="b", source="igtl://bed"))
    until(lambda: two.look().state == "waiting")
    two.stop()
    assert two.wait(20) and two.look().state == "ended" and two.look().tally == Tally()


def test_names_reach_the_sinks_that_show_them() -> None:
    assert named("viewer", "bed 1") == "viewer?name=bed%201"
    assert named("metrics:9000?cert=c&key=k", "a") == "metrics:9000?cert=c&key=k&name=a"
    assert named("viewer?name=x", "a") == "viewer?name=x" and named("viewer.mp4", "a") == "viewer.mp4"


def test_tally_of_an_ended_stream_loses_what_was_on_its_way() -> None:
    tally = Tally.of({"frames_in": 10, "presented": 6, "dropped": 1, "failed": 1, "late": 2, "other": 5})
    assert tally.in_flight == 2 and tally.settled == 8 and tally.missed == 4
    closed = tally.closed()
    assert closed.lost == 2 and closed.in_flight == 0 and closed.missed == 6
    assert closed + tally == Tally(20, 12, 2, 2, 4, 0, 0, 2)
    look = Look("running", tally=tally, addresses=("x",))
    assert Look.from_plain(json.loads(json.dumps(look.to_plain()))) == look
    assert asdict(tally)["late"] == 2


def test_engines_are_shared_where_the_runtime_allows() -> None:
    opened: list[Any] = []

    def counted(*how: Any, **more: Any) -> Any:
        opened.append(how)
        return FakeEngine() if how[1] == "openvino" else open_engine(*how, **more)

    shared = SharedEngines(counted)
    one, two = (shared.open("compact-despeckle", "onnxruntime", threads=1) for _ in range(2))
    other = shared.open("compact-despeckle", "onnxruntime", threads=2)
    assert len(opened) == 2 and one is not two and other.spec.threads == 2
    assert shared.open("x", "openvino") is not shared.open("x", "openvino") and len(opened) == 4

    import numpy as np

    rng = np.random.default_rng(0)
    images = [rng.random((24, 24), np.float32), rng.random((16, 40), np.float32)]
    alone = open_engine("compact-despeckle", "onnxruntime", threads=1)
    wanted = [alone.run(image).copy() for image in images]
    shared.close()
    results: list[list[Any]] = [[], []]

    def work(at: int) -> None:
        results[at] = [(one, two)[at].run(images[at]).copy() for _ in range(20)]

    threads = [threading.Thread(target=work, args=(at,)) for at in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for got, right in zip(results, wanted, strict=True):
        assert len(got) == 20 and all(np.array_equal(each, right) for each in got)
    one.close()
    np.testing.assert_array_equal(two.run(images[0]), wanted[0])


def test_cores_are_divided() -> None:
    cores = len(os.sched_getaffinity(0))
    assert threads_each(1) == cores and threads_each(100 * cores) == 1 and threads_each(0) == cores
