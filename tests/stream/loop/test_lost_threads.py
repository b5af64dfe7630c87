"""A stream ends, and says why, when one of its threads is lost, cannot be started, or is held by an engine."""

from __future__ import annotations

import sys
import threading
from collections.abc import Iterator
from types import FrameType
from typing import Any

import pytest

from edgerecon.core.errors import EdgereconError
from edgerecon.core.frame import Image, Status
from edgerecon.stream.beside import stream_beside
from edgerecon.stream.loop.options import StreamOptions
from edgerecon.stream.loop.stream import stream
from edgerecon.stream.process.guarded import GuardedThread
from tests.stream.loop.test_faults import balanced
from tests.support.stream_fakes import FakeEngine, GatedSource, HangClock, KeepSink, ListSource, ramp, until

AGAIN = StreamOptions(policy="every", pace=False, loop=True)
STAGES = ["watch", "capturer", "processor", "presenter"]


@pytest.fixture
def lose() -> Iterator[set[str]]:
    """Names of threads in which a tracer raises before their first line, where no ``try`` of theirs catches it."""
    names, before = set[str](), threading.gettrace()

    def trace(frame: FrameType, event: str, argument: Any) -> Any:
        if frame.f_code is GuardedThread.run.__code__ and threading.current_thread().name in names:
            sys.settrace(None)
            raise MemoryError("the tracer has no room")
        return before(frame, event, argument) if before else None

    threading.settrace(trace)
    yield names
    threading.settrace(before)  # type: ignore[arg-type]


@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
@pytest.mark.parametrize("policy", ["every", "latest"])
@pytest.mark.parametrize(
    ("name", "stage"), [*zip(STAGES, STAGES, strict=True), ("process", "processor"), ("present", "presenter")]
)
def test_a_lost_thread_ends_the_stream(name: str, stage: str, policy: str, lose: set[str]) -> None:
    lose.add(name)
    report = stream(ListSource(ramp(20)), FakeEngine(), [KeepSink()], policy=policy, pace=False, loop=True)  # type: ignore[arg-type]
    assert report.error == f"the {stage} failed: its thread ended before it had begun" and balanced(report)


@pytest.fixture
def unstartable(monkeypatch: pytest.MonkeyPatch) -> set[str]:
    """Names of threads that the system has no room for."""
    names, start = set[str](), GuardedThread.start

    def refuse(thread: GuardedThread) -> None:
        if thread.name in names:
            raise RuntimeError("can't start new thread")
        start(thread)

    monkeypatch.setattr(GuardedThread, "start", refuse)
    return names


@pytest.mark.parametrize("name", STAGES)
def test_a_stage_without_a_thread_leaves_none_behind(name: str, unstartable: set[str]) -> None:
    unstartable.add(name)
    before = set(threading.enumerate())
    with pytest.raises(EdgereconError, match="cannot start its threads"):
        stream(ListSource(ramp(20)), FakeEngine(), [KeepSink()], policy="every", pace=False, loop=True)
    until(lambda: not [one for one in set(threading.enumerate()) - before if isinstance(one, GuardedThread)])


@pytest.mark.parametrize(("name", "stage"), [("process", "processor"), ("present", "presenter")])
def test_a_stage_whose_worker_cannot_start_ends_it(name: str, stage: str, unstartable: set[str]) -> None:
    unstartable.add(name)
    report = stream(ListSource(ramp(20)), FakeEngine(), [KeepSink()], policy="every", pace=False, loop=True)
    assert report.error == f"the {stage} failed: can't start new thread" and balanced(report)


class Held(FakeEngine):
    """Hangs in its first frame, and in its close."""

    def __init__(self, clock: HangClock) -> None:
        super().__init__()
        self.answer, self.closing, self.closed = threading.Event(), threading.Event(), threading.Event()
        self._clock = clock

    def run(self, frame: Image, out: Image | None = None) -> Image:
        result = super().run(frame, out)
        if self.calls == 3:
            self._clock.hang(self.answer)
        return result

    def close(self) -> None:
        self.closing.set()
        self.closed.wait(300)


def test_a_close_that_hangs_holds_up_no_frame(clock: HangClock, caplog: pytest.LogCaptureFixture) -> None:
    """An engine that was given up comes back, another one has its place, and its close does not return."""
    first, second, third = Held(clock), Held(clock), FakeEngine()
    fresh: list[FakeEngine] = [second, third]

    def gate(index: int) -> None:
        if index in (1, 2):
            until(lambda: caplog.text.count("was opened again") >= index)
        if index == 2:
            second.answer.set()
            assert second.closing.wait(300)

    sink = KeepSink()
    try:
        report = stream(
            GatedSource(ramp(5), gate),
            first,
            [sink],
            policy="every",
            pace=False,
            hang_s=clock.HANG_S,
            reopen=lambda spec: fresh.pop(0),
        )
    finally:
        for engine in (first, second):
            engine.answer.set()
            engine.closed.set()
    assert report.counts["hung"] == 2 and report.counts["replaced"] == 2 and balanced(report)
    assert [frame.status for frame in sink.frames[2:]] == [Status.OK] * 3


@pytest.mark.parametrize("policy", ["every", "latest"])
def test_a_stream_of_too_slow_calls_ends(policy: str, clock: HangClock) -> None:
    """Every call outlasts the watchdog's patience and comes back as soon as it has been given up."""
    sink, gone = KeepSink(), threading.Event()
    gone.set()

    def slow(call: int) -> None:
        assert sink.info is not None
        before = sink.info.counters.hung
        clock.hang(gone)
        until(lambda: sink.info is not None and sink.info.counters.hung > before)

    report = stream(
        ListSource(ramp(12)),
        FakeEngine(slow),
        [sink],
        policy=policy,  # type: ignore[arg-type]
        pace=False,
        hang_s=clock.HANG_S,
    )
    assert report.counts["hung"] >= 1 and report.error is None and balanced(report) and report.frames_in == 12
    assert report.raw_shown == report.presented


def stream_two_beside() -> None:
    sinks = [[KeepSink()], [KeepSink()]]
    stream_beside(ListSource(ramp(20)), [FakeEngine(), FakeEngine()], sinks, stop=threading.Event(), options=AGAIN)


@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
def test_a_lost_stream_ends_those_beside_it(lose: set[str]) -> None:
    lose.add("beside 1")
    with pytest.raises(EdgereconError, match="'beside 1' was lost"):
        stream_two_beside()


def test_a_stream_without_a_thread_ends_those_beside_it(unstartable: set[str]) -> None:
    unstartable.add("beside 1")
    with pytest.raises(EdgereconError, match="beside 1 cannot start"):
        stream_two_beside()
