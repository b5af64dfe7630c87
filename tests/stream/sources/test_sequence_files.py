"""Sequence files of PLUS: written with the pose of each frame, and read back as they were."""

from __future__ import annotations

from contextlib import closing
from pathlib import Path

import numpy as np
import pytest

from edgerecon.core.errors import SourceError
from edgerecon.core.frame import Frame
from edgerecon.core.pose import Plane, Pose, Transform
from edgerecon.stream.accounting.counters import Counters
from edgerecon.stream.loop.stream import stream
from edgerecon.stream.protocols.sequence_fields import fields_of, pose_of
from edgerecon.stream.sinks import StreamInfo, open_sink
from edgerecon.stream.sources import Capture, open_source
from tests.support.stream_fakes import pose_at, posed_frame

INFO = StreamInfo("source", "none", "none", "fp32", 1 / 30, 33.0, None, Counters(), live=True)
REAL = Path(__file__).resolve().parents[3].parent / "shared/ultrasound/cine/BoneUltrasound_L14.igs.mha"
SHAPE = (6, 9)


def record(path: Path, frames: list[Frame]) -> None:
    sink = open_sink(str(path))
    sink.open(INFO)
    for frame in frames:
        sink.present(frame.pixels, frame, False)
    sink.close()


def frame(number: int, pose: Pose | None, shape=SHAPE, spacing_mm=None) -> Frame:
    return posed_frame(number, pose, shape, spacing_mm)


def play(path: Path) -> list[Capture]:
    with closing(open_source(str(path))) as source:
        return list(source.frames())


@pytest.mark.parametrize("name", ["out.igs.mha", "out.seq.nrrd"])
def test_every_pose_and_time_is_read_back(name, tmp_path) -> None:
    record(tmp_path / name, [frame(number, pose_at(number)) for number in range(40)])
    captures = play(tmp_path / name)
    assert [int(one.image[0, 0]) for one in captures] == list(range(40))
    for number, capture in enumerate(captures):
        sent, read = pose_at(number), capture.pose
        np.testing.assert_allclose(read.plane.matrix(SHAPE), sent.plane.matrix(SHAPE), rtol=0, atol=1e-12)
        assert read.plane.axes.tobytes() == sent.plane.axes.tobytes()
        assert (read.plane.coordinates, read.timestamp_s) == (sent.plane.coordinates, sent.timestamp_s)
        assert capture.time_s == sent.timestamp_s
        assert capture.spacing_mm == pytest.approx((0.2, 0.1))
        (tool,) = read.transforms
        (sent_tool,) = sent.transforms
        assert (tool.name, tool.status, tool.timestamp_s) == (sent_tool.name, sent_tool.status, sent_tool.timestamp_s)
        assert tool.matrix.tobytes() == sent_tool.matrix.tobytes()


def test_a_metaimage_says_what_plus_says(tmp_path) -> None:
    pose = Pose(Plane(np.eye(3), np.array([4.0, 2.5, 0.0])), (Transform("StylusToTracker", np.eye(4), "MISSING"),), 7.5)
    record(tmp_path / "out.mha", [frame(3, pose), frame(4, Pose(None))])
    header, data = (tmp_path / "out.mha").read_bytes().split(b"ElementDataFile = LOCAL\n")
    lines = header.decode("ascii").splitlines()
    assert lines[0] == "ObjectType = Image"
    eye = "1 0 0 0 0 1 0 0 0 0 1 0 0 0 0 1"
    for line in (
        "NDims = 3",
        "DimSize = 9 6 2",
        "ElementSpacing = 1 1 1",
        f"Seq_Frame0000_ImageToReferenceTransform = {eye}",
        "Seq_Frame0000_ImageToReferenceTransformStatus = OK",
        f"Seq_Frame0000_StylusToTrackerTransform = {eye}",
        "Seq_Frame0000_StylusToTrackerTransformStatus = MISSING",
        "Seq_Frame0000_Timestamp = 7.5",
        "Seq_Frame0000_FrameNumber = 3",
        "Seq_Frame0000_ImageStatus = OK",
        "Seq_Frame0001_ImageToReferenceTransformStatus = INVALID",
    ):
        assert line in lines
    assert data == bytes([3] * 54 + [4] * 54)


@pytest.mark.parametrize("name", ["out.mha", "out.nrrd"])
def test_a_header_of_many_lines_is_read_to_its_end(name, tmp_path, monkeypatch) -> None:
    record(tmp_path / name, [frame(number % 251, pose_at(number % 7), (2, 3)) for number in range(2000)])
    captures = play(tmp_path / name)
    assert [int(one.image[0, 0]) for one in captures] == [number % 251 for number in range(2000)]
    assert all(one.pose.timestamp_s == 12.5 + number % 7 for number, one in enumerate(captures))
    for module in ("metaimage", "nrrd"):
        monkeypatch.setattr(f"edgerecon.stream.sources.files.{module}.HEADER_LINES", 5000)
    with pytest.raises(SourceError, match="header"):
        open_source(str(tmp_path / name))


@pytest.mark.parametrize("name", ["out.mha", "out.nrrd"])
def test_an_untracked_recording_keeps_its_spacing_and_rate(name, tmp_path) -> None:
    frames = [frame(number, None, spacing_mm=(0.2, 0.1)) for number in range(5)]
    for number, one in enumerate(frames):
        one.captured_ns = 10**9 + number * 10**8
    record(tmp_path / name, frames)
    with closing(open_source(str(tmp_path / name))) as source:
        assert source.spacing_mm == pytest.approx((0.2, 0.1)) and source.length == 5
        assert all(one.pose is None or one.pose.plane is None for one in source.frames())
        if name.endswith(".mha"):
            assert source.period_s == pytest.approx(0.1)


def test_an_image_of_another_size_has_no_place(tmp_path) -> None:
    record(tmp_path / "out.mha", [frame(1, pose_at(1)), frame(2, pose_at(2), shape=(12, 9))])
    first, second = play(tmp_path / "out.mha")
    assert first.pose.plane is not None and second.pose.plane is None
    assert [one.name for one in second.pose.transforms] == ["ProbeToTracker"]


def test_a_frame_that_is_called_invalid_is_a_gap(tmp_path) -> None:
    for name, word in (("out.mha", b"ImageStatus = "), ("out.nrrd", b"Status:=")):
        path = tmp_path / name
        record(path, [frame(number, pose_at(number)) for number in range(6)])
        data = path.read_bytes()
        for number in (b"0002", b"0003"):
            ok = b"Seq_Frame" + number + b"_" + word + b"OK"
            assert data.count(ok) == 1
            data = data.replace(ok, ok[:-2] + b"INVALID")
        path.write_bytes(data)
        captures = play(path)
        assert [int(one.image[0, 0]) for one in captures] == [0, 1, 4, 5]
        assert [one.gap for one in captures] == [0, 0, 2, 0]
        assert [one.pose.timestamp_s for one in captures] == [12.5, 13.5, 16.5, 17.5]
        with closing(open_source(str(path))) as source:
            assert source.length == 4


@pytest.mark.parametrize("text", ["1 2 3", "nan " * 15 + "1", "1e300 " * 16, "a b", "", "1 " * 16])
def test_numbers_that_are_none_leave_out_the_pose_alone(text, tmp_path) -> None:
    record(tmp_path / "out.mha", [frame(number, pose_at(number)) for number in range(2)])
    lines = (tmp_path / "out.mha").read_bytes().split(b"\n")
    key = b"Seq_Frame0001_ImageToReferenceTransform "
    lines = [key + b"= " + text.encode() if line.startswith(key) else line for line in lines]
    (tmp_path / "out.mha").write_bytes(b"\n".join(lines))
    first, second = play(tmp_path / "out.mha")
    assert first.pose.plane is not None and second.pose.plane is None
    assert int(second.image[0, 0]) == 1


def test_any_name_of_a_transform_fits_into_a_field() -> None:
    for name in ("Größe ToTracker", "a=b:c", "line\nbreak", "100%", "ProbeToTracker"):
        fields = fields_of(Pose(None, (Transform(name, np.eye(4)),)), SHAPE)
        assert all(key.isascii() and not set(key) & set("=: \n") for key in fields)
        (read,) = pose_of(fields, SHAPE).transforms
        assert read.name == (name if name.isprintable() else "line\\nbreak")


@pytest.mark.skipif(not REAL.exists(), reason="the real PLUS recording is not here")
def test_a_recording_of_plus_gives_its_poses_and_gives_them_on(tmp_path) -> None:
    captures = play(REAL)
    assert len(captures) == 21
    assert {one.name for one in captures[0].pose.transforms} == {
        "ProbeToTracker",
        "ReferenceToTracker",
        "StylusToTracker",
    }
    probe = captures[0].pose.newest()["ProbeToTracker"]
    assert probe.matrix[0].tolist() == [0.853646, -0.501315, 0.141319, 257.956]
    assert captures[1].pose.timestamp_s == 232.628014
    with closing(open_source(str(REAL))) as source:
        stream(source, None, [open_sink(str(tmp_path / "again.mha"))], policy="every", pace=False)
    again = play(tmp_path / "again.mha")
    for first, second in zip(captures, again, strict=True):
        assert first.pose.timestamp_s == second.pose.timestamp_s
        for name, transform in first.pose.newest().items():
            assert second.pose.newest()[name].matrix.tobytes() == transform.matrix.tobytes()
