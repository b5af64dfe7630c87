"""Recordings that were cut off: found, named, and made into files; those still written are left alone."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import av
import numpy as np
import pydicom
import pytest
from typer.testing import CliRunner

from edgerecon.cli import doctor
from edgerecon.cli.main import app
from edgerecon.core.errors import EdgereconError, SinkError, UsageError
from edgerecon.core.frame import Frame
from edgerecon.stream.accounting.counters import Counters
from edgerecon.stream.sinks import open_sink
from edgerecon.stream.sinks.base import StreamInfo
from edgerecon.stream.sinks.files.part import leftovers
from edgerecon.stream.sinks.files.recover import recover
from edgerecon.stream.sources import open_source
from tests.support.recorded_rows import wait_for_rows
from tests.support.stream_fakes import ramp

h5py = pytest.importorskip("h5py", reason="h5py is not installed: pip install 'edgerecon[stream]'")
zarr = pytest.importorskip("zarr", reason="zarr is not installed: pip install 'edgerecon[stream]'")

NAMES = ["out.mp4", "out.h5", "out.zarr", "out.npz", "out.dcm", "out.mha", "out.nrrd"]
RECORD = """
import sys, time
import numpy as np
from edgerecon.core.frame import Frame
from edgerecon.stream.accounting.counters import Counters
from edgerecon.stream.sinks import open_sink
from edgerecon.stream.sinks.base import StreamInfo

sink = open_sink(sys.argv[1])
sink.open(StreamInfo("probe", "none", "none", "fp32", 1 / 30, 33.0, None, Counters(), live=True))
for number in range(40):
    image = np.full((48, 64), number / 40 + 0.02, np.float32)
    sink.present(image, Frame(image, number, 10**9 + number * 100_000_000, (0.2, 0.1)), False)
print("recorded", flush=True)
sys.stdin.read()
"""
GREY = [round((number / 40 + 0.02) * 255) for number in range(40)]


class Recording:
    """A process that records ten frames a second with their spacing, and waits."""

    def __init__(self, uri: Path | str) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-c", RECORD, str(uri)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        assert self.process.stdout is not None
        assert self.process.stdout.readline() == "recorded\n"

    def kill(self) -> None:
        self.process.send_signal(signal.SIGKILL)
        self.process.communicate(timeout=60)


@pytest.mark.parametrize("name", NAMES)
def test_a_killed_recording_is_finished_as_partial(tmp_path: Path, name: str) -> None:
    recording = Recording(tmp_path / name)
    (part,) = tmp_path.glob(f".{name}.*.part")
    if part.suffixes[0] in (".h5", ".zarr"):
        wait_for_rows(part, 40)
    assert leftovers(tmp_path) == [] and recover(tmp_path) == [], "a recording that goes on is left alone"
    recording.kill()
    check = doctor.check_recordings(tmp_path)
    assert not check.ok and part.name in check.detail and check.remedy == f"edgerecon recover {tmp_path}"
    (found,) = recover(tmp_path)
    path = tmp_path / name.replace("out.", "out.partial.")
    assert (found.fault, found.path) == (None, path) and found.frames >= 39
    assert list(tmp_path.iterdir()) == [path] and doctor.check_recordings(tmp_path).ok
    check_frames(path, found.frames)


def check_frames(path: Path, count: int) -> None:
    if path.suffix == ".mp4":
        with av.open(str(path)) as container:
            times = [frame.time for frame in container.decode(video=0)]
            assert container.streams.video[0].average_rate == 10
        assert times == pytest.approx([0.1 * number for number in range(count)])
        return
    if path.suffix == ".zarr":
        group = zarr.open_group(path, mode="r")
        assert group["frames"][:, 0, 0].tolist() == GREY
        period_s, spacing_mm = group.attrs["period_s"], tuple(group.attrs["spacing_mm"])
    elif path.suffix == ".dcm":
        found = pydicom.dcmread(path)
        assert found.pixel_array[:, 0, 0].tolist() == GREY
        region = found.SequenceOfUltrasoundRegions[0]
        period_s, spacing_mm = found.FrameTime / 1e3, (region.PhysicalDeltaY * 10, region.PhysicalDeltaX * 10)
    else:
        source = open_source(str(path))
        assert [int(capture.image.max()) for capture in source.frames()] == GREY
        period_s, spacing_mm = source.period_s, source.spacing_mm
    assert period_s == pytest.approx(0.1) and spacing_mm == pytest.approx((0.2, 0.1))


def present(uri: str, count: int):
    Path(uri).parent.mkdir(exist_ok=True)
    sink = open_sink(uri)
    sink.open(StreamInfo("probe", "none", "none", "fp32", 0.04, 40.0, None, Counters()))
    for number, capture in enumerate(ramp(count)):
        pixels = capture.image.astype(np.float32) / 255
        sink.present(pixels, Frame(pixels, number, number), False)
    return sink


def as_of_another_process(folder: Path) -> None:
    """As if the process that wrote what lies there were gone."""
    for path in folder.iterdir():
        path.rename(path.with_name(path.name.replace(f".{os.getpid()}.", ".4194999.")))


@pytest.mark.parametrize("name", NAMES)
def test_an_abandoned_recording_never_takes_its_name(tmp_path: Path, name: str) -> None:
    sink = present(str(tmp_path / name), 5)
    sink.abandon()
    sink.close()
    assert not (tmp_path / name).exists()
    as_of_another_process(tmp_path)
    (found,) = recover(tmp_path)
    assert (found.frames, found.fault) == (5, None)


@pytest.mark.parametrize("name", NAMES)
def test_a_recording_whose_name_is_taken_meanwhile_is_kept(tmp_path: Path, name: str) -> None:
    sink = present(str(tmp_path / name), 5)
    (tmp_path / name).mkdir()
    (tmp_path / name / "precious").touch()
    with pytest.raises(SinkError, match=r"^cannot write .*; the 5 frames until then are in .*: edgerecon recover "):
        sink.close()
    as_of_another_process(tmp_path)
    (found,) = recover(tmp_path)
    assert (found.frames, found.fault) == (5, None)
    assert {path.name for path in tmp_path.iterdir()} == {name, name.replace("out.", "out.partial.")}


@pytest.mark.parametrize("name", NAMES)
def test_a_folder_that_is_removed_meanwhile_is_said(tmp_path: Path, name: str) -> None:
    sink = present(str(tmp_path / "visit" / name), 5)
    shutil.rmtree(tmp_path / "visit")
    with pytest.raises(SinkError, match=r"^cannot write .*: No such file or directory(; the 5 frames .* removed .*)?$"):
        sink.close()
    assert list(tmp_path.iterdir()) == [], "nothing is written beside what was removed"


def test_recovered_dicom_keeps_the_options_of_its_sink(tmp_path: Path) -> None:
    present(f"{tmp_path / 'out.dcm'}?kind=secondary", 3).abandon()
    as_of_another_process(tmp_path)
    (found,) = recover(tmp_path)
    assert found.path is not None
    assert pydicom.dcmread(found.path).SOPClassUID.name.startswith("Multi-frame Grayscale Byte Secondary")


def test_names_that_are_taken_are_not_overwritten(tmp_path: Path) -> None:
    (tmp_path / "out.partial.npz").write_bytes(b"precious")
    for _ in range(2):
        present(str(tmp_path / "out.npz"), 2).abandon()
        as_of_another_process(tmp_path)
        recover(tmp_path)
    assert (tmp_path / "out.partial.npz").read_bytes() == b"precious"
    names = ["out.partial-2.npz", "out.partial-3.npz", "out.partial.npz"]
    assert sorted(path.name for path in tmp_path.iterdir()) == names


@pytest.mark.parametrize("suffix", ["mp4", "h5", "npz", "dcm"])
@pytest.mark.parametrize("content", [b"", b"{}", b"\x89HDF\r\n\x1a\n" + bytes(90), bytes(range(256))])
def test_what_cannot_be_recovered_stays_and_is_said(tmp_path: Path, suffix: str, content: bytes) -> None:
    damaged = tmp_path / f".out.{suffix}.4194999.part"
    damaged.write_bytes(content)
    (found,) = recover(tmp_path)
    assert found.path is None and found.fault and "\n" not in found.fault
    assert list(tmp_path.iterdir()) == [damaged] and damaged.read_bytes() == content


def test_a_journal_that_was_cut_within_a_line_keeps_the_others(tmp_path: Path) -> None:
    present(str(tmp_path / "out.npz"), 5).abandon()
    (part,) = tmp_path.glob("*.part")
    part.write_bytes(part.read_bytes()[:-7])
    as_of_another_process(tmp_path)
    (found,) = recover(tmp_path)
    assert found.frames == 4


def test_the_next_start_names_what_was_cut_off(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    present(str(tmp_path / "old.npz"), 2).abandon()
    as_of_another_process(tmp_path)
    present(str(tmp_path / "new.npz"), 1).close()
    present(str(tmp_path / "new.npz"), 1).close()
    assert caplog.text.count("was cut off") == 1 and f"edgerecon recover {tmp_path}" in caplog.text


def test_a_number_that_a_later_process_has_is_not_its_writer(tmp_path: Path) -> None:
    part = tmp_path / f".out.npz.{os.getpid()}.part"  # as in a container, where all are process 1
    part.write_bytes(b"")
    assert leftovers(tmp_path) == []
    os.utime(part, (0, 0))
    assert [cut.path for cut in leftovers(tmp_path)] == [part]


def test_recover_verb(tmp_path: Path) -> None:
    present(str(tmp_path / "out.npz"), 3).abandon()
    as_of_another_process(tmp_path)
    arguments = ["recover", str(tmp_path), "--json", str(tmp_path / "said.json")]
    done = CliRunner().invoke(app, arguments)
    assert done.exit_code == 0 and "3 frames" in done.output
    assert json.loads((tmp_path / "said.json").read_text())[0]["path"] == str(tmp_path / "out.partial.npz")
    (tmp_path / ".out.npz.4194999.part").write_bytes(b"no")
    done = CliRunner().invoke(app, arguments)
    assert isinstance(done.exception, EdgereconError) and "cannot be recovered" in str(done.exception)
    with pytest.raises(UsageError, match="is no folder"):
        recover(tmp_path / "absent")
