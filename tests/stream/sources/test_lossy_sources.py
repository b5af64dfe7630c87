"""What was compressed with loss is known as such, and said in DICOM; a Motion JPEG file is all of its frames."""

from __future__ import annotations

from pathlib import Path

import av
import cv2
import numpy as np
import pydicom
import pytest

from edgerecon.stream.loop.stream import stream
from edgerecon.stream.sinks import open_sink
from edgerecon.stream.sources import open_source
from edgerecon.stream.sources.base import Capture
from tests.support.stream_fakes import ListSource

FRAMES = np.random.default_rng(3).integers(0, 256, (6, 48, 64), np.uint8)


def encode(path: Path, codec: str, pix_fmt: str) -> None:
    with av.open(str(path), "w") as container:
        video = container.add_stream(codec, rate=25)
        video.width, video.height, video.pix_fmt = 64, 48, pix_fmt
        for pixels in FRAMES:
            frame = av.VideoFrame.from_ndarray(pixels, format="gray").reformat(format=pix_fmt)
            container.mux(video.encode(frame))
        container.mux(video.encode(None))


@pytest.mark.parametrize(
    ("name", "codec", "pix_fmt", "method"),
    [
        ("a.mp4", "libx264", "yuv420p", "ISO_14496_10"),
        ("a.avi", "mjpeg", "yuvj420p", "ISO_10918_1"),
        ("a.mkv", "ffv1", "gray", None),
        ("a.mp4", "mpeg4", "yuv420p", "MPEG4"),
    ],
)
def test_dicom_of_a_video_says_how_it_was_compressed(
    tmp_path: Path, name: str, codec: str, pix_fmt: str, method: str | None
) -> None:
    encode(tmp_path / name, codec, pix_fmt)
    source = open_source(str(tmp_path / name))
    stream(source, None, [open_sink(str(tmp_path / "out.dcm"))], policy="every", pace=False)
    found = pydicom.dcmread(tmp_path / "out.dcm")
    assert found.LossyImageCompression == ("00" if method is None else "01")
    assert found.get("LossyImageCompressionMethod") == method


def test_images_and_dicom_files(tmp_path: Path, echo_cine: Path) -> None:
    for suffix in (".png", ".jpg"):
        cv2.imwrite(str(tmp_path / f"a{suffix}"), FRAMES[0])
    assert open_source(str(tmp_path / "a.png")).lossy is None
    assert open_source(str(tmp_path / "a.jpg")).lossy == "ISO_10918_1"
    assert open_source(str(tmp_path)).lossy == "ISO_10918_1"
    assert open_source(str(echo_cine)).lossy == "ISO_10918_1"
    stream(ListSource([Capture(FRAMES[0])]), None, [open_sink(str(tmp_path / "out.dcm"))], policy="every", pace=False)
    assert open_source(str(tmp_path / "out.dcm")).lossy is None


@pytest.mark.parametrize("name", ["a.mjpeg", "a.MJPG"])
def test_a_motion_jpeg_file_is_all_of_its_frames(tmp_path: Path, name: str) -> None:
    images = [cv2.imencode(".jpg", frame)[1].tobytes() for frame in FRAMES]
    (tmp_path / name).write_bytes(b"".join(images))
    frames = [capture.image for capture in open_source(str(tmp_path / name)).frames()]
    assert len(frames) == 6
    for image, jpeg in zip(frames, images, strict=True):
        expected = cv2.imdecode(np.frombuffer(jpeg, np.uint8), cv2.IMREAD_GRAYSCALE)
        assert np.abs(np.asarray(image, int).reshape(48, 64) - expected).mean() < 2
