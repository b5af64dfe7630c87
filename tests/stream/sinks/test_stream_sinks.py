"""Sinks: what they write is read back; whatever breaks, files stay valid and the stream goes on."""

from __future__ import annotations

import errno
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import av
import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edgerecon.core.errors import SinkError, UsageError
from edgerecon.stream.loop.stream import stream
from edgerecon.stream.sinks import open_sink
from edgerecon.stream.sinks.files.mp4 import Mp4Sink
from edgerecon.stream.sinks.files.npz import NpzSink
from edgerecon.stream.sinks.files.panel import fit
from edgerecon.stream.sources import open_source
from edgerecon.stream.sources.base import Capture
from tests.support.stream_fakes import FakeEngine, KeepSink, ListSource, ramp


def luma_of(path: Path) -> list[np.ndarray]:
    with av.open(str(path)) as container:
        return [frame.to_ndarray(format="gray") for frame in container.decode(video=0)]


def play(items, *uris, engine=None, period_s=0.04, **options):
    options = {"policy": "every", "pace": False, "deadline_ms": 60_000.0} | options  # on a busy machine nothing is late
    return stream(ListSource(items, period_s), engine, [open_sink(str(uri)) for uri in uris], **options)


def smooth(count: int, shape=(48, 64)) -> list[Capture]:
    y, x = np.mgrid[: shape[0], : shape[1]]
    return [Capture((127 + 100 * np.sin(x / 9 + n / 3) * np.cos(y / 7)).astype(np.uint8)) for n in range(count)]


def test_mp4_holds_before_and_after_as_browsers_need_it(tmp_path: Path) -> None:
    path = tmp_path / "out.mp4"
    captures = smooth(10)
    play(captures, path, engine=FakeEngine())
    with av.open(str(path)) as container:
        video = container.streams.video[0]
        assert (video.codec_context.name, video.codec_context.pix_fmt) == ("h264", "yuv420p")
        assert (video.average_rate, video.frames, video.width, video.height) == (25, 10, 128, 48)
    for capture, frame in zip(captures, luma_of(path), strict=True):
        side_by_side = np.hstack([capture.image, 255 - capture.image])
        assert np.abs(frame.astype(int) - side_by_side).mean() < 3
    data = path.read_bytes()
    assert data.index(b"moov") < data.index(b"mdat"), "the index comes first, so that playing starts at once"
    assert list(tmp_path.iterdir()) == [path]


@settings(max_examples=12, deadline=None)
@given(st.integers(1, 37), st.integers(1, 37))
def test_mp4_of_any_size(tmp_path_factory, height: int, width: int) -> None:
    path = tmp_path_factory.mktemp("mp4") / "out.mp4"
    play([Capture(np.full((height, width), 200, np.uint8))] * 2, path)
    frames = luma_of(path)
    assert frames[0].shape == (height + height % 2, 2 * (width + width % 2)) and len(frames) == 2
    assert np.abs(frames[0].astype(int) - 200).max() <= 6  # padding continues the edge


def test_mp4_marks_raw_and_late_frames(tmp_path: Path) -> None:
    class Broken(FakeEngine):
        def run(self, frame, out=None):
            raise RuntimeError("no")

    dark = [Capture(np.zeros((64, 96), np.uint8))] * 3
    play(dark, tmp_path / "ok.mp4", deadline_ms=1e6)
    play(dark, tmp_path / "raw.mp4", engine=Broken(), deadline_ms=1e6)
    play(dark, tmp_path / "late.mp4", engine=FakeEngine(lambda call: time.sleep(0.002)), deadline_ms=0.1)
    ok, raw = luma_of(tmp_path / "ok.mp4")[1], luma_of(tmp_path / "raw.mp4")[1]
    assert ok.max() < 10 and raw[:16, 96:130].max() > 200 and raw[:, :90].max() < 20
    assert luma_of(tmp_path / "late.mp4")[1][:16, 96:130].min() < 100  # dark letters on the inverted, white frame


def test_mp4_keeps_true_time_over_dropped_frames(tmp_path: Path) -> None:
    frames = smooth(6)
    frames[2] = frames[3] = Capture(None, "torn")
    play(frames, tmp_path / "out.mp4")
    with av.open(str(tmp_path / "out.mp4")) as container:
        times = [float(frame.time) for frame in container.decode(video=0)]
    assert times == pytest.approx([0, 0.04, 0.16, 0.20])


def test_npz_is_read_back_exactly(tmp_path: Path) -> None:
    path = tmp_path / "out.npz"
    frames = [Capture(np.random.default_rng(n).integers(0, 256, (9, 7), np.uint8)) for n in range(5)]
    play(frames, path)
    with np.load(path) as data:
        np.testing.assert_array_equal(data["frames"], [capture.image for capture in frames])
        assert data["frames"].dtype == np.uint8 and data["fps"] == 25 and data["spacing_mm"].tolist() == [0.2, 0.1]
    source = open_source(str(path))
    assert (source.period_s, source.spacing_mm, source.length) == (0.04, (0.2, 0.1), 5)
    np.testing.assert_array_equal([capture.image for capture in source.frames()], [c.image for c in frames])
    assert list(tmp_path.iterdir()) == [path]


def test_size_change_midstream_is_letterboxed(tmp_path: Path) -> None:
    frames = [*smooth(3), *smooth(2, (30, 90)), *smooth(1)]
    play(frames, tmp_path / "out.npz", tmp_path / "out.mp4", engine=FakeEngine())
    with np.load(tmp_path / "out.npz") as data:
        assert data["frames"].shape == (6, 48, 64)
        boxed = data["frames"][3]
    assert boxed[:12].max() == 0 and boxed[-12:].max() == 0 and boxed[24].min() > 0
    assert [frame.shape for frame in luma_of(tmp_path / "out.mp4")] == [(48, 128)] * 6


def test_fit_against_opencv() -> None:
    image = np.random.default_rng(0).random((10, 40), np.float32)
    panel = np.ones((20, 20), np.float32)
    fit(image, panel)
    np.testing.assert_array_equal(
        panel[7:12] if panel[7].any() else panel[8:13], cv2.resize(image, (20, 5), interpolation=3)
    )
    assert np.count_nonzero(panel.any(axis=1)) == 5


def test_without_frames_no_file_is_left(tmp_path: Path) -> None:
    play([Capture(None, "torn")], tmp_path / "a.mp4", tmp_path / "a.npz")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("name", ["out.mp4", "out.npz"])
def test_unwritable_output_is_one_line_before_anything_runs(tmp_path: Path, name: str) -> None:
    keep = KeepSink()
    for bad in (tmp_path / "absent" / name, Path("/proc") / name):
        with pytest.raises(SinkError, match=f"cannot write .*{name}") as caught:
            stream(ListSource(ramp(3)), None, [keep, open_sink(str(bad))])
        assert "\n" not in str(caught.value)
    assert not keep.frames and keep.closed == 2
    with pytest.raises(SinkError, match=r"there is no folder .*/absent: make it, or give another$"):
        play(ramp(1), tmp_path / "absent" / name)
    (tmp_path / name).mkdir()
    with pytest.raises(SinkError, match="is a folder"):
        play(ramp(1), tmp_path / name)


def test_existing_file_stays_when_the_stream_fails(tmp_path: Path) -> None:
    path = tmp_path / "out.npz"
    path.write_bytes(b"precious")
    play([Capture(None, "torn")], path)
    assert path.read_bytes() == b"precious"


def disk_full(call: int) -> None:
    if call == 3:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


def test_failing_sink_is_left_out_and_reported() -> None:
    failing, other = KeepSink(disk_full, "disk"), KeepSink()
    report = stream(ListSource(ramp(10)), None, [failing, other], policy="every", pace=False)
    assert report.presented == len(other.frames) == 10 and len(failing.frames) == 3
    assert (failing.closed, other.closed) == (1, 1)
    assert report.error == "disk failed: [Errno 28] No space left on device"


def test_stream_ends_when_the_last_sink_is_gone() -> None:
    sinks = [KeepSink(disk_full, "one"), KeepSink(disk_full, "two")]
    report = stream(ListSource(ramp(10)), None, sinks, policy="every", pace=False, loop=True)
    full = "failed: [Errno 28] No space left on device"
    assert report.error == f"one {full}; two {full}" and not report.interrupted
    assert report.presented == 3 and report.failed == 1
    assert report.frames_in == report.presented + report.dropped + report.failed


def test_sink_that_fails_to_finish_is_reported() -> None:
    class Unfinished(KeepSink):
        def close(self) -> None:
            raise SinkError("cannot write it: disk full")

    report = stream(ListSource(ramp(2)), None, [Unfinished(), KeepSink()], policy="every", pace=False)
    assert report.error == "cannot write it: disk full" and report.presented == 2
    report = stream(ListSource(ramp(2)), None, [Unfinished()])
    assert report.error == "cannot write it: disk full"


def test_disk_error_while_writing_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    npz, mp4 = NpzSink(tmp_path / "a.npz"), Mp4Sink(tmp_path / "a.mp4")
    original = Mp4Sink._encode

    def encode(self, pts: int) -> None:
        disk_full(self.count)
        original(self, pts)

    def pack(*args: object) -> None:
        disk_full(3)

    monkeypatch.setattr(Mp4Sink, "_encode", encode)
    monkeypatch.setattr(NpzSink, "pack", pack)
    report = stream(ListSource(smooth(8)), None, [npz, mp4, KeepSink()], policy="every", pace=False)
    assert report.presented == 8
    assert report.error is not None and report.error.count("No space left on device") == 2
    assert not (tmp_path / "a.mp4").exists() and not (tmp_path / "a.npz").exists()
    (video,) = tmp_path.glob(".a.mp4.*.part")
    assert len(luma_of(video)) == 3, "what was written before can be read"


@pytest.mark.parametrize("uri", ["out.avi", "out", "", "viewer:http", "viewer:99999", "viewer:-1"])
def test_unknown_sink_is_a_usage_error(uri: str) -> None:
    with pytest.raises(UsageError):
        open_sink(uri)


SCRIPT = """
import sys
from edgerecon.stream.loop import fanout, stages
from edgerecon.stream.loop.stream import stream
from edgerecon.stream.sinks import open_sink
from edgerecon.stream.sinks.files import file_sink
from edgerecon.stream.sinks.null import NullSink
from edgerecon.stream.sources import open_source

class Tell(NullSink):
    def present(self, before, after, late):
        if after.sequence == 3:
            print("streaming", flush=True)

progress, *files = sys.argv[1:]
sinks = [*map(open_sink, files), Tell()]
told = (lambda counters: None) if progress == "progress" else None
fanout.CLOSE_S = file_sink.CLOSE_S = stages._SAME_CTRL_C_S = 300.0  # of a machine that does much else
report = stream(open_source("sample"), None, sinks, policy="every", loop=True, on_progress=told)
assert report.interrupted and report.error is None
assert report.frames_in == report.presented + report.dropped + report.failed
print(report.presented)
"""


@pytest.mark.parametrize(("progress", "signals"), [("progress", 1), ("silent", 1), ("silent", 2)])
def test_ctrl_c_leaves_valid_files(tmp_path: Path, progress: str, signals: int) -> None:
    files = [tmp_path / "out.mp4", tmp_path / "out.npz"]
    child = subprocess.Popen(
        [sys.executable, "-c", SCRIPT, progress, *map(str, files)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        assert child.stdout is not None
        assert child.stdout.readline() == "streaming\n", child.stderr and child.stderr.read()
        for _ in range(signals):  # as `timeout -s INT` does, which signals the process and then its group
            child.send_signal(signal.SIGINT)
            time.sleep(0.01)
        out, errors = child.communicate(timeout=300)
    finally:
        child.kill()
    assert child.returncode == 0, errors
    presented = int(out)
    assert len(luma_of(files[0])) == presented
    with np.load(files[1]) as data:
        assert data["frames"].shape == (presented, 240, 320)
    assert sorted(tmp_path.iterdir()) == files
