"""Many streams in one process: each apart from the others, changed while they run, drained, and accounted for."""

from __future__ import annotations

import json
import os
import threading
from collections.abc import Callable
from dataclasses import asdict
from typing import Any

import pytest

from edgerecon.core.errors import SinkError
from edgerecon.engines import open_engine
from edgerecon.stream.serve import worker as worker_module
from edgerecon.stream.serve.config import StreamTable
from edgerecon.stream.serve.ledger import Look, Tally
from edgerecon.stream.serve.pages import named
from edgerecon.stream.serve.report import failures, served
from edgerecon.stream.serve.shared_engines import SharedEngines
from edgerecon.stream.serve.supervisor import Supervisor
from edgerecon.stream.serve.worker import Worker, threads_each
from tests.stream.serve.running_service import FRAMES, config, list_source
from tests.support.stream_fakes import FakeEngine, KeepSink, ListSource, ramp


class Beds:
    """Three streams of the listed frames, whose parts a test may replace: by the stream's name."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.sources: dict[str, Callable[[], ListSource]] = {}
        self.engines: dict[str, FakeEngine] = {}
        self.sinks: dict[str, KeepSink] = {}
        monkeypatch.setattr(worker_module, "open_source", lambda uri: self.sources.get(uri, list_source)())
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
    beds.sources["b"] = lambda: list_source([*ramp(10), OSError("unplugged")])
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
    beds.engines["b"] = FakeEngine(lambda call: forever.wait(60) and None if call == 3 else None)
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
        thread.join(60)
    for got, right in zip(results, wanted, strict=True):
        assert len(got) == 20 and all(np.array_equal(each, right) for each in got)
    one.close()
    np.testing.assert_array_equal(two.run(images[0]), wanted[0])


def test_cores_are_divided() -> None:
    cores = len(os.sched_getaffinity(0))
    assert threads_each(1) == cores and threads_each(100 * cores) == 1 and threads_each(0) == cores
