"""A frame rate that no recording has is said in the log and left out, whatever file states it."""

from __future__ import annotations

import struct
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path

import av
import h5py
import numpy as np
import pytest
import tifffile

from edgerecon.stream.loop.stream import stream
from edgerecon.stream.sources import open_source
from edgerecon.stream.sources.memory import Cine
from tests.support.dicom_files import write as write_dicom
from tests.support.video_files import pattern, write

FRAMES = np.arange(3 * 8 * 10, dtype=np.uint8).reshape(3, 8, 10)


def video(path: Path, rate: int) -> Path:
    with av.open(str(path), "w") as container:
        out = container.add_stream("libx264", rate=rate, options={"bf": "0"})
        out.height, out.width, out.pix_fmt = 48, 64, "yuv420p"
        for index, frame in enumerate(pattern(6)):
            given = av.VideoFrame.from_ndarray(frame, format="gray")
            given.pts, given.time_base = index, Fraction(1, rate)
            container.mux(out.encode(given))
        container.mux(out.encode(None))
    return path


def avi(path: Path, scale: int, rate: int) -> Path:
    """An AVI whose stream states rate/scale, and whose head states no time."""
    content = bytearray(write(path, pattern(6), codec="mjpeg", pix_fmt="yuvj420p").read_bytes())
    struct.pack_into("<II", content, content.index(b"strh") + 28, scale, rate)
    struct.pack_into("<I", content, content.index(b"avih") + 8, 0)
    path.write_bytes(content)
    return path


def npz(path: Path, fps: object) -> Path:
    np.savez(path, frames=FRAMES, fps=fps)
    return path


def hdf5(path: Path, period_s: object) -> Path:
    with h5py.File(path, "w") as file:
        file["frames"], file.attrs["period_s"] = FRAMES, period_s
    return path


def tiff(path: Path, **said: float) -> Path:
    tifffile.imwrite(path, FRAMES, imagej=True, metadata={"axes": "TYX", **said})
    return path


def metaimage(path: Path, step_s: float) -> Path:
    times = "".join(f"Seq_Frame{n:04d}_Timestamp = {100 + n * step_s}\n" for n in range(3))
    path.write_bytes(
        f"NDims = 3\nDimSize = 10 8 3\nElementType = MET_UCHAR\n{times}ElementDataFile = LOCAL\n".encode()
        + FRAMES.tobytes()
    )
    return path


NONSENSE: dict[str, Callable[[Path], Path]] = {
    "mp4": lambda at: video(at / "a.mp4", 25_000),
    "mkv": lambda at: video(at / "a.mkv", 25_000),
    "h264": lambda at: video(at / "a.h264", 25_000),
    "avi-zero": lambda at: avi(at / "a.avi", 1, 0),
    "avi-huge": lambda at: avi(at / "a.avi", 1, 4_000_000_000),
    "avi-slow": lambda at: avi(at / "a.avi", 100_000, 1),
    "npz-zero": lambda at: npz(at / "a.npz", 0.0),
    "npz-huge": lambda at: npz(at / "a.npz", 25_000.0),
    "npz-nan": lambda at: npz(at / "a.npz", np.nan),
    "npz-text": lambda at: npz(at / "a.npz", "fast"),
    "hdf5-zero": lambda at: hdf5(at / "a.h5", 0.0),
    "hdf5-nan": lambda at: hdf5(at / "a.h5", np.nan),
    "hdf5-text": lambda at: hdf5(at / "a.h5", "fast"),
    "tiff": lambda at: tiff(at / "a.tif", finterval=1e-6),
    "metaimage": lambda at: metaimage(at / "a.mha", 1e-6),
    "metaimage-backward": lambda at: metaimage(at / "a.mha", -0.04),
    "dicom-rate": lambda at: write_dicom(at / "a.dcm", FRAMES, CineRate=25_000),
    "dicom-zero": lambda at: write_dicom(at / "a.dcm", FRAMES, FrameTime="0"),
}


@pytest.mark.parametrize("name", NONSENSE)
def test_a_rate_that_no_recording_has_is_said(tmp_path: Path, caplog: pytest.LogCaptureFixture, name: str) -> None:
    path = NONSENSE[name](tmp_path)
    source = open_source(str(path))
    said = [record.getMessage() for record in caplog.records]
    assert source.period_s is None
    assert len(said) == 1 and said[0].startswith(f"{path.name} states ") and said[0].endswith("ignored")


def test_time_stamps_that_are_ignored_leave_the_stated_rate(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    content = bytearray(write(tmp_path / "a.mkv", pattern(6)).read_bytes())
    at = content.index(bytes.fromhex("2ad7b1830f4240"))  # TimestampScale: 1 000 000 ns
    content[at + 4 : at + 7] = bytes((0, 0, 1))
    (tmp_path / "a.mkv").write_bytes(content)
    source = open_source(str(tmp_path / "a.mkv"))
    assert source.period_s == pytest.approx(0.04)
    assert {capture.time_s for capture in source.frames()} == {None}
    assert "4e-08 s between two frames" in caplog.text


@pytest.mark.parametrize("period_s", [np.nan, 0.0, -1.0, 1e-9, 1e9])
def test_the_stream_says_which_rate_it_takes(caplog: pytest.LogCaptureFixture, period_s: float) -> None:
    report = stream(Cine(FRAMES, period_s), None, [], policy="every", pace=False)
    assert report.deadline_ms == pytest.approx(1e3 / 30)
    assert "30 frames a second are taken" in caplog.text


def test_a_true_rate_and_none_at_all_are_not_mentioned(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    np.save(tmp_path / "a.npy", FRAMES)
    assert open_source(str(tmp_path / "a.npy")).period_s is None
    assert open_source(str(npz(tmp_path / "b.npz", 5_000.0))).period_s == pytest.approx(2e-4)
    assert open_source(str(video(tmp_path / "c.mp4", 1_000))).period_s == pytest.approx(1e-3)
    assert caplog.text == ""
