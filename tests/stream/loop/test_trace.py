"""The trace: every stage of every frame, whatever ends the process or fills the disk."""

from __future__ import annotations

import json
import threading
import time
from pathlib import Path

import numpy as np
import pytest

from edgerecon.core.errors import SinkError
from edgerecon.stream.loop.stream import stream
from edgerecon.stream.loop.trace import FileTrace
from edgerecon.stream.sources.base import Capture
from tests.support.stream_fakes import FakeEngine, GatedSource, ListSource, ramp

STAGES = ["capture", "wait for engine", "preprocess", "infer", "postprocess", "wait for sinks", "present"]


def test_trace_holds_every_stage_of_every_frame(tmp_path: Path) -> None:
    def act(call: int) -> None:
        if call == 2:
            raise RuntimeError("lost the device")

    trace = FileTrace(tmp_path / "trace.json")
    frames = [*ramp(5), Capture(None, "torn")]
    report = stream(ListSource(frames), FakeEngine(act), [], policy="every", pace=False, trace=trace)
    trace.close()
    events = [event for event in json.loads((tmp_path / "trace.json").read_text()) if event["ph"] == "X"]
    for frame in range(5):
        own = [event for event in events if event["args"]["frame"] == frame]
        assert [event["name"] for event in own] == STAGES
        for before, after in zip(own, own[1:], strict=False):
            assert before["ts"] + before["dur"] == pytest.approx(after["ts"], abs=0.01)
    fates = {event["args"]["frame"]: event["args"]["fate"] for event in events}
    assert fates[2] == "raw: the engine failed" and fates[5] == "failed: torn"
    assert report.counts["trace_skipped"] == 0


def test_trace_tells_how_far_a_dropped_frame_came(tmp_path: Path) -> None:
    """Frame 0 is in the engine until all have been captured, and frame 8 comes next."""
    trace, in_engine, captured = FileTrace(tmp_path / "trace.json"), threading.Event(), threading.Event()

    def gate(index: int) -> None:
        if index == 1:
            assert in_engine.wait(60)
        if index == 9:
            captured.set()

    def act(call: int) -> None:
        in_engine.set()
        assert captured.wait(60)

    stream(GatedSource(ramp(9), gate), FakeEngine(act), [], pace=False, trace=trace)
    trace.close()
    events = json.loads((tmp_path / "trace.json").read_text())
    overtaken = [event for event in events if event["ph"] == "X" and event["args"]["frame"] not in (0, 8)]
    assert {event["name"] for event in overtaken} == {"capture", "wait for engine"}
    assert {event["args"]["fate"] for event in overtaken} == {"dropped: overtaken by a newer frame while it waited"}


def test_trace_of_a_killed_process_is_read_by_adding_the_bracket(tmp_path: Path) -> None:
    path = tmp_path / "trace.json"
    trace = FileTrace(path)
    for sequence in range(3):
        trace.frame(sequence, "presented", [("capture", 0, 1000)])
    while '"frame": 2' not in path.read_text():
        time.sleep(0.001)
    events = json.loads(path.read_text() + "]")
    assert [event["args"]["frame"] for event in events if event["ph"] == "X"] == [0, 1, 2]
    trace.close()
    assert json.loads(path.read_text()) == events


def test_trace_gives_steps_of_a_source_rows_of_their_own(tmp_path: Path) -> None:
    trace = FileTrace(tmp_path / "trace.json")
    frames = [Capture(np.zeros((4, 4), np.uint8), stages_ms={"demodulate": 1.0, "beamform": 2.0})] * 2
    stream(ListSource(frames), None, [], policy="every", pace=False, trace=trace)
    trace.close()
    events = json.loads((tmp_path / "trace.json").read_text())
    rows = [event["args"]["name"] for event in events if event["name"] == "thread_name"]
    assert rows[:4] == ["capture", "demodulate", "beamform", "wait for engine"] and len(rows) == len(set(rows))
    assert trace.skipped == 0


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="this system has no /dev/full")
def test_trace_on_a_full_disk_ends_alone(caplog: pytest.LogCaptureFixture) -> None:
    trace = FileTrace("/dev/full")
    report = stream(ListSource(ramp(20)), None, [], policy="every", pace=False, trace=trace)
    trace.close()
    assert report.presented == 20
    assert caplog.messages == ["the trace ends: cannot write /dev/full: No space left on device"]


def test_trace_that_cannot_be_written_is_one_line(tmp_path: Path) -> None:
    with pytest.raises(SinkError, match="cannot write .*: No such file or directory"):
        FileTrace(tmp_path / "nowhere" / "trace.json")
