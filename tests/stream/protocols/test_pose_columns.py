"""The poses of an HDF5, Zarr or .npz recording, and of an incident."""

from __future__ import annotations

from contextlib import closing
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

h5py = pytest.importorskip("h5py", reason="h5py is not installed")

from edgerecon.core.frame import Status  # noqa: E402
from edgerecon.core.pose import Pose, Transform  # noqa: E402
from edgerecon.stream.accounting.counters import Counters  # noqa: E402
from edgerecon.stream.protocols.pose_columns import COLUMNS, TRANSFORMS_AT_MOST  # noqa: E402
from edgerecon.stream.sinks import StreamInfo, open_sink  # noqa: E402
from edgerecon.stream.sources import Capture, open_source  # noqa: E402
from tests.support.stream_fakes import pose_at, posed_frame  # noqa: E402

INFO = StreamInfo("source", "none", "none", "fp32", 1 / 30, 33.0, None, Counters(), live=True)
SHAPE = (6, 9)


def record(path: Path, poses: list[Pose | None], shapes=None) -> None:
    sink = open_sink(str(path))
    sink.open(INFO)
    for number, pose in enumerate(poses):
        frame = posed_frame(number, pose, shapes[number] if shapes else SHAPE)
        sink.present(frame.pixels, frame, False)
    sink.close()


def incident(folder: Path, count: int) -> Path:
    """The frames of a box that kept them for a fault in the last one."""
    box = open_sink(f"black-box:{folder}")
    box.open(INFO)
    for number in range(count):
        frame = posed_frame(number, pose_at(number), SHAPE)
        status = Status.RAW if number == count - 1 else Status.OK
        box.present(frame.pixels, replace(frame, status=status), False)
    box.close()
    (path,) = folder.glob("*.npz")
    return path


def play(path: Path) -> list[Capture]:
    with closing(open_source(str(path))) as source:
        return list(source.frames())


@pytest.mark.parametrize("name", ["out.h5", "out.npz", "black-box"])
def test_every_pose_is_read_back(tmp_path, name: str) -> None:
    path = tmp_path / name
    if name == "black-box":
        path = incident(tmp_path, 40)
    else:
        record(path, [pose_at(number) for number in range(40)])
    captures = play(path)
    assert len(captures) == 40
    for number, capture in enumerate(captures):
        sent, read = pose_at(number), capture.pose
        np.testing.assert_allclose(read.plane.matrix(SHAPE), sent.plane.matrix(SHAPE), rtol=0, atol=1e-12)
        assert (read.plane.coordinates, read.timestamp_s) == (sent.plane.coordinates, sent.timestamp_s)
        (tool,), (sent_tool,) = read.transforms, sent.transforms
        assert (tool.name, tool.timestamp_s) == (sent_tool.name, sent_tool.timestamp_s)
        assert (tool.status == "OK") == (sent_tool.status == "OK")
        assert tool.matrix.tobytes() == sent_tool.matrix.tobytes()
    with np.load(path) if path.suffix == ".npz" else h5py.File(path) as file:
        matrices = file["image_to_reference"][:]
    expected = [pose_at(number).plane.matrix(SHAPE) for number in range(40)]
    assert matrices.tobytes() == np.array(expected).tobytes()


def test_zarr_has_the_same_columns(tmp_path) -> None:
    zarr = pytest.importorskip("zarr", reason="zarr is not installed")
    poses = [pose_at(number) for number in range(5)]
    record(tmp_path / "out.h5", poses)
    record(tmp_path / "out.zarr", poses)
    group = zarr.open_group(tmp_path / "out.zarr", mode="r")
    with h5py.File(tmp_path / "out.h5") as file:
        for name in COLUMNS:
            assert group[name][:].tobytes() == file[name][:].tobytes()


def test_a_recording_without_poses_has_no_columns_for_them(tmp_path) -> None:
    record(tmp_path / "out.h5", [None, None])
    with h5py.File(tmp_path / "out.h5") as file:
        assert not set(COLUMNS) & set(file)
    assert [one.pose for one in play(tmp_path / "out.h5")] == [None, None]


def test_what_is_unknown_stays_unknown(tmp_path) -> None:
    many = tuple(Transform(f"Tool{n}ToTracker", np.eye(4)) for n in range(TRANSFORMS_AT_MOST + 3))
    poses = [pose_at(0), None, Pose(), replace(pose_at(3), transforms=many), pose_at(4)]
    record(tmp_path / "out.h5", poses, [SHAPE, SHAPE, SHAPE, SHAPE, (12, 9)])
    read = [one.pose for one in play(tmp_path / "out.h5")]
    assert [one.plane is not None for one in read] == [True, False, False, True, False]
    assert [one.timestamp_s for one in read] == [12.5, None, None, 15.5, 16.5]
    assert [len(one.transforms) for one in read] == [1, 0, 0, TRANSFORMS_AT_MOST, 1]


def test_columns_of_another_shape_cost_no_frame(tmp_path) -> None:
    record(tmp_path / "out.h5", [pose_at(number) for number in range(3)])
    with h5py.File(tmp_path / "out.h5", "r+") as file:
        del file["transforms"]
        file["transforms"] = np.zeros((3, 2))
    assert [one.pose for one in play(tmp_path / "out.h5")] == [None] * 3


def test_an_npz_keeps_times_and_the_frames_without_a_pose(tmp_path) -> None:
    record(tmp_path / "out.npz", [None, pose_at(1), Pose(None), None])
    captures = play(tmp_path / "out.npz")
    assert [capture.pose is not None and capture.pose.plane is not None for capture in captures] == [False, True] + [
        False
    ] * 2
    with np.load(tmp_path / "out.npz") as file:
        assert [capture.time_s for capture in captures] == file["timestamps"].tolist()
    record(tmp_path / "plain.npz", [None, None])
    with np.load(tmp_path / "plain.npz") as file:
        assert set(file) == {"frames", "fps", "timestamps"}


@pytest.mark.parametrize("damage", ["short", "text", "objects", "nan"])
def test_damaged_columns_of_an_npz_cost_no_frame(tmp_path, damage: str) -> None:
    record(tmp_path / "out.npz", [pose_at(number) for number in range(4)])
    with np.load(tmp_path / "out.npz") as file:
        arrays = dict(file)
    spoilt = {
        "short": np.zeros(2),
        "text": np.array(["a"] * 4),
        "objects": np.array([{}] * 4),
        "nan": np.full(4, np.nan),
    }
    arrays["timestamps"], arrays["transforms"] = spoilt[damage], np.full((4, 8, 4, 4), np.nan)
    np.savez(tmp_path / "out.npz", **arrays)
    captures = play(tmp_path / "out.npz")
    assert [int(capture.image[0, 0]) for capture in captures] == [0, 1, 2, 3]
    assert all(capture.time_s is None and not capture.pose.transforms for capture in captures)
