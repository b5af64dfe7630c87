"""A deferred sink: everything arrives in order, slowness is counted, faults come back to the stream."""

from __future__ import annotations

import threading
import time

import numpy as np
import pytest

from edgerecon.core.errors import SinkError
from edgerecon.core.frame import Frame, Image, Status
from edgerecon.stream.accounting.counters import Counters
from edgerecon.stream.sinks.base import StreamInfo
from edgerecon.stream.sinks.deferred import DeferredSink

INFO = StreamInfo("cine", "model", "onnxruntime", "fp32", 1 / 30, 33.3, None, Counters())


class Recorder:
    """Keeps what it is handed; ``gate`` holds it back, ``fault`` is raised by ``present`` or by ``close``."""

    name = "recorder"

    def __init__(self) -> None:
        self.got: list[tuple[int, float, Status, bool]] = []
        self.gate = threading.Event()
        self.gate.set()
        self.present_fault: Exception | None = None
        self.close_fault: Exception | None = None
        self.closed = 0
        self.threads: set[str] = set()

    def open(self, info: StreamInfo) -> None: ...

    def present(self, before: Image, after: Frame, late: bool) -> None:
        self.gate.wait(60)
        self.threads.add(threading.current_thread().name)
        if self.present_fault:
            raise self.present_fault
        self.got.append((after.sequence, float(before[0, 0]), after.status, late))

    def close(self) -> None:
        self.closed += 1
        if self.close_fault:
            raise self.close_fault


def present(sink: DeferredSink, buffer: Image, sequence: int) -> None:
    """Hand over a buffer that is overwritten afterwards, as the stream does."""
    buffer[:] = sequence
    sink.present(buffer, Frame(buffer, sequence, 0, status=Status.RAW), late=sequence % 2 == 1)
    buffer[:] = -1


def test_frames_arrive_copied_in_order_and_off_the_stream() -> None:
    recorder, buffer = Recorder(), np.zeros((2, 2), np.float32)
    sink = DeferredSink(recorder, depth=100)
    sink.open(INFO)
    for sequence in range(50):
        present(sink, buffer, sequence)
    sink.close()
    sink.close()
    assert recorder.got == [(n, float(n), Status.RAW, n % 2 == 1) for n in range(50)]
    assert recorder.closed == 1 and sink.skipped == 0
    assert threading.current_thread().name not in recorder.threads


def test_buffers_are_used_again() -> None:
    seen: set[int] = set()

    class Addresses(Recorder):
        def present(self, before: Image, after: Frame, late: bool) -> None:
            seen.update((before.ctypes.data, after.pixels.ctypes.data))
            super().present(before, after, late)

    recorder, buffer = Addresses(), np.zeros((64, 64), np.float32)
    sink = DeferredSink(recorder, depth=2)
    sink.open(INFO)
    for sequence in range(200):
        present(sink, buffer, sequence)
        while len(recorder.got) + sink.skipped <= sequence:
            time.sleep(0)
    sink.close()
    assert len(recorder.got) == 200 and len(seen) <= 6, "of three frames at most"


def test_slow_sink_loses_frames_but_never_waits() -> None:
    recorder, buffer = Recorder(), np.zeros((2, 2), np.float32)
    recorder.gate.clear()
    sink = DeferredSink(recorder, depth=3)
    sink.open(INFO)
    for sequence in range(20):
        present(sink, buffer, sequence)
    recorder.gate.set()
    sink.close()
    assert len(recorder.got) + sink.skipped == 20 and sink.skipped >= 16


def test_fault_comes_back_to_the_stream_and_nothing_hangs() -> None:
    recorder, buffer = Recorder(), np.zeros((2, 2), np.float32)
    recorder.present_fault = SinkError("disk full")
    sink = DeferredSink(recorder, depth=2)
    sink.open(INFO)
    with pytest.raises(SinkError, match="disk full"):
        while True:
            present(sink, buffer, 0)
    with pytest.raises(SinkError, match="disk full"):
        sink.close()
    sink.abandon()
    assert recorder.closed == 1


def test_fault_while_closing_is_raised() -> None:
    recorder = Recorder()
    recorder.close_fault = SinkError("cannot rename")
    sink = DeferredSink(recorder)
    sink.open(INFO)
    with pytest.raises(SinkError, match="cannot rename"):
        sink.close()


def test_never_opened_sink_closes_quietly() -> None:
    recorder = Recorder()
    DeferredSink(recorder).close()
    assert recorder.closed == 0
