"""Live sources in a stream: nothing is taken at the opening, every loss is in the report, and stopping is prompt."""

from __future__ import annotations

import threading
import time
import uuid

import numpy as np
import pytest

from tests.support.stream_fakes import KeepSink

pytest.importorskip("pyigtl", reason="pyigtl is not installed")

from edgerecon.core.frame import Frame
from edgerecon.stream.accounting.counters import Counters
from edgerecon.stream.loop.stream import stream
from edgerecon.stream.sinks import StreamInfo, open_sink
from edgerecon.stream.sinks.igtl import IgtlServerSink
from edgerecon.stream.sources import open_source

INFO = StreamInfo("source", "none", "none", "fp32", 1 / 30, 33.0, None, Counters())


def show(sink, sequence: int) -> None:
    pixels = np.full((4, 6), sequence / 255, np.float32)
    sink.present(pixels, Frame(pixels, sequence, time.perf_counter_ns(), (0.2, 0.1)), False)


@pytest.mark.parametrize("scheme", ["igtl", "shm"])
def test_what_a_stream_sends_another_receives_with_every_gap(scheme) -> None:
    name = f"edgerecon-test-{uuid.uuid4().hex}"
    sender = open_sink("igtl://:0" if scheme == "igtl" else f"shm://{name}")
    sender.open(INFO)
    if scheme == "shm":
        show(sender, 0)  # a ring is there with its first frame
    source = open_source(sender.url if isinstance(sender, IgtlServerSink) else f"shm://{name}")
    sink, stop = KeepSink(), threading.Event()
    sent = [n for n in range(1, 40) if n not in (7, 8, 20)]
    # OpenIGTLink carries the numbers that were captured; a ring numbers what was written.
    last = 38 if scheme == "igtl" else len(sent) - 1

    def send() -> None:
        while not sink.info or (isinstance(sender, IgtlServerSink) and not sender.clients):
            time.sleep(0.002)
        for number in sent:
            show(sender, number)
            time.sleep(0.004)
        end = time.monotonic() + 120
        while (not sink.frames or sink.frames[-1].sequence != last) and time.monotonic() < end:
            time.sleep(0.005)
        stop.set()

    thread = threading.Thread(target=send)
    thread.start()
    report = stream(source, None, [sink], policy="every", stop=stop)
    thread.join(60)
    sender.close()
    # Whatever this machine was too busy for is in the sender's count and in the receiver's gaps, and nowhere else.
    skipped = getattr(sender, "skipped", 0)
    assert report.frames_in == report.presented and report.failed == report.dropped == 0
    assert report.frames_in + report.gaps == last + 1
    assert report.gaps == skipped + 3 if scheme == "igtl" else report.gaps < len(sent)
    got = [round(frame.pixels[0, 0] * 255) for frame in sink.frames]
    assert got == sorted(set(got)) and set(got) <= set(sent) and got[-1] == sent[-1]
    assert {frame.spacing_mm for frame in sink.frames} == {(0.2, 0.1)}


def test_a_stream_of_a_silent_source_stops_at_once() -> None:
    sender = open_sink("igtl://:0")
    sender.open(INFO)
    source = open_source(sender.url)  # type: ignore[attr-defined]
    stop = threading.Event()
    threading.Timer(0.3, stop.set).start()
    report = stream(source, None, [KeepSink()], stop=stop)  # it would last until pytest ends it
    assert report.frames_in == 0
    sender.close()


def test_the_simulated_probe_streams_for_as_many_frames_as_asked() -> None:
    report = stream(open_source("sim://?size=64x64&fps=200"), None, [KeepSink()], frames=20)
    assert report.frames_in == 20 == report.presented + report.dropped
