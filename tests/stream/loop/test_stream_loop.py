"""The loop: accounting, order, policies, limits, ends."""

from __future__ import annotations

import gc
import json
import sys
import threading
import time

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edgerecon.core.errors import SourceError, UsageError
from edgerecon.core.frame import Status, to_uint8, to_unit
from edgerecon.stream.accounting.counters import REASONS_AT_MOST, Counters
from edgerecon.stream.loop.stream import stream
from edgerecon.stream.sources.base import Capture
from tests.stream.loop.balance import balanced, capture_of, kinds
from tests.support.stream_fakes import FakeEngine, KeepSink, ListSource, ramp


@settings(max_examples=40, deadline=None)
@given(
    st.lists(kinds, min_size=1, max_size=25),
    st.sampled_from(["latest", "every"]),
    st.booleans(),
    st.sets(st.integers(0, 24), max_size=4),
    st.sampled_from([None, 5, 40]),
    st.booleans(),
)
def test_every_frame_is_accounted_for(kinds, policy, pace, engine_faults, limit, loop) -> None:
    def act(call: int) -> None:
        if call in engine_faults:
            raise RuntimeError("engine hiccup")
        time.sleep(0.0005 * (call % 3))

    sink = KeepSink()
    source = ListSource([capture_of(kind, index) for index, kind in enumerate(kinds)], period_s=0.0005)
    loop = loop and limit is not None
    report = stream(source, FakeEngine(act), [sink], policy=policy, pace=pace, loop=loop, frames=limit)
    assert balanced(report)
    assert report.frames_in == (limit if loop else min(len(kinds), limit or len(kinds)))
    sequences = [frame.sequence for frame in sink.frames]
    assert sequences == sorted(set(sequences)) and len(sequences) == report.presented
    assert report.raw_shown == sum(frame.status is Status.RAW for frame in sink.frames)
    for before, frame in zip(sink.befores, sink.frames, strict=True):
        assert frame.pixels.dtype == np.float32 and frame.pixels.shape == before.shape
        expected = before if frame.status is Status.RAW else 1 - before
        np.testing.assert_array_equal(frame.pixels, expected)  # never another frame's pixels
    if policy == "every":
        unusable = ("fault", "empty", "object", "nopixels")
        played = [kinds[index % len(kinds)] for index in range(report.frames_in)]
        assert report.dropped == 0
        assert report.failed == sum(kind in unusable for kind in played)


def test_every_is_lossless_and_in_order_through_a_slow_engine() -> None:
    sink = KeepSink()
    report = stream(
        ListSource(ramp(30)), FakeEngine(lambda call: time.sleep(0.002)), [sink], policy="every", pace=False
    )
    assert report.presented == report.frames_in == 30 and balanced(report)
    assert [round(float(before[0, 0]) * 255) for before in sink.befores] == list(range(30))


def test_latest_drops_the_old_and_shows_the_newest() -> None:
    """The engine is held while captures go on: of those that waited, only the newest is processed."""
    in_engine, captured_all, shown = threading.Event(), threading.Event(), threading.Event()

    class Source(ListSource):
        def frames(self):
            for index, capture in enumerate(super().frames()):
                if index == 1:
                    assert in_engine.wait(60)
                yield capture
            captured_all.set()

    def act(call: int) -> None:
        in_engine.set()
        assert captured_all.wait(60) and (call == 0 or shown.wait(60))

    class Sink(KeepSink):
        def present(self, before, after, late):
            super().present(before, after, late)
            shown.set()

    sink = Sink()
    report = stream(Source(ramp(20)), FakeEngine(act), [sink])
    assert balanced(report)
    assert [frame.sequence for frame in sink.frames] == [0, 19]
    assert report.drops == {"engine: overtaken by a newer frame while it waited": 18}
    assert report.deadline_miss_rate == (report.late + 18) / 20


def test_slow_sink_drops_are_counted_where_they_happen() -> None:
    done = threading.Event()
    engine = FakeEngine(lambda call: done.set() if call == 4 else None)
    sink = KeepSink(lambda call: done.wait(60) if call == 0 else None)

    class Slow(ListSource):
        def frames(self):
            for capture in super().frames():
                time.sleep(0.003)  # so that the engine keeps up
                yield capture

    report = stream(Slow(ramp(10)), engine, [sink])
    assert balanced(report)
    assert sum(count for reason, count in report.drops.items() if reason.startswith("sinks:")) > 0
    assert sink.frames[-1].sequence == 9


def test_temporal_state_is_reset_at_gaps_and_new_sizes() -> None:
    frames = ramp(4)
    frames[1] = Capture(None, "torn")
    frames[3] = Capture(np.zeros((5, 5), np.uint8))
    engine = FakeEngine()
    stream(ListSource(frames), engine, [], policy="every", pace=False, loop=True, frames=8)
    # Engine calls: frames 0, 2 (gap), 3 (size), then the same again from the start of the recording.
    assert engine.resets_before == [0, 0, 1, 2, 3, 4, 5]  # the first of them ends the warm-up
    steady = FakeEngine()
    stream(ListSource(ramp(6)), steady, [], policy="every", pace=False)
    assert steady.resets_before == [0, 0]


def test_engine_failure_shows_the_capture_marked(caplog: pytest.LogCaptureFixture) -> None:
    def act(call: int) -> None:
        if call % 2:
            raise RuntimeError("out of tensor memory")

    sink = KeepSink()
    report = stream(ListSource(ramp(10)), FakeEngine(act), [sink], policy="every", pace=False)
    assert (report.presented, report.raw_shown, report.failed) == (10, 5, 0)
    assert [frame.status is Status.RAW for frame in sink.frames] == [False, True] * 5
    assert [record.getMessage() for record in caplog.records] == [
        "frame 1 is shown raw: the engine failed: out of tensor memory"
    ]


@pytest.mark.parametrize(
    "output",
    [np.full((8, 12), np.nan, np.float32), np.full((8, 12), np.inf, np.float32), np.zeros((3, 3), np.float32), None],
)
def test_unusable_engine_output_is_never_shown(output: np.ndarray | None) -> None:
    class Engine(FakeEngine):
        def run(self, frame, out=None):
            return output

    sink = KeepSink()
    report = stream(ListSource(ramp(3)), Engine(), [sink], policy="every", pace=False)
    assert report.raw_shown == report.presented == 3
    np.testing.assert_array_equal(sink.frames[2].pixels, sink.befores[2])


def test_engine_output_is_clipped_and_foreign_buffers_copied() -> None:
    shared = np.empty((8, 12), np.float32)

    class Engine(FakeEngine):
        def run(self, frame, out=None):
            shared[:] = frame * 4 - 1
            return shared

    sink = KeepSink()
    stream(ListSource(ramp(100)), Engine(), [sink], policy="every", pace=False)
    for before, frame in zip(sink.befores, sink.frames, strict=True):
        np.testing.assert_array_equal(frame.pixels, np.clip(before * 4 - 1, 0, 1))


@pytest.mark.parametrize("captured", [np.uint8, np.float32])
def test_bytes_go_through_an_engine_that_takes_them(captured: type) -> None:
    class Bytewise(FakeEngine):
        takes_bytes = True

        def run_bytes(self, seen, out):
            np.subtract(255, seen, out=out)

    engine, sink = Bytewise(), KeepSink()
    frames = [Capture(to_unit(one.image) if captured is np.float32 else one.image) for one in ramp(9)]
    stream(ListSource(frames), engine, [sink], policy="every", pace=False)
    warm_up = 2
    assert engine.calls == (warm_up if captured is np.uint8 else warm_up + 9)
    for index, frame in enumerate(sink.frames):
        np.testing.assert_array_equal(to_uint8(frame.pixels), np.full((8, 12), 255 - index, np.uint8))


def test_upscaling_changes_size_and_spacing_of_raw_frames_too() -> None:
    sink = KeepSink()

    def act(call: int) -> None:
        if call == 1:
            raise RuntimeError

    report = stream(ListSource(ramp(3)), FakeEngine(act, scale=2), [sink], policy="every", pace=False)
    assert [frame.pixels.shape for frame in sink.frames] == [(16, 24)] * 3
    assert report.raw_shown == 1 and sink.frames[0].spacing_mm == (0.1, 0.05)
    np.testing.assert_allclose(sink.frames[1].pixels, 1 / 255, rtol=1e-5)


def test_source_that_fails_midway_keeps_what_it_gave() -> None:
    sink = KeepSink()
    report = stream(ListSource([*ramp(5), OSError("cable pulled")]), None, [sink], policy="every", pace=False)
    assert balanced(report) and report.presented == 5 and sink.closed == 1
    assert report.error == "list failed: cable pulled" and not report.interrupted


@pytest.mark.parametrize("items", [[], [OSError("cable pulled")], [SourceError("gone")]])
def test_source_without_any_frame_is_an_error_before_sinks_open(items: list) -> None:
    sink = KeepSink()
    with pytest.raises(SourceError):
        stream(ListSource(items), None, [sink], loop=True)
    assert sink.info is None


def test_only_unreadable_frames_end_with_an_error_in_the_report() -> None:
    report = stream(ListSource([Capture(None, "torn")] * 3), FakeEngine(), [KeepSink()])
    assert report.failures == {"torn": 3} and report.presented == 0 and report.fps == 0
    assert report.error == "no frame of list could be shown: torn"
    assert report.latency_ms["p99"] is None
    json.dumps(report.to_json(), allow_nan=False)


def test_huge_frame_fails_alone() -> None:
    huge = np.broadcast_to(np.uint8(0), (10_000, 10_000))
    report = stream(ListSource([*ramp(1), Capture(huge), *ramp(1)]), None, [], policy="every", pace=False)
    assert (report.presented, report.failed) == (2, 1)


def test_constant_and_nan_frames_are_shown() -> None:
    nan = np.full((4, 4), 0.5, np.float32)
    nan[0, 0], nan[0, 1] = np.nan, np.inf
    sink = KeepSink()
    report = stream(
        ListSource([Capture(np.zeros((4, 4), np.uint8)), Capture(nan)]),
        FakeEngine(),
        [sink],
        policy="every",
        pace=False,
    )
    assert report.raw_shown == 1 and sink.frames[1].status is Status.RAW
    assert sink.frames[1].pixels[0].tolist() == [0.0, 1.0, 0.5, 0.5]


def test_passthrough_and_defaults() -> None:
    sink = KeepSink()
    report = stream(ListSource(ramp(2), period_s=None), None, [sink], frames=2, model_name="raw")
    assert report.deadline_ms == pytest.approx(1e3 / 30)
    assert report.engine == {"backend": "none", "precision": "fp32", "threads": 0} and report.model == "raw"
    assert sink.info is not None and sink.info.counters.presented == 2
    assert sink.threads and threading.get_ident() not in sink.threads


def test_progress_is_told_in_the_callers_thread() -> None:
    told: list[tuple[int, int]] = []
    stream(
        ListSource(ramp(2), period_s=0.3),
        None,
        [],
        on_progress=lambda counters: told.append((threading.get_ident(), counters.presented)),
    )
    assert told[-1] == (threading.get_ident(), 2) and len(told) >= 2


def test_failing_progress_stops_the_stream_and_is_raised() -> None:
    sink = KeepSink()

    def fail(counters: Counters) -> None:
        raise LookupError("no such widget")

    with pytest.raises(LookupError):
        stream(ListSource(ramp(2)), None, [sink], loop=True, on_progress=fail)
    assert sink.closed == 1


@pytest.mark.parametrize(
    "wrong",
    [
        {"policy": "newest"},
        {"deadline_ms": 0},
        {"frames": 0},
        {"seconds": -1},
        {"seconds": float("nan")},
        {"deadline_ms": float("inf")},
    ],
)
def test_nonsense_is_a_usage_error(wrong: dict) -> None:
    with pytest.raises(UsageError):
        stream(ListSource(ramp(1)), None, [], **wrong)


def test_interpreter_is_left_as_it_was() -> None:
    interval, frozen, threads = sys.getswitchinterval(), gc.get_freeze_count(), threading.active_count()
    stream(ListSource(ramp(3)), None, [])
    assert sys.getswitchinterval() == pytest.approx(interval)
    assert gc.get_freeze_count() <= frozen and threading.active_count() == threads


def test_report_has_the_agreed_fields(tmp_path) -> None:
    report = stream(ListSource(ramp(4)), FakeEngine(), [], policy="every", pace=False)
    report.write(tmp_path / "report.json")
    data = json.loads((tmp_path / "report.json").read_text())
    assert {
        "frames_in",
        "presented",
        "dropped",
        "late",
        "failed",
        "raw_shown",
        "fps",
        "deadline_ms",
        "deadline_miss_rate",
        "latency_ms",
        "stages_ms",
        "engine",
        "model",
        "source",
        "host",
    } <= set(data)
    assert set(data["latency_ms"]) == {"p50", "p90", "p99", "p999", "max"}
    assert set(data["stages_ms"]) == {"capture", "preprocess", "infer", "postprocess", "present"}
    assert all(set(times) == {"p50", "p99"} for times in data["stages_ms"].values())
    assert list(tmp_path.iterdir()) == [tmp_path / "report.json"]


def test_distinct_reasons_cannot_fill_the_memory() -> None:
    counters = Counters()
    for index in range(1000):
        counters.fail(f"at byte {index}")
    assert counters.failed == 1000 and len(counters.failures) == REASONS_AT_MOST + 1


def test_memory_stays_flat() -> None:
    """No buffer is allocated for a frame once the first sizes are known: 1 000 frames of 64 kB take under 1 MB."""
    import tracemalloc

    frames = [Capture(np.zeros((256, 256), np.uint8))] * 50
    peaks: list[int] = []

    def act(call: int) -> None:
        if call == 100:
            tracemalloc.start()
        elif call > 100 and call % 100 == 0:
            peaks.append(tracemalloc.get_traced_memory()[1])

    class InPlace(FakeEngine):
        def run(self, frame, out=None):
            return frame.copy() if out is None else np.subtract(1, frame, out=out)

    try:
        stream(ListSource(frames), InPlace(), [KeepNothing(act)], policy="every", pace=False, loop=True, frames=1000)
    finally:
        tracemalloc.stop()
    assert peaks[-1] < 200_000, "less than one float32 frame of 256×256"


class KeepNothing(KeepSink):
    def __init__(self, act) -> None:
        super().__init__(act)
        self.count = 0

    def present(self, before, after, late) -> None:
        self._act(self.count)
        self.count += 1
