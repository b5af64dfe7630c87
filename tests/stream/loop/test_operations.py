"""What operators meet: traces, signals, systemd, JSON logs, the live table, priorities, garbage, the soak."""

from __future__ import annotations

import gc
import json
import logging
import os
import signal
import socket
import subprocess
import sys
import threading
import tracemalloc
from io import StringIO
from pathlib import Path

import numpy as np
import pytest
from rich.console import Console

from bench import soak
from edgerecon.cli.tables.stream import print_stream
from edgerecon.cli.tui import counter_table, sparkline
from edgerecon.core.errors import UsageError
from edgerecon.core.frame import Frame, Image
from edgerecon.core.logs import JsonLines
from edgerecon.stream.accounting.counters import Counters
from edgerecon.stream.loop.ring import Mailbox, Slot
from edgerecon.stream.loop.stream import stream
from edgerecon.stream.process import systemd
from edgerecon.stream.process.gc_guard import collect_garbage, collecting_between_frames
from edgerecon.stream.process.scheduling import Scheduling, scheduling_of
from edgerecon.stream.sinks.base import StreamInfo
from edgerecon.stream.sources.base import Capture
from tests.support.stream_fakes import FakeEngine, KeepSink, ListSource, ramp


@pytest.mark.skipif(sys.platform != "linux", reason="priorities are Linux's")
def test_scheduling_is_applied_to_the_streams_threads_alone() -> None:
    mine = os.sched_getaffinity(0)
    one = min(mine)
    seen: list[tuple[set[int], int]] = []

    def look(call: int) -> None:
        seen.append((os.sched_getaffinity(0), os.getpriority(os.PRIO_PROCESS, threading.get_native_id())))

    nice = os.getpriority(os.PRIO_PROCESS, 0)
    wanted = min(19, nice + 3)
    stream(
        ListSource(ramp(2)), FakeEngine(look), [KeepSink(look)], policy="every", scheduling=Scheduling(wanted, [one])
    )
    assert seen == [({one}, wanted)] * 4
    assert os.sched_getaffinity(0) == mine and os.getpriority(os.PRIO_PROCESS, 0) == nice


@pytest.mark.skipif(sys.platform != "linux", reason="priorities are Linux's")
def test_impossible_scheduling_is_a_usage_error(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*arguments: object) -> None:
        raise PermissionError(1, "Operation not permitted")

    monkeypatch.setattr(os, "sched_setscheduler", refuse)
    sink = KeepSink()
    for scheduling, message in [
        (Scheduling("realtime"), "priority realtime is not permitted: allow it with"),
        (Scheduling("urgent"), "unknown priority 'urgent': give realtime or a nice value from -20 to 19"),
        (Scheduling("99"), "unknown priority '99'"),
        (Scheduling(cpus=[9999]), "cannot run on processors '9999': this process may use"),
    ]:
        with pytest.raises(UsageError, match=message):
            stream(ListSource(ramp(1)), None, [sink], scheduling=scheduling)
    assert sink.info is None
    assert (
        scheduling_of("realtime", "0,1") == Scheduling("realtime", [0, 1]) and scheduling_of(None, None) == Scheduling()
    )
    with pytest.raises(UsageError, match="'0-1' are no processors"):
        scheduling_of(None, "0-1")


def test_garbage_is_collected_between_frames_and_not_by_itself() -> None:
    class Knot:
        alive = 0

        def __init__(self) -> None:
            Knot.alive += 1
            self.me = self

        def __del__(self) -> None:
            Knot.alive -= 1

    most = 0

    def act(call: int) -> None:
        nonlocal most
        assert not gc.isenabled()
        for _ in range(100):
            Knot()
        most = max(most, Knot.alive)

    stream(ListSource(ramp(300)), None, [KeepSink(act)], policy="every", pace=False)
    assert 100 < most < 10_000, "of 30,000"
    assert gc.isenabled()
    with collecting_between_frames():
        collect_garbage()


@pytest.mark.parametrize(
    "image",
    [
        np.zeros((256, 256), np.uint8),
        np.zeros((256, 256), np.uint16),
        np.zeros((256, 256), np.float32),
        np.zeros((256, 256, 3), np.uint8),
    ],
    ids=["8 bit", "16 bit", "float", "colour"],
)
@pytest.mark.parametrize("failing", [False, True], ids=["reconstructed", "raw"])
def test_no_frame_allocates_a_buffer_after_the_first(image: np.ndarray, failing: bool) -> None:
    """Nor do several together: the peak over 200 frames lies below one 8-bit frame of 64 kB, when the engine fails too.

    The number of Python's own objects stays level as well.
    """
    peaks: list[int] = []
    blocks: list[int] = []

    class InPlace(FakeEngine):
        def run(self, frame: Image, out: Image | None = None) -> Image:
            self.calls += 1
            if failing and self.calls > 2:
                raise RuntimeError("lost the device")
            return frame.copy() if out is None else np.subtract(1, frame, out=out)

    class Probe(KeepSink):
        quick, count = True, 0

        def present(self, before: Image, after: Frame, late: bool) -> None:
            self.count += 1
            if self.count == 100:
                tracemalloc.start()
            if self.count >= 100 and self.count % 100 == 0:
                peaks.append(tracemalloc.get_traced_memory()[1])
                blocks.append(sys.getallocatedblocks())

    try:
        stream(ListSource([Capture(image)] * 300), InPlace(), [Probe()], policy="every", pace=False)
    finally:
        tracemalloc.stop()
    assert max(peaks) < 65_536
    assert blocks[-1] - blocks[-2] < 100, "over 100 frames"


def test_mailbox_wakes_whoever_waits_and_ends() -> None:
    for overtake in (True, False):
        mailbox, got = Mailbox(overtake), []
        thread = threading.Thread(target=lambda: got.extend(iter(mailbox.get, None)))  # noqa: B023 - joined below
        thread.start()
        slots = [Slot() for _ in range(200)]
        overtaken = [mailbox.put(slot) for slot in slots]
        mailbox.close()
        mailbox.close()
        thread.join(60)
        lost = [slot for slot in overtaken if slot is not None]
        assert not thread.is_alive() and mailbox.empty and mailbox.get() is None
        assert len(got) + len(lost) == 200 and {id(slot) for slot in (*got, *lost)} == {id(slot) for slot in slots}
        assert got[-1] is slots[-1] and (overtake or got == slots)


@pytest.mark.parametrize("overtake", [True, False])
def test_closed_mailbox_gives_back_what_is_put(overtake: bool) -> None:
    """Also to one that waits for room when the mailbox is closed, because whoever took the slots is gone."""
    mailbox, first, waiting = Mailbox(overtake), Slot(), Slot()
    assert mailbox.put(first) is None
    lost: list[Slot | None] = []
    thread = threading.Thread(target=lambda: lost.append(mailbox.put(waiting)), daemon=True)
    if not overtake:
        thread.start()
    mailbox.close()
    if not overtake:
        thread.join(60)
        assert lost == [waiting]
    for _ in range(3):
        late = Slot()
        assert mailbox.put(late) is late
    assert mailbox.get() is first and mailbox.get() is None and mailbox.get() is None
    assert mailbox.put(waiting) is waiting


def test_systemd_is_told_alive_only_while_frames_are_settled(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
        manager.bind(str(tmp_path / "notify"))
        manager.settimeout(300)
        monkeypatch.setenv("NOTIFY_SOCKET", str(tmp_path / "notify"))
        monkeypatch.setenv("WATCHDOG_USEC", "2")
        service, counters = systemd.Service(), Counters()
        service.beat(counters)
        assert [manager.recv(99), manager.recv(99)] == [b"READY=1", b"WATCHDOG=1"]
        counters.captured()
        counters.shown(1.0, False, None)
        service.beat(counters)  # a source that gives no more frames is none of our faults
        assert manager.recv(99) == b"WATCHDOG=1"
        counters.captured()
        manager.setblocking(False)
        service.beat(counters)  # one that does not come out again is
        with pytest.raises(BlockingIOError):
            manager.recv(99)
        counters.fail("torn")
        service.beat(counters)
        assert manager.recv(99) == b"WATCHDOG=1"


def test_systemd_period_is_half_and_only_for_us(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setenv("WATCHDOG_USEC", "3000000")
    assert systemd.watchdog_period_s() == 1.5
    monkeypatch.setenv("WATCHDOG_PID", "1")
    assert systemd.watchdog_period_s() is None
    monkeypatch.setenv("WATCHDOG_PID", str(os.getpid()))
    for nonsense in ("", "0", "soon"):
        monkeypatch.setenv("WATCHDOG_USEC", nonsense)
        assert systemd.watchdog_period_s() is None
    monkeypatch.delenv("NOTIFY_SOCKET", raising=False)
    systemd.notify("READY=1")
    assert not caplog.messages
    monkeypatch.setenv("NOTIFY_SOCKET", "/nowhere/at/all")
    systemd.notify("READY=1")
    assert caplog.messages == ["systemd cannot be told READY=1: [Errno 2] No such file or directory"]


def test_json_log_lines() -> None:
    try:
        raise ValueError("wrong")
    except ValueError:
        record = logging.LogRecord("edgerecon.x", logging.WARNING, "", 1, "frame %d", (7,), sys.exc_info())
    line = json.loads(JsonLines().format(record))
    assert line["level"] == "warning" and line["logger"] == "edgerecon.x" and line["message"] == "frame 7"
    assert line["time"].endswith("+00:00") and "ValueError: wrong" in line["error"]


def test_live_table_shows_what_is_counted() -> None:
    counters = Counters()
    counters.ladder, counters.rung, counters.stalled, counters.gaps = ("full", "passthrough"), 1, True, 3
    counters.captured()
    counters.shown(40.0, True, "passthrough")
    counters.drop("engine", "overtaken by a [newer] frame")
    screen = Console(file=StringIO(), force_terminal=True, width=120)
    with counter_table(screen, "probe [1] → full", 33.3) as show:
        show(counters)
    text = screen.file.getvalue()  # type: ignore[attr-defined]
    for shown in ("probe [1] → full", "stalled", "3 frames lost", "1 late, 1 raw", "of 33.3", "a [newer] frame"):
        assert shown in text
    line = sparkline([0.0, 10.0, 33.0, 99.0], 33.3)
    assert line.plain == "▁▃██" and [span.style for span in line.spans] == ["green"] * 3 + ["red"]


def test_what_went_wrong_is_said_at_the_end() -> None:
    frames = ramp(3)
    frames[1] = Capture(frames[1].image, gap=4)
    report = stream(ListSource(frames), FakeEngine(), [], policy="every", pace=False, ladder=[])
    screen = Console(file=StringIO(), width=120)
    print_stream(screen, report)
    text = screen.file.getvalue()  # type: ignore[attr-defined]
    assert "frames lost before us: 4\n" in text and "ladder fake → passthrough, at the end fake" in text


def test_slow_reader_of_the_info_sees_live_counters() -> None:
    sink = KeepSink()
    stream(ListSource(ramp(3)), None, [sink], policy="every")
    info = sink.info
    assert isinstance(info, StreamInfo) and info.counters.snapshot()["presented"] == 3
    json.dumps(info.counters.snapshot())


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no SIGTERM that can be handled")
def test_sigterm_drains_and_leaves_with_0(tmp_path: Path) -> None:
    """In one process: systemd's messages, JSON logs, a trace, the report of frames in order, SIGHUP as a reset."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
        manager.bind(str(tmp_path / "notify"))
        manager.settimeout(300)
        command = [
            sys.executable,
            "-m",
            "edgerecon",
            "stream",
            "sample",
            "--loop",
            "--log-json",
            "--sink",
            "out.npz",
            "--trace",
            "trace.json",
            "--json",
            "report.json",
            "--sink",
            "null",
        ]
        with subprocess.Popen(
            command,
            cwd=tmp_path,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
            env={**os.environ, "NOTIFY_SOCKET": str(tmp_path / "notify")},
        ) as process:
            assert manager.recv(99) == b"READY=1"
            process.send_signal(signal.SIGHUP)
            process.send_signal(signal.SIGTERM)
            assert manager.recv(99) == b"STOPPING=1"
            _, errors = process.communicate(timeout=300)
    assert process.returncode == 0, errors
    assert all(isinstance(json.loads(line), dict) for line in errors.splitlines())
    report = json.loads((tmp_path / "report.json").read_text())
    assert report["interrupted"] and report["frames_in"] == report["presented"] + report["dropped"] + report["failed"]
    assert json.loads((tmp_path / "trace.json").read_text())
    assert len(np.load(tmp_path / "out.npz")["frames"]) + sum(report["skips"].values()) == report["presented"]


@pytest.mark.slow
def test_short_soak(monkeypatch: pytest.MonkeyPatch) -> None:
    """`make soak` streams a million frames; the same with six thousand."""
    monkeypatch.setattr("edgerecon.stream.loop.fanout._WAIT_S", 0.01)
    monkeypatch.setattr(soak.HangingSink, "close_s", 0.3, raising=False)  # the others have all the time they need
    monkeypatch.setattr("edgerecon.stream.loop.fanout.CLOSE_S", 120.0)
    monkeypatch.setattr(soak, "HANG_S", 0.8)
    result = soak.soak(6000, every=100)
    assert result["wrong"] == [] and set(result["faults"]) == set(soak.FAULTS)
