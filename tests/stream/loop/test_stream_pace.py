"""When frames are captured, shown late, and limited in number or time."""

from __future__ import annotations

import threading
import time

import pytest

from edgerecon.stream.loop.stream import stream
from tests.stream.loop.balance import balanced
from tests.support.stream_fakes import FakeEngine, GatedSource, KeepSink, ListSource, ramp


def test_stop_event_and_limits() -> None:
    stop = threading.Event()
    sink = KeepSink(lambda call: stop.set() if call == 3 else None)
    report = stream(ListSource(ramp(5)), None, [sink], loop=True, stop=stop)
    assert report.interrupted and balanced(report) and sink.closed == 1
    report = stream(ListSource(ramp(5), period_s=0.01), None, [], loop=True, seconds=0.095)
    assert 1 <= report.frames_in <= 10 and not report.interrupted
    report = stream(ListSource(ramp(5), period_s=60), None, [], frames=1)
    assert report.frames_in == 1 and report.deadline_ms == 60_000


def test_seconds_are_kept_by_a_slow_source() -> None:
    report = stream(ListSource(ramp(5), period_s=10), None, [], seconds=0.05)
    assert report.frames_in == report.presented == 1 and not report.interrupted and report.error is None


@pytest.mark.parametrize("period_s", [1e-12, 1e10, float("inf"), float("nan"), -1.0, 0.0, None])
def test_a_period_that_cannot_be_is_as_none(period_s: float | None) -> None:
    report = stream(ListSource(ramp(3), period_s=period_s), None, [], frames=2, policy="every")
    assert report.presented == 2 and report.deadline_ms == pytest.approx(1000 / 30)


@pytest.mark.parametrize(("options", "marked"), [({"pace": False}, False), ({}, True)])
def test_a_recording_converted_at_full_speed_is_not_late(options: dict, marked: bool) -> None:
    sink = KeepSink()
    report = stream(ListSource(ramp(3), period_s=1e-6), None, [sink], policy="every", **options)
    assert report.late == 3
    assert sink.late == [marked] * 3


@pytest.mark.parametrize("policy", ["latest", "every"])
def test_no_frame_is_captured_before_it_is_due(policy) -> None:
    sink = KeepSink()
    stream(ListSource(ramp(6), period_s=0.01), None, [sink], policy=policy)
    for frame in sink.frames:
        assert frame.captured_ns >= sink.opened_ns + frame.sequence * 10_000_000 - 1000  # rounding


def test_frames_are_paced_by_the_clock_of_the_recording() -> None:
    captures = ramp(7)
    for capture, time_s in zip(captures, [5.0, 5.01, 5.05, None, 5.07, 0.0, 1000.0], strict=True):
        capture.time_s = time_s
    sink = KeepSink()
    report = stream(ListSource(captures, period_s=0.01), None, [sink], policy="every")
    assert report.deadline_ms == 10
    due_ms = [0, 10, 50, 60, 70, 80, 90]  # without a time, or when the clock was set: one period
    for frame, due in zip(sink.frames, due_ms, strict=True):
        assert frame.captured_ns >= sink.opened_ns + due * 1_000_000 - 1000


@pytest.mark.parametrize("live", [False, True])
def test_frames_that_a_recording_gives_after_they_were_due_count(live: bool) -> None:
    """Each takes three periods at least, as channel data that are slow to beamform; a live source has no dues."""
    source = GatedSource(ramp(4), lambda index: time.sleep(0.003))
    source.live = live
    report = stream(source, None, [KeepSink()], policy="every")
    assert report.counts["delivered_late"] == (0 if live else 3) and report.presented == 4


def test_late_frames_are_told_to_the_sinks_and_counted() -> None:
    sink = KeepSink()
    report = stream(
        ListSource(ramp(3)),
        FakeEngine(lambda call: time.sleep(0.003)),
        [sink],
        policy="every",
        pace=False,
        deadline_ms=1,
    )
    assert report.late == 3 and sink.late == [True] * 3 and report.deadline_miss_rate == 1.0
