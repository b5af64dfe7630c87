"""Recordings state the times and the spacing of the frames that came, whatever the source stated before."""

from __future__ import annotations

import time
from pathlib import Path

import av
import numpy as np
import pydicom
import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgerecon.core.frame import Frame, Status
from edgerecon.stream.accounting.counters import Counters
from edgerecon.stream.loop.capture import RecordedClock
from edgerecon.stream.loop.stream import stream
from edgerecon.stream.sinks import open_sink
from edgerecon.stream.sinks.base import StreamInfo
from edgerecon.stream.sinks.black_box import BlackBoxSink
from edgerecon.stream.sinks.files.stamps import measured_period_s
from edgerecon.stream.sources import open_source
from edgerecon.stream.sources.base import Capture
from tests.support.stream_fakes import FakeEngine, ListSource, LiveSource

h5py = pytest.importorskip("h5py", reason="h5py is not installed: pip install 'edgerecon[stream]'")
zarr = pytest.importorskip("zarr", reason="zarr is not installed: pip install 'edgerecon[stream]'")

NAMES = ["out.mp4", "out.npz", "out.h5", "out.zarr", "out.dcm"]


def stated(path: Path) -> tuple[list[float], float, tuple[float, float] | None]:
    """(seconds since the first frame, period in s, spacing in mm) as other libraries read them."""
    if path.suffix == ".mp4":
        with av.open(str(path)) as container:
            seconds = [float(frame.time) for frame in container.decode(video=0)]
            rate, comment = container.streams.video[0].average_rate, container.metadata.get("comment", "")
        words = comment.split()
        return seconds, float(1 / rate), (float(words[2]), float(words[4])) if words else None
    if path.suffix == ".npz":
        with np.load(path) as data:
            spacing = tuple(data["spacing_mm"].tolist()) if "spacing_mm" in data else None
            return data["timestamps"].tolist(), float(1 / data["fps"]), spacing
    if path.suffix == ".dcm":
        found = pydicom.dcmread(path)
        steps = found.get("FrameTimeVector") or [0] + [found.FrameTime] * (found.NumberOfFrames - 1)
        seconds = (np.cumsum(np.array(steps, float)) / 1e3).tolist()
        region = found.get("SequenceOfUltrasoundRegions")
        spacing = (region[0].PhysicalDeltaY * 10, region[0].PhysicalDeltaX * 10) if region else None
        return seconds, found.FrameTime / 1e3 if "FrameTime" in found else 1 / found.CineRate, spacing
    file = h5py.File(path) if path.suffix == ".h5" else zarr.open_group(path, mode="r")
    spacing = tuple(map(float, file.attrs["spacing_mm"])) if "spacing_mm" in file.attrs else None
    return np.asarray(file["timestamps"][:]).tolist(), float(file.attrs["period_s"]), spacing


def record(path: Path, times_s: list[float], spacings, live: bool = True) -> None:
    """Frames of a live source that stated 30 fps, no spacing, and nothing else."""
    sink = open_sink(str(path))
    sink.open(StreamInfo("probe", "none", "none", "fp32", 1 / 30, 33.3, None, Counters(), live))
    for number, (time_s, spacing_mm) in enumerate(zip(times_s, spacings, strict=True)):
        pixels = np.full((16, 16), number / 100, np.float32)
        sink.present(pixels, Frame(pixels, number, 10**12 + round(time_s * 1e9), spacing_mm), False)
    sink.close()


@pytest.mark.parametrize("name", NAMES)
def test_live_frames_keep_their_own_times_and_spacing(tmp_path: Path, name: str) -> None:
    times_s = [0.0, 0.1, 0.198, 0.301, 0.4, 0.502]
    record(tmp_path / name, times_s, [(0.2, 0.1)] * 6)
    seconds, period_s, spacing_mm = stated(tmp_path / name)
    assert seconds == pytest.approx(times_s, abs=2e-5)
    assert period_s == pytest.approx(0.1, rel=0.01) and spacing_mm == pytest.approx((0.2, 0.1))


@pytest.mark.parametrize("name", NAMES)
def test_a_live_stream_is_recorded_as_it_came(tmp_path: Path, name: str) -> None:
    source, begun_ns = LiveSource(), time.perf_counter_ns() - 10**10
    source.period_s = None
    for number in range(12):
        captured_ns = begun_ns + number * 100_000_000
        image = np.full((16, 16), 20 * number, np.uint8)
        source.give(Capture(image, captured_ns=captured_ns, spacing_mm=(0.4, 0.2)))
    source.end()
    report = stream(source, FakeEngine(scale=2), [open_sink(str(tmp_path / name))], policy="every")
    seconds, period_s, spacing_mm = stated(tmp_path / name)
    assert report.presented == 12 and spacing_mm == pytest.approx((0.2, 0.1)), "the model doubles both sides"
    assert seconds == pytest.approx([0.1 * number for number in range(12)], abs=2e-5) and period_s == pytest.approx(0.1)


@pytest.mark.parametrize("name", NAMES)
def test_a_spacing_that_changes_is_not_stated_for_all(tmp_path: Path, name: str) -> None:
    record(tmp_path / name, [0.0, 0.1, 0.2], [(0.2, 0.1), (0.2, 0.1), (0.3, 0.15)])
    assert stated(tmp_path / name)[2] is None
    if name == "out.h5":
        with h5py.File(tmp_path / name) as file:
            assert file["frame_spacing_mm"][:].tolist() == [[0.2, 0.1], [0.2, 0.1], [0.3, 0.15]]


@pytest.mark.parametrize("name", NAMES)
def test_a_recording_keeps_the_time_stamps_of_its_source(tmp_path: Path, name: str) -> None:
    times_s = [3.0, 3.04, 3.08, 5.08, 5.12]  # a pause, as in a video of variable rate
    items = [Capture(np.full((16, 16), 9, np.uint8), time_s=time_s) for time_s in times_s]
    sinks = [open_sink(str(tmp_path / name))]
    stream(ListSource(items, 0.04), FakeEngine(), sinks, policy="every", pace=False)
    seconds, _, spacing_mm = stated(tmp_path / name)
    assert seconds == pytest.approx([time_s - 3 for time_s in times_s], abs=2e-5)
    assert spacing_mm == pytest.approx((0.2, 0.1))


@pytest.mark.parametrize(
    "times", [[np.nan] * 3, [1e300, 2e300, 3e300], [0.0, 0.1, np.inf]], ids=["NaN", "1e300", "inf"]
)
def test_a_time_that_cannot_be_is_none(tmp_path: Path, times: list[float]) -> None:
    images = np.zeros((3, 16, 16), np.uint8)
    source = ListSource([Capture(image, time_s=at) for image, at in zip(images, times, strict=True)], period_s=0.1)
    sinks = [open_sink(str(tmp_path / name)) for name in NAMES]
    report = stream(source, None, sinks, pace=False, policy="every")
    assert (report.presented, report.error) == (3, None)
    for name in NAMES:
        assert stated(tmp_path / name)[0] == pytest.approx([0.0, 0.1, 0.2])


def test_a_recorded_clock_goes_on_where_it_starts_anew() -> None:
    clock = RecordedClock()
    times = [
        (3.0, True),
        (3.5, False),
        (4.0, False),
        (3.0, True),
        (3.5, False),
        (None, False),
        (0.1, False),
        (0.6, False),
    ]
    assert [clock.at(*time) for time in times] == pytest.approx([3, 3.5, 4, 4.5, 5, 5.5, 6, 6.5])
    assert RecordedClock().at(None, True) is None


@given(
    st.floats(0.001, 2.0),
    st.lists(st.tuples(st.integers(1, 3), st.floats(-0.1, 0.1)), min_size=8, max_size=60),
    st.integers(0, 7),
)
def test_the_rate_is_that_of_the_frames(period_s: float, steps: list[tuple[int, float]], pause: int) -> None:
    sequences, times_s = [0], [0.0]
    for number, (missing, jitter) in enumerate(steps):
        sequences.append(sequences[-1] + missing)
        times_s.append(times_s[-1] + period_s * missing * (1 + jitter) + (100 * period_s if number == pause else 0))
    found = measured_period_s([time_s * 1e9 for time_s in times_s], sequences, 1 / 30)
    assert found == pytest.approx(period_s, rel=0.11)


def test_a_stated_rate_stands_when_the_frames_agree() -> None:
    assert measured_period_s([0, 40_100_000, 80_000_000], [0, 1, 2], 0.04) == 0.04
    assert measured_period_s([5], [0], 0.04) == 0.04


def test_an_npz_of_live_frames_is_played_at_their_rate(tmp_path: Path) -> None:
    record(tmp_path / "out.npz", [0.0, 0.1, 0.2, 0.3], [(0.2, 0.1)] * 4)
    source = open_source(str(tmp_path / "out.npz"))
    assert source.period_s == pytest.approx(0.1) and source.spacing_mm == pytest.approx((0.2, 0.1))


def test_the_black_box_states_what_came(tmp_path: Path) -> None:
    box = open_sink(f"black-box:{tmp_path / 'box'}")
    box.open(StreamInfo("probe", "none", "none", "fp32", 1 / 30, 33.3, None, Counters(), live=True))
    pixels = np.zeros((16, 16), np.float32)
    for number in range(5):
        box.present(pixels, Frame(pixels, number, number * 100_000_000, (0.2, 0.1), Status.RAW), False)
    box.close()
    found = sorted((tmp_path / "box").glob("*.npz"))  # what came while the first was written is told with a second one
    assert found
    for incident in found:
        seconds, period_s, spacing_mm = stated(incident)
        assert period_s == pytest.approx(0.1) and spacing_mm == (0.2, 0.1)
        assert seconds == pytest.approx([0.1 * number for number in range(len(seconds))]) and len(seconds) >= 1


def test_the_black_box_deletes_only_what_is_its_own(tmp_path: Path) -> None:
    (tmp_path / "mine.npz").write_bytes(bytes(20_000))
    cut = tmp_path / ".000001-2026-01-01T10-00-00.000Z-raw-shown.npz.4194999.part"
    cut.write_bytes(b"PK")
    box = BlackBoxSink(tmp_path, folder_bytes=15_000)
    broken = FakeEngine(lambda call: 1 / 0)
    stream(ListSource([Capture(np.zeros((8, 8), np.uint8))] * 4), broken, [box], policy="every", pace=False)
    assert (tmp_path / "mine.npz").exists() and not cut.exists()


def test_an_mp4_is_read_back_with_its_spacing(tmp_path: Path) -> None:
    record(tmp_path / "out.mp4", [0.0, 0.1, 0.2], [(0.2, 0.1)] * 3)
    assert open_source(str(tmp_path / "out.mp4")).spacing_mm == (0.2, 0.1)
    record(tmp_path / "none.mp4", [0.0, 0.1, 0.2], [None] * 3)
    assert open_source(str(tmp_path / "none.mp4")).spacing_mm is None
