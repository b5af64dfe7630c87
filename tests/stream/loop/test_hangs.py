"""Calls of engines, sinks and sources that do not return: the stream goes on, ends when it is to, and says so."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest

from edgerecon.core.errors import SinkError
from edgerecon.core.frame import Frame, Image, Status
from edgerecon.stream.accounting.counters import Counters
from edgerecon.stream.loop.ladder import Rung
from edgerecon.stream.loop.replace import ABANDONED_AT_MOST, Replacer
from edgerecon.stream.loop.report import StreamReport
from edgerecon.stream.loop.stream import stream
from edgerecon.stream.sinks.files.file_sink import FileSink
from tests.support.stream_fakes import FakeEngine, GatedSource, HangClock, KeepSink, ListSource, LiveSource, ramp, until

PATIENCE_S = 1.0
"""How long a call of a sink may take in these tests; the sinks that hang state it for their close as well.

Other sinks may close as late as a loaded machine lets them.
"""


@pytest.fixture(autouse=True)
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in {
        "loop.fanout.CLOSE_S": 120.0,
        "loop.present.CLOSE_S": PATIENCE_S,
        "loop.present._LOOK_EVERY_S": 0.02,
        "loop.fanout._ABANDON_S": 0.1,
        "loop.watch._GIVEN_UP_AFTER_S": 0.1,
        "loop.stages._LEFT_AFTER_S": 0.1,
        "loop.replace._LEFT_AFTER_S": 0.1,
        "sinks.deferred._RETURNS_WITHIN_S": 0.1,
    }.items():
        monkeypatch.setattr(f"edgerecon.stream.{name}", value)


@pytest.fixture
def answer() -> Iterator[threading.Event]:
    """What hanging calls wait for; it comes when the test is over."""
    event = threading.Event()
    yield event
    event.set()


def balanced(report: StreamReport) -> bool:
    return report.frames_in == report.presented + report.dropped + report.failed


class SlowStart(FakeEngine):
    """Does something in its very first call."""

    def __init__(self, act: Callable[[], object]) -> None:
        super().__init__()
        self._first: Callable[[], object] | None = act

    def run(self, frame: Image, out: Image | None = None) -> Image:
        first, self._first = self._first, None
        if first is not None:
            first()
        return super().run(frame, out)


@pytest.mark.parametrize("policy", ["latest", "every"])
@pytest.mark.parametrize("live", [False, True], ids=["recording", "live"])
def test_a_hung_first_call_is_given_up_and_frames_shown_raw(
    policy: str, live: bool, answer: threading.Event, clock: HangClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("edgerecon.stream.loop.stages._LEFT_AFTER_S", 120.0)  # the watchdog has only to get its turn
    source: ListSource | LiveSource = LiveSource() if live else ListSource(ramp(6))
    if isinstance(source, LiveSource):
        for capture in ramp(6):
            source.give(capture)
        source.end()
    sink = KeepSink()
    report = stream(
        source, SlowStart(lambda: clock.hang(answer)), [sink], policy=policy, pace=False, hang_s=clock.HANG_S
    )  # type: ignore[arg-type]
    assert report.counts["hung"] == 1 and balanced(report) and report.frames_in == 6
    assert report.raw_shown == report.presented and all(frame.status is Status.RAW for frame in sink.frames)


def test_a_hung_first_call_does_not_keep_a_live_picture_dark(answer: threading.Event) -> None:
    """It is waited for one second; then raw frames are shown, while it may go on for nine more."""
    stop, source = threading.Event(), LiveSource()
    for capture in ramp(5):
        source.give(capture)
    sink = KeepSink(lambda call: stop.set())
    report = stream(source, SlowStart(answer.wait), [sink], stop=stop)
    assert report.counts["hung"] == 0 and report.raws == {"the engine warms up": report.presented} and balanced(report)


def test_engine_that_is_warm_at_last_takes_over(answer: threading.Event, clock: HangClock) -> None:
    sink = KeepSink(lambda call: answer.set() if call == 2 else None)
    engine = SlowStart(lambda: clock.hang(answer))

    def gate(index: int) -> None:
        if index == 6:
            until(lambda: engine.resets_before and not [t for t in threading.enumerate() if t.name == "warm up"])

    report = stream(GatedSource(ramp(9), gate), engine, [sink], policy="every", pace=False, hang_s=clock.HANG_S)
    assert report.counts["hung"] == 1 and report.counts["replaced"] == 0 and report.presented == 9
    assert sink.frames[0].status is Status.RAW and sink.frames[8].status is Status.OK


def test_engine_whose_first_call_hangs_is_replaced_each_time(answer: threading.Event, clock: HangClock) -> None:
    fresh, opened = FakeEngine(), list[FakeEngine]()

    def reopen(spec: object) -> FakeEngine:
        opened.append(SlowStart(lambda: clock.hang(answer)) if not opened else fresh)
        return opened[-1]

    def gate(index: int) -> None:
        if index == 6:
            until(lambda: fresh.resets_before and not [t for t in threading.enumerate() if t.name == "reopen"][1:])

    sink = KeepSink()
    report = stream(
        GatedSource(ramp(9), gate),
        SlowStart(lambda: clock.hang(answer)),
        [sink],
        policy="every",
        pace=False,
        hang_s=clock.HANG_S,
        reopen=reopen,
    )
    assert report.counts["hung"] == 2 and report.counts["replaced"] == 1 and report.presented == 9
    assert sink.frames[8].status is Status.OK


def test_a_warm_up_is_timed_from_when_it_began(answer: threading.Event, clock: HangClock) -> None:
    """By the watchdog's own clock: that another call hung before says nothing of it."""
    over, began = threading.Event(), threading.Event()
    over.set()
    clock.hang(over)
    engine, counters = SlowStart(lambda: (began.set(), answer.wait(300))), Counters()
    rung, replacer = Rung("full", engine), Replacer(None, counters, clock.HANG_S)
    replacer.warm_up(rung, np.zeros((8, 12), np.float32))
    assert began.wait(300)
    replacer.abandon_hung()
    assert counters.hung == 0
    answer.set()
    replacer.wait_warm(300)
    assert rung.engine is engine


@pytest.mark.parametrize("how", ["stop", "seconds"])
def test_stream_ends_in_time_although_the_first_call_hangs(how: str, answer: threading.Event, clock: HangClock) -> None:
    stop = threading.Event()
    engine = SlowStart(lambda: (stop.set() if how == "stop" else None, clock.hang(answer)))
    report = stream(
        ListSource(ramp(5)),
        engine,
        [KeepSink()],
        policy="every",
        loop=True,
        stop=stop,
        seconds=0.1 if how == "seconds" else None,
        hang_s=clock.HANG_S,
    )
    assert balanced(report) and report.interrupted is (how == "stop")


def test_engine_that_merely_failed_stays_while_others_hang() -> None:
    counters, engines = Counters(), [FakeEngine() for _ in range(ABANDONED_AT_MOST + 1)]
    replacer = Replacer(lambda spec: FakeEngine(), counters, 10.0)
    replacer._closed.set()  # it opens nothing here
    for engine in engines:
        replacer.replace(Rung("full", engine), engine, np.zeros((8, 12), np.float32), still_in_use=True)
    failing = FakeEngine()
    rung = Rung("pruned", failing)
    replacer.replace(rung, failing, np.zeros((8, 12), np.float32), still_in_use=False)
    assert rung.engine is failing, "no other can be opened"
    replacer.returned(Rung("full", None), engines[0])
    replacer.replace(rung, failing, np.zeros((8, 12), np.float32), still_in_use=False)
    assert rung.engine is None


class HungSink(KeepSink):
    """Hangs in one of its calls until it is answered."""

    close_s = PATIENCE_S

    def __init__(self, where: str, answer: threading.Event, name: str = "hung") -> None:
        super().__init__(name=name)
        self.abandoned = threading.Event()
        hangs = getattr(self, where)

        def hang(*arguments: object) -> None:
            answer.wait()
            hangs(*arguments)

        setattr(self, where, hang)

    def abandon(self) -> None:
        self.abandoned.set()


@pytest.mark.parametrize("policy", ["latest", "every"])
@pytest.mark.parametrize("where", ["present", "close"])
@pytest.mark.parametrize("quick", [False, True], ids=["deferred", "quick"])
def test_sink_that_hangs_is_given_up_and_others_are_finished(
    policy: str, where: str, quick: bool, answer: threading.Event, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("edgerecon.stream.loop.present._HUNG_S", PATIENCE_S)
    hung = [HungSink(where, answer, "one"), HungSink(where, answer, "two")]
    good = KeepSink(name="good")
    for sink in hung:
        sink.quick = quick
    good.quick = True
    report = stream(ListSource(ramp(6)), None, [*hung, good], policy=policy, pace=False)  # type: ignore[arg-type]
    assert balanced(report) and report.frames_in == 6
    assert good.closed == 1 and len(good.frames) == report.presented
    assert report.counts["sinks_lost"] == 2 and all(sink.abandoned.wait(60) for sink in hung)
    assert report.error is not None and "one " in report.error and "two " in report.error
    assert report.error.count("given up") == 2


@pytest.mark.parametrize("policy", ["latest", "every"])
def test_only_sink_that_hangs_does_not_keep_the_stream(policy: str, answer: threading.Event) -> None:
    stop = threading.Event()
    sink = HungSink("present", answer)
    source = GatedSource(ramp(3), lambda index: stop.set() if index == 1 else None)
    report = stream(source, None, [sink], policy=policy, pace=False, stop=stop)  # type: ignore[arg-type]
    assert (
        balanced(report)
        and report.error == f"hung has hung for {PATIENCE_S:g} s and was given up"
        and sink.abandoned.wait(60)
    )


def test_sink_that_hangs_among_frames_is_given_up_later(
    monkeypatch: pytest.MonkeyPatch, answer: threading.Event
) -> None:
    monkeypatch.setattr("edgerecon.stream.loop.present._HUNG_S", PATIENCE_S)
    good = KeepSink(name="good")
    report = stream(ListSource(ramp(40)), None, [HungSink("present", answer), good], policy="every", pace=False)
    assert [frame.sequence for frame in good.frames] == list(range(40)) and report.presented == 40
    assert report.error == f"hung has hung for {PATIENCE_S:g} s and was given up"


def test_sink_that_does_not_open_fails_a_stream_that_ends(answer: threading.Event) -> None:
    stop, other = threading.Event(), KeepSink()
    sink = HungSink("open", answer)
    threading.Timer(0.05, stop.set).start()
    with pytest.raises(SinkError, match="hung has hung"):
        stream(ListSource(ramp(3)), None, [other, sink], stop=stop)
    assert other.closed == 1 and sink.abandoned.wait(60)
    answer.set()
    until(lambda: not [t for t in threading.enumerate() if t.name in ("present", "deferred hung")])


def test_file_is_let_go_only_once_the_hung_call_came_back(tmp_path: Path, answer: threading.Event) -> None:
    calls: list[str] = []

    class Recording(FileSink):
        def _write(self, before: Image, after: Frame, late: bool) -> None:
            calls.append("write")
            answer.wait()
            calls.append("written")

        def _finish(self) -> Path:
            calls.append("finished")
            return self.path

        def _restore(self) -> None:
            calls.append("restored")

        def _let_go(self) -> None:
            calls.append("let go")

    sink = Recording(tmp_path / "out.mp4")
    report = stream(ListSource(ramp(3)), None, [sink, KeepSink()], pace=False)
    assert report.counts["sinks_lost"] == 1 and calls == ["write"]
    answer.set()
    until(lambda: "let go" in calls)
    assert calls == ["write", "written", "let go"]


def test_sink_may_state_how_long_it_takes_to_close() -> None:
    sink = KeepSink()
    sink.close_s = 20.0
    closing = threading.Event()
    threading.Timer(0.4, closing.set).start()
    sink.close = lambda: closing.wait(60)  # type: ignore[method-assign,assignment,return-value]
    report = stream(ListSource(ramp(2)), None, [sink])
    assert report.error is None and closing.is_set()


def test_sink_that_comes_back_while_the_stream_ends_is_closed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("edgerecon.stream.loop.fanout._WAIT_S", 0.001)
    monkeypatch.setattr("edgerecon.stream.loop.fanout._ABANDON_S", 10.0)
    reopening, opened = threading.Event(), list[int]()

    class Connection(KeepSink):
        quick, reopens = True, True

        def open(self, info) -> None:
            opened.append(1)
            if len(opened) == 2:
                reopening.set()
                until(lambda: keep.closed)

        def present(self, before, after, late) -> None:
            raise ConnectionResetError("closed by peer")

    def gate(index: int) -> None:
        if index == 3:
            assert reopening.wait(60)

    keep, connection = KeepSink(), Connection(name="connection")
    keep.quick = True
    report = stream(GatedSource(ramp(3), gate), None, [connection, keep], policy="every", pace=False)
    assert connection.closed == 2 and len(opened) == 2 and balanced(report), "after the failure, and at the end"
    assert report.error is not None and report.error.startswith("connection failed")


@pytest.mark.parametrize("edge", ["source", "close", "image"])
def test_source_that_hangs_in_any_call_does_not_keep_the_stream(edge: str, answer: threading.Event) -> None:
    stop = threading.Event()
    captures = ramp(4)
    source: ListSource | LiveSource
    if edge == "close":
        source = LiveSource()
        source.give(captures[0])
        source.close = answer.wait  # type: ignore[assignment,method-assign]
        stop.set()
    else:
        hangs = 0 if edge == "source" else 2

        def hang() -> bool:
            stop.set()
            return answer.wait()

        captures[2].torn = hang if edge == "image" else None
        source = GatedSource(captures, lambda index: hang() if index == hangs and edge == "source" else None)
    report = stream(source, None, [KeepSink()], policy="every", pace=False, stop=stop)
    assert balanced(report) and report.interrupted
    assert report.failed == (edge == "image")
