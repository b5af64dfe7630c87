"""Faults of source, engine and sink: other frames unharmed, the raw image shown and marked, counted, recovered from."""

from __future__ import annotations

import logging
import threading
import time

import numpy as np
import pytest

from edgerecon.core.errors import SinkError, SourceError
from edgerecon.core.frame import Image, Status
from edgerecon.stream.accounting.counters import Counters
from edgerecon.stream.loop.process import Processor
from edgerecon.stream.loop.replace import ABANDONED_AT_MOST
from edgerecon.stream.loop.report import StreamReport
from edgerecon.stream.loop.stream import stream
from edgerecon.stream.loop.watch import Watch
from edgerecon.stream.sources.base import Capture
from tests.support.stream_fakes import FakeEngine, GatedSource, HangClock, KeepSink, ListSource, LiveSource, ramp, until


def balanced(report: StreamReport) -> bool:
    return report.frames_in == report.presented + report.dropped + report.failed


class Moody(FakeEngine):
    """Does one thing on the call of a number: raises it, gives it, or calls it."""

    def __init__(self, at: int, mood: object) -> None:
        super().__init__()
        self._at, self._mood = at, mood

    def run(self, frame: Image, out: Image | None = None) -> Image:
        good = super().run(frame, out)
        if self.calls - 3 != self._at:
            return good
        if isinstance(self._mood, BaseException):
            raise self._mood
        return self._mood() if callable(self._mood) else self._mood  # type: ignore[return-value]


@pytest.mark.parametrize(
    ("mood", "why"),
    [
        (RuntimeError("lost the device"), "the engine failed"),
        (MemoryError(), "the engine failed"),
        (np.full((8, 12), np.nan, np.float32), "unusable output"),
        (np.zeros((3, 3), np.float32), "wrong output shape"),
    ],
)
def test_engine_fault_harms_its_own_frame_only(mood: object, why: str) -> None:
    sink = KeepSink()
    report = stream(ListSource(ramp(8)), Moody(3, mood), [sink], policy="every", pace=False)
    assert [frame.sequence for frame in sink.frames if frame.status is Status.RAW] == [3]
    assert report.raws == {why: 1} and report.presented == 8 and balanced(report)
    np.testing.assert_array_equal(sink.frames[3].pixels, sink.befores[3])
    np.testing.assert_array_equal(sink.frames[4].pixels, 1 - sink.befores[4])


def test_engine_that_hangs_is_replaced_and_frames_shown_raw(caplog: pytest.LogCaptureFixture, clock: HangClock) -> None:
    answer, ready = threading.Event(), threading.Event()
    sink = KeepSink(lambda call: ready.set() if call == 6 else None)
    fresh = FakeEngine()

    def reopen(spec: object) -> FakeEngine:
        assert ready.wait(60)
        return fresh

    def gate(index: int) -> None:
        if index > 8:
            until(lambda: "was opened again" in caplog.text)

    hung = Moody(3, lambda: clock.hang(answer) and None)
    report = stream(
        GatedSource(ramp(14), gate), hung, [sink], policy="every", pace=False, hang_s=clock.HANG_S, reopen=reopen
    )
    answer.set()
    assert report.counts["hung"] == 1 and report.counts["replaced"] == 1 and balanced(report)
    raw = [frame.sequence for frame in sink.frames if frame.status is Status.RAW]
    assert raw[:4] == [3, 4, 5, 6] and raw == list(range(3, 3 + len(raw))) and len(raw) < 9
    assert report.raws == {"the engine hung": len(raw)}
    assert [frame.sequence for frame in sink.frames] == list(range(14))
    for before, frame in zip(sink.befores, sink.frames, strict=True):
        np.testing.assert_array_equal(frame.pixels, before if frame.sequence in raw else 1 - before)
    assert fresh.calls > 2


def test_engine_that_answers_at_last_is_used_again(clock: HangClock) -> None:
    answer = threading.Event()
    counters: list[Counters] = []
    logs = KeepSink(lambda call: answer.set() if call == 6 else None)

    def gate(index: int) -> None:
        if index > 8:
            until(lambda: not [thread for thread in threading.enumerate() if thread.name == "process"][1:])

    report = stream(
        GatedSource(ramp(14), gate),
        Moody(3, lambda: clock.hang(answer) and None),
        [logs],
        policy="every",
        pace=False,
        hang_s=clock.HANG_S,
        on_progress=counters.append,
    )
    assert report.counts["hung"] == 1 and report.counts["replaced"] == 0
    assert logs.frames[3].status is Status.RAW and logs.frames[13].status is Status.OK


def test_engines_that_hang_in_turn_are_not_opened_forever(caplog: pytest.LogCaptureFixture, clock: HangClock) -> None:
    answer = threading.Event()
    opened: list[FakeEngine] = []

    class Hangs(FakeEngine):
        def run(self, frame: Image, out: Image | None = None) -> Image:
            result = super().run(frame, out)
            if self.calls > 2:
                clock.hang(answer)
            return result

    def reopen(spec: object) -> FakeEngine:
        opened.append(Hangs())
        return opened[-1]

    def gate(index: int) -> None:
        until(lambda: caplog.text.count("was opened again") >= min(index, ABANDONED_AT_MOST))

    report = stream(
        GatedSource(ramp(20), gate), Hangs(), [], policy="every", pace=False, hang_s=clock.HANG_S, reopen=reopen
    )
    answer.set()
    assert len(opened) == ABANDONED_AT_MOST and report.counts["hung"] == ABANDONED_AT_MOST + 1
    assert report.presented == report.raw_shown == 20 and balanced(report)


def test_engine_that_keeps_failing_is_opened_anew(caplog: pytest.LogCaptureFixture) -> None:
    fresh = FakeEngine()

    def always(call: int) -> None:
        raise RuntimeError("lost the device")

    def gate(index: int) -> None:
        if index == 20:
            until(lambda: "was opened again" in caplog.text)

    sink = KeepSink()
    report = stream(
        GatedSource(ramp(30), gate), FakeEngine(always), [sink], policy="every", pace=False, reopen=lambda spec: fresh
    )
    assert report.counts["replaced"] == 1 and report.presented == 30
    assert sink.frames[9].status is Status.RAW and sink.frames[29].status is Status.OK


def test_sink_that_fails_harms_no_other_and_comes_back_if_it_can(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("edgerecon.stream.loop.fanout._WAIT_S", 0.01)
    seen: list[int] = []

    class Connection(KeepSink):
        quick, reopens = True, True

        def present(self, before, after, late) -> None:
            seen.append(after.sequence)
            if after.sequence == 3:
                raise ConnectionResetError("closed by peer")

    def gate(index: int) -> None:
        if index == 8:
            until(lambda: other.closed == 1 and counters and counters[-1].sinks_back)

    counters: list[Counters] = []
    keep, other = KeepSink(), Connection(name="connection")
    keep.quick = True
    report = stream(
        GatedSource(ramp(12), gate), None, [other, keep], policy="every", pace=False, on_progress=counters.append
    )
    assert [frame.sequence for frame in keep.frames] == list(range(12))
    assert report.counts["sinks_lost"] == report.counts["sinks_back"] == 1
    assert seen[:4] == [0, 1, 2, 3] and seen[-1] == 11 and report.error is None


def test_full_disk_costs_the_recording_alone_and_says_so(caplog: pytest.LogCaptureFixture) -> None:
    def full(call: int) -> None:
        if call == 2:
            raise SinkError("cannot write out.mp4: No space left on device")

    disk, keep = KeepSink(full, "out.mp4"), KeepSink()
    report = stream(ListSource(ramp(9)), None, [disk, keep], policy="every", pace=False)
    assert len(keep.frames) == 9 and len(disk.frames) == 2 and disk.closed == 1
    assert report.error == "cannot write out.mp4: No space left on device" and report.presented == 9
    assert [r.getMessage() for r in caplog.records if "out.mp4" in r.getMessage()] == [
        "cannot write out.mp4: No space left on device; the stream goes on without it"
    ]


def test_slow_sink_holds_up_no_other_and_its_skips_are_counted() -> None:
    release = threading.Event()
    slow, keep = KeepSink(lambda call: release.wait(60), "slow"), KeepSink(name="screen")
    keep.quick = True

    def gate(index: int) -> None:
        until(lambda: len(keep.frames) >= index)  # shown while the other one waits
        if index == 40:
            release.set()

    report = stream(GatedSource(ramp(40), gate), None, [slow, keep], pace=False)
    assert report.presented == len(keep.frames) == 40
    assert report.skips == {"slow": 40 - len(slow.frames)} and 0 < len(slow.frames) < 40


def test_source_that_stalls_is_seen_to_and_goes_on_by_itself(caplog: pytest.LogCaptureFixture) -> None:
    seen: list[Counters] = []
    stalled = threading.Event()

    def look(counters: Counters) -> None:
        seen.append(counters)
        if counters.stalled:
            assert counters.snapshot()["stalled"] is True
            stalled.set()

    source = LiveSource()
    for capture in ramp(2):
        source.give(capture)
    threading.Thread(target=lambda: (stalled.wait(60), source.give(ramp(1)[0]), source.end())).start()
    with caplog.at_level(logging.WARNING):
        report = stream(source, None, [], on_progress=look)
    assert report.counts["stalls"] == 1 and report.frames_in == 3 and not seen[-1].stalled
    assert "live gives no frames" in caplog.messages


def test_gaps_are_counted_apart_and_reset_temporal_state() -> None:
    engine, sink = FakeEngine(), KeepSink()
    frames = ramp(6)
    frames[3] = Capture(frames[3].image, gap=5)
    report = stream(ListSource(frames), engine, [sink], policy="every", pace=False)
    assert report.gaps == 5 and report.frames_in == report.presented == 6
    assert [frame.sequence for frame in sink.frames] == [0, 1, 2, 8, 9, 10]  # as ``Frame`` says
    assert engine.resets_before == [0, 0, 3]


def test_geometry_change_resets_temporal_state_and_sinks() -> None:
    engine, sink = FakeEngine(scale=2), KeepSink()
    frames = ramp(6)
    for index in (3, 4, 5):
        frames[index] = Capture(frames[index].image, spacing_mm=(0.4, 0.4))
    stream(ListSource(frames), engine, [sink], policy="every", pace=False)
    assert [frame.spacing_mm for frame in sink.frames] == [(0.1, 0.05)] * 3 + [(0.2, 0.2)] * 3
    assert engine.resets_before == [0, 0, 3]


def test_reset_on_request() -> None:
    engine, reset = FakeEngine(), threading.Event()
    sink = KeepSink(lambda call: reset.set() if call == 2 else None)

    source = GatedSource(ramp(6), lambda index: until(lambda: len(sink.frames) >= index))
    stream(source, engine, [sink], policy="every", pace=False, reset=reset)
    assert engine.resets_before == [0, 0, 3] and not reset.is_set()


def test_clock_that_jumps_is_counted_and_not_believed() -> None:
    sink = KeepSink()
    frames = ramp(5)
    frames[2] = Capture(frames[2].image, captured_ns=5)
    frames[3] = Capture(frames[3].image, captured_ns=time.perf_counter_ns() + 10**15)
    report = stream(ListSource(frames), None, [sink], policy="every", pace=False)
    assert report.counts["clock_faults"] == 2 and report.presented == 5
    stamps = [frame.captured_ns for frame in sink.frames]
    assert stamps == sorted(stamps) and report.latency_ms["max"] < 10_000


def test_size_and_depth_may_change_from_frame_to_frame() -> None:
    kinds = [np.zeros((8, 12), np.uint8), np.zeros((6, 9), np.uint16), np.zeros((8, 12), np.float32)]
    sink = KeepSink()
    report = stream(
        ListSource([Capture(kinds[index % 3]) for index in range(9)]), FakeEngine(), [sink], policy="every", pace=False
    )
    assert report.presented == 9 and report.raw_shown == 0
    assert [frame.pixels.shape for frame in sink.frames] == [(8, 12), (6, 9), (8, 12)] * 3


def test_capture_that_changed_during_its_copy_has_failed() -> None:
    frames = ramp(3)
    frames[1] = Capture(frames[1].image, torn=lambda: True)
    report = stream(ListSource(frames), None, [], policy="every", pace=False)
    assert report.failures == {"the writer changed it while it was copied": 1} and report.presented == 2


def test_burst_of_a_live_source_drops_the_old_and_counts_them() -> None:
    source, sink = LiveSource(), KeepSink()
    for capture in ramp(200):
        source.give(capture)
    source.end()
    report = stream(source, FakeEngine(lambda call: time.sleep(0.01)), [sink])
    assert report.frames_in == 200 and balanced(report) and report.dropped > 0
    assert sink.frames[-1].sequence == 199


@pytest.mark.parametrize("how", ["stop", "seconds"])
def test_live_source_that_waits_is_closed_to_end_the_stream(how: str) -> None:
    source, stop = LiveSource(), threading.Event()
    source.give(ramp(1)[0])
    sink = KeepSink(lambda call: stop.set() if how == "stop" else None)
    report = stream(source, None, [sink], stop=stop, seconds=0.3 if how == "seconds" else None)
    assert source.closed and report.presented == 1 and report.interrupted is (how == "stop") and sink.closed == 1


def test_live_source_without_a_frame_can_be_stopped() -> None:
    stop = threading.Event()
    threading.Timer(0.05, stop.set).start()
    report = stream(LiveSource(), None, [KeepSink()], stop=stop)
    assert report.frames_in == 0 and report.interrupted
    source = LiveSource()
    source.end()
    with pytest.raises(SourceError, match="live gave no frame"):
        stream(source, None, [])


def test_source_that_never_answers_cannot_keep_the_stream(monkeypatch: pytest.MonkeyPatch) -> None:
    """A recording on a disk that is gone: no call of its own can be ended."""
    monkeypatch.setattr("edgerecon.stream.loop.watch._GIVEN_UP_AFTER_S", 0.1)
    monkeypatch.setattr("edgerecon.stream.loop.stages._LEFT_AFTER_S", 0.1)
    answer, stop, sink = threading.Event(), threading.Event(), KeepSink()

    def gate(index: int) -> None:
        if index == 3:
            stop.set()
            answer.wait(60)

    report = stream(GatedSource(ramp(5), gate), None, [sink], policy="every", pace=False, stop=stop)
    answer.set()
    assert report.interrupted and report.frames_in == report.presented == 3 and sink.closed == 1


def test_late_frames_are_skipped_on_request_never_all(monkeypatch: pytest.MonkeyPatch) -> None:
    def run(dark_ns: int) -> StreamReport:
        monkeypatch.setattr("edgerecon.stream.loop.present._DARK_AT_MOST_NS", dark_ns)
        engine = FakeEngine(lambda call: time.sleep(0.003))
        return stream(ListSource(ramp(10)), engine, [], policy="every", pace=False, deadline_ms=1, late="skip")

    report = run(10**18)
    assert report.drops == {"deadline: over when the frame was ready": 9} and report.presented == 1 and report.late == 1
    report = run(0)
    assert report.presented == report.late == 10 and balanced(report)


def test_two_streams_at_once_leave_the_interpreter_as_it_was() -> None:
    import gc
    import sys

    before, frozen = (sys.getswitchinterval(), gc.isenabled()), gc.get_freeze_count()
    reports: list[StreamReport] = []
    enabled: list[bool] = []
    sink = KeepSink(lambda call: enabled.append(gc.isenabled()))

    def run(count: int) -> None:
        reports.append(stream(ListSource(ramp(count)), FakeEngine(), [sink], policy="every"))

    threads = [threading.Thread(target=run, args=(count,)) for count in (5, 60)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert {report.presented for report in reports} == {5, 60} and not any(enabled)
    assert (sys.getswitchinterval(), gc.isenabled()) == pytest.approx(before)
    assert gc.get_freeze_count() <= frozen  # some of what was frozen before may have ended


@pytest.mark.parametrize("stage", [Processor, Watch])
def test_a_stage_that_never_begins_ends_the_stream(stage: type, monkeypatch: pytest.MonkeyPatch) -> None:
    """No thread waits for ever for one that is not there: the policy is the one whose capture waits."""

    def run(self: object) -> None:
        raise MemoryError("no room for a thread")

    monkeypatch.setattr(stage, "run", run)
    report = stream(ListSource(ramp(20)), FakeEngine(), [KeepSink()], policy="every", pace=False)
    assert report.error == f"the {stage.__name__.lower()} failed: no room for a thread"
    assert report.frames_in == report.presented + report.dropped + report.failed
