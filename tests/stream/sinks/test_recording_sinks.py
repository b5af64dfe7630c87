"""Recordings: read back by other libraries, whole after a kill, and one line when the disk is full."""

from __future__ import annotations

import errno
import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import av
import numpy as np
import pytest

from edgerecon.core.errors import SinkError
from edgerecon.core.frame import Frame, to_gray
from edgerecon.stream.accounting.counters import Counters
from edgerecon.stream.loop.stream import stream
from edgerecon.stream.sinks import open_sink
from edgerecon.stream.sinks.base import StreamInfo
from edgerecon.stream.sinks.black_box import BlackBoxSink
from edgerecon.stream.sources import open_source
from edgerecon.stream.sources.base import Capture
from tests.support.disk_calls import calls_to_the_disk
from tests.support.recorded_rows import wait_for_rows
from tests.support.stream_fakes import FakeEngine, KeepSink, ListSource, ramp

h5py = pytest.importorskip("h5py", reason="h5py is not installed: pip install 'edgerecon[stream]'")
zarr = pytest.importorskip("zarr", reason="zarr is not installed: pip install 'edgerecon[stream]'")

FRAMES = np.random.default_rng(5).integers(0, 256, (7, 9, 6), np.uint8)


class Failing(FakeEngine):
    """Inverts every frame but the third, on which it fails."""

    def __init__(self) -> None:
        super().__init__(self._fail)

    def _fail(self, call: int) -> None:
        if call == 2:
            raise RuntimeError("no")


def play(items, *uris, engine=None, **options):
    options = {"policy": "every", "pace": False} | options
    return stream(ListSource(items, 0.04), engine, [open_sink(str(uri)) for uri in uris], **options)


def captures() -> list[Capture]:
    """Seven frames, the fifth of them unreadable."""
    return [Capture(frame) if at != 4 else Capture(None, "torn") for at, frame in enumerate(FRAMES)]


SHOWN = [0, 1, 2, 3, 5, 6]
EXPECTED = np.stack([FRAMES[at] if at == 2 else 255 - FRAMES[at] for at in SHOWN])


@pytest.mark.parametrize("name", ["out.h5", "out.zarr"])
def test_arrays_are_read_back_exactly(tmp_path: Path, name: str) -> None:
    path = tmp_path / name
    play(captures(), path, engine=Failing(), deadline_ms=1e6)
    found = h5py.File(path) if path.suffix == ".h5" else zarr.open_group(path, mode="r")
    columns = {key: np.asarray(found[key][:]) for key in ("frames", "before", "sequence", "captured_ns", "raw", "late")}
    attributes = dict(found.attrs)
    np.testing.assert_array_equal(columns["frames"], EXPECTED)
    np.testing.assert_array_equal(columns["before"], FRAMES[SHOWN])
    assert columns["sequence"].tolist() == SHOWN and columns["raw"].tolist() == [0, 0, 1, 0, 0, 0]
    assert np.all(np.diff(columns["captured_ns"]) > 0) and not columns["late"].any()
    assert (attributes["model"], attributes["period_s"], attributes["source"]) == ("fake", 0.04, "list")
    assert list(attributes["spacing_mm"]) == [0.2, 0.1] and attributes["format"] == "edgerecon-recording-1"
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize("name", ["out.mp4", "out.h5", "out.zarr", "out.npz", "out.dcm", "out.mha", "out.nrrd"])
def test_a_recording_is_on_the_disk_before_its_name(tmp_path: Path, name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    done = calls_to_the_disk(monkeypatch)
    play(captures(), tmp_path / name)
    whole = f".{name}.{os.getpid()}.{'part' if name in ('out.mp4', 'out.h5', 'out.zarr') else 'whole'}"
    assert done[-2:] == [f"rename {whole}", f"flush {tmp_path.name}"] and f"flush {whole}" in done
    if name == "out.zarr":
        assert all(f"flush {path.name}" in done for path in (tmp_path / name).rglob("*"))


def test_incidents_are_on_the_disk_before_their_names(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    done = calls_to_the_disk(monkeypatch)
    play(captures()[:3], f"black-box:{tmp_path}", engine=FakeEngine(lambda call: 1 / 0))
    named = [call.removeprefix("rename ") for call in done if call.startswith("rename ")]
    assert named and all(f"flush {name}" in done for name in named)


def test_an_hdf5_recording_is_streamed_again(tmp_path: Path) -> None:
    path = tmp_path / "out.h5"
    play(captures(), path, engine=Failing())
    source = open_source(str(path))
    assert (source.period_s, source.spacing_mm, source.length) == (0.04, (0.2, 0.1), 6)
    np.testing.assert_array_equal([capture.image for capture in source.frames()], EXPECTED)


def test_size_change_and_many_batches(tmp_path: Path) -> None:
    items = [*ramp(300), Capture(np.full((4, 4), 9, np.uint8)), *ramp(3)]
    play(items, tmp_path / "out.h5")
    with h5py.File(tmp_path / "out.h5") as file:
        assert file["frames"].shape == (304, 8, 12) and file["sequence"][:].tolist() == list(range(304))
        assert file["frames"][:300, 0, 0].tolist() == [index % 256 for index in range(300)]
        assert file["frames"][300].max() == 9 and file["frames"][300, :, :2].max() == 0


@pytest.mark.parametrize("name", ["out.h5", "out.zarr", "out.dcm"])
def test_no_frames_no_file_and_unwritable_is_one_line(tmp_path: Path, name: str) -> None:
    play([Capture(None, "torn")], tmp_path / name)
    assert list(tmp_path.iterdir()) == []
    with pytest.raises(SinkError, match=f"cannot write .*{name}") as caught:
        play(ramp(3), tmp_path / "absent" / name)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("name", ["out.h5", "out.zarr"])
def test_full_disk_costs_the_recording_and_nothing_else(
    tmp_path: Path, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("edgerecon.stream.sinks.files.recording._WAITING_BYTES", 0)
    sink, keep = open_sink(str(tmp_path / name)), KeepSink()
    store, whole = sink._store, sink._store.append

    def append(count, columns) -> None:
        if count:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        whole(count, columns)

    store.append = append
    report = stream(ListSource(ramp(20)), None, [sink, keep], policy="every", pace=False)
    assert report.presented == len(keep.frames) == 20
    (kept,) = tmp_path.iterdir()
    reason = f"cannot write {tmp_path / name}: No space left on device; the "
    rest = f" frames until then are in {kept.name}: edgerecon recover {tmp_path}"
    assert report.error is not None and report.error.startswith(reason) and report.error.endswith(rest)
    if name == "out.h5":
        assert 0 < open_source(str(kept)).length < 20, "what fitted can be read"


KILLED = """
import sys, time
import numpy as np
from edgerecon.core.frame import Frame
from edgerecon.stream.accounting.counters import Counters
from edgerecon.stream.sinks import StreamInfo, open_sink

sinks = [open_sink(path) for path in sys.argv[1:]]
for sink in sinks:
    sink.open(StreamInfo("a", "none", "none", "fp32", 0.025, 25.0, None, Counters()))
for sequence in range(40):
    image = np.full((48, 64), sequence / 40 + 0.02, np.float32)
    for sink in sinks:
        sink.present(image, Frame(image, sequence, time.perf_counter_ns()), False)
    time.sleep(0.005)
print("then the source stalls", flush=True)
time.sleep(60)
"""


def test_a_killed_process_leaves_all_but_the_last_second(tmp_path: Path) -> None:
    files = [str(tmp_path / name) for name in ("out.h5", "out.mp4", "out.zarr")]
    child = subprocess.Popen([sys.executable, "-c", KILLED, *files], stdout=subprocess.PIPE, text=True)
    assert child.stdout is not None
    try:
        assert child.stdout.readline().startswith("then")
        (recording,) = tmp_path.glob(".out.h5.*.part")
        (video,) = tmp_path.glob(".out.mp4.*.part")
        (group,) = tmp_path.glob(".out.zarr.*.part")
        for part in (recording, group):
            wait_for_rows(part, 40)
    finally:
        child.send_signal(signal.SIGKILL)
        child.wait(60)
    grey = [round((number / 40 + 0.02) * 255) for number in range(40)]
    shown = [capture.image for capture in open_source(str(recording)).frames()]
    assert [int(image.max()) for image in shown] == grey
    with h5py.File(recording, swmr=True) as file:
        assert file["sequence"][:].tolist() == list(range(40))
    assert zarr.open_group(group, mode="r")["frames"][:, 0, 0].tolist() == grey
    with av.open(str(video)) as container:
        assert sum(1 for _ in container.decode(video=0)) >= 39, "all but the one that the container still held"
    assert sum(capture.image is not None for capture in open_source(str(video)).frames()) >= 39


FULL = """
import resource, sys
import numpy as np
from edgerecon.stream.loop.stream import stream
from edgerecon.stream.sinks import open_sink
from edgerecon.stream.sources import open_source

resource.setrlimit(resource.RLIMIT_FSIZE, (4_000_000, 4_000_000))
sinks = [open_sink(path) for path in (sys.argv[2], "null")]
report = stream(open_source(sys.argv[1]), None, sinks, policy="every", pace=False)
print(report.presented, report.error)
"""


def test_a_really_full_disk_ends_the_recording_cleanly(tmp_path: Path) -> None:
    np.save(tmp_path / "in.npy", np.random.default_rng(6).integers(0, 256, (600, 60, 80), np.uint8))
    child = subprocess.run(
        [sys.executable, "-c", FULL, tmp_path / "in.npy", tmp_path / "out.h5"],
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert child.returncode == 0, child.stderr  # HDF5 used to crash when the process ended
    (kept,) = tmp_path.glob(".out.h5.*.part")
    assert not (tmp_path / "out.h5").exists()
    assert child.stdout.startswith(f"600 cannot write {tmp_path / 'out.h5'}: File too large; ")
    assert kept.name in child.stdout and "Traceback" not in child.stderr


def test_two_sinks_of_one_file_and_a_killed_one_do_not_mix(tmp_path: Path) -> None:
    left = tmp_path / f".out.npz.{os.getpid()}.part"  # of a container's process of the same number
    left.write_bytes(b"kept")
    for name in ("out.npz", "out.mp4", "out.h5"):  # one stream refuses two sinks of one name; two streams do not know
        twins = [open_sink(str(tmp_path / name)) for _ in range(2)]
        for twin in twins:
            twin.open(StreamInfo("a", "none", "none", "fp32", 0.04, 40.0, None, Counters()))
        for sequence, capture in enumerate(ramp(5)):
            for twin in twins:
                image = to_gray(capture.image)
                twin.present(image, Frame(image, sequence, sequence), False)
        for twin in twins:
            twin.close()
        assert open_source(str(tmp_path / name)).length == 5
    assert left.read_bytes() == b"kept"
    assert sorted(path.name for path in tmp_path.iterdir()) == [left.name, "out.h5", "out.mp4", "out.npz"]


@pytest.mark.parametrize("name", ["out.npz", "out.h5", "out.dcm"])
def test_a_pipe_is_not_replaced_by_a_recording(tmp_path: Path, name: str) -> None:
    os.mkfifo(tmp_path / name)
    with pytest.raises(SinkError, match="it is a pipe or a device"):
        play(ramp(3), tmp_path / name)
    assert (tmp_path / name).is_fifo() and list(tmp_path.iterdir()) == [tmp_path / name]


# --- the black box ---


def test_black_box_keeps_what_came_before_a_fault(tmp_path: Path) -> None:
    box = BlackBoxSink(tmp_path / "box", seconds=0.2)  # five frames
    stream(ListSource([Capture(frame) for frame in FRAMES], 0.04), Failing(), [box], policy="every", pace=False)
    (lines,) = (tmp_path / "box").glob("*-raw-shown.jsonl")
    head, *stamps = [json.loads(line) for line in lines.read_text().splitlines()]
    assert [fault["fault"] for fault in head["faults"]] == ["raw-shown"] and head["faults"][0]["sequence"] == 2
    numbers = [stamp["sequence"] for stamp in stamps]
    assert 2 in numbers and numbers == list(range(numbers[0], numbers[-1] + 1)) and len(numbers) <= 5
    assert [stamp["raw"] for stamp in stamps] == [number == 2 for number in numbers]
    with np.load(lines.with_suffix(".npz")) as data:
        np.testing.assert_array_equal(data["before"], FRAMES[numbers])
        assert data["fps"] == 25 and data["spacing_mm"].tolist() == [0.2, 0.1]
    assert open_source(str(lines.with_suffix(".npz"))).length == len(numbers)
    assert "Patient" not in lines.read_text()


def test_black_box_notices_faults_of_others(tmp_path: Path) -> None:
    def burst(call: int) -> None:
        if call == 2:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    box = BlackBoxSink(tmp_path)
    items = [*ramp(4), *[Capture(None, "torn")] * 6, *ramp(2)]
    stream(ListSource(items, 0.001), None, [KeepSink(burst, "disk"), box, KeepSink()], policy="every", pace=False)
    heads = [json.loads(path.read_text().splitlines()[0]) for path in sorted(tmp_path.glob("*.jsonl"))]
    faults = [fault["fault"] for head in heads for fault in head["faults"]]
    assert {"sink-lost", "frames-lost", "frame-unreadable"} <= set(faults)


def test_black_box_makes_a_folder_that_was_removed_again(tmp_path: Path) -> None:
    folder = tmp_path / "box"

    def remove(call: int) -> None:
        if call == 2:
            folder.rmdir()

    items = [*ramp(4), Capture(None, "damaged")]
    stream(ListSource(items), None, [KeepSink(remove), BlackBoxSink(folder)], policy="every", pace=False)
    assert [path.suffix for path in sorted(folder.iterdir())] == [".jsonl", ".npz"]


def test_black_box_without_faults_writes_nothing(tmp_path: Path) -> None:
    report = stream(
        ListSource(ramp(30)), None, [open_sink(f"black-box:{tmp_path / 'box'}")], policy="every", pace=False
    )
    assert report.presented == 30 and list((tmp_path / "box").iterdir()) == []
    (tmp_path / "file").touch()
    with pytest.raises(SinkError):
        play(ramp(1), f"black-box:{tmp_path / 'file'}")


def test_black_box_keeps_the_newest_when_the_clock_goes_back(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "2039-01-01T00-00-00.000Z-raw-shown.npz").write_bytes(b"0" * 1000)  # of before they were numbered
    for year in (2031, 2030, 2029, 2028, 2027, 2026, 2025, 2024):
        monkeypatch.setattr("edgerecon.stream.sinks.black_box._now", lambda year=year: f"{year}-01-01T00:00:00.000Z")
        box = BlackBoxSink(tmp_path, folder_bytes=15_000)
        stream(ListSource(ramp(9)), Failing(), [box], policy="every", pace=False)
    kept = sorted(path.name for path in tmp_path.glob("*.npz"))
    assert 2 <= len(kept) < 8 and kept[-1].startswith("000008-2024") and kept[-2].startswith("000007-2025")
    assert not any("2039" in name or "2031" in name for name in kept)


def test_black_box_is_bounded_on_disk_and_in_memory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("edgerecon.stream.sinks.black_box._MEMORY", 2 * 96 * 4)
    for _ in range(6):
        box = BlackBoxSink(tmp_path, folder_bytes=15_000)
        stream(ListSource(ramp(9)), Failing(), [box], policy="every", pace=False)
        sizes = [path.stat().st_size for path in tmp_path.iterdir()]
        assert sum(sizes) <= 15_000
    assert 2 <= len(list(tmp_path.glob("*.npz"))) < 6
    for path in tmp_path.glob("*.npz"):
        with np.load(path) as data:
            assert len(data["frames"]) <= 4
