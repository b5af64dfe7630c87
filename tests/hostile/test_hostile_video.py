"""Video files that were made to take memory, or to make another file be read."""

from __future__ import annotations

import io
import struct
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest
from PIL import Image as Pillow

from edgerecon.core.errors import SourceError
from edgerecon.stream.sources import open_source


def refusal(path: Path) -> str:
    with pytest.raises(SourceError) as caught:
        open_source(str(path))
    assert "\n" not in str(caught.value) and len(str(caught.value)) < 400
    return str(caught.value)


def video(path: Path) -> bytearray:
    with av.open(str(path), "w") as container:
        out = container.add_stream("libx264", rate=25)
        out.width, out.height, out.pix_fmt = 64, 48, "yuv420p"
        for level in range(5):
            frame = av.VideoFrame.from_ndarray(np.full((48, 64), 40 * level, np.uint8), format="gray")
            container.mux(out.encode(frame))
        container.mux(out.encode(None))
    return bytearray(path.read_bytes())


@pytest.mark.parametrize("kind", ["one size", "size of each", "half bytes", "fragment"])
def test_a_table_of_more_samples_than_bytes_is_refused(tmp_path: Path, kind: str) -> None:
    path = tmp_path / "a.mp4"
    data = video(path)
    at = data.index(b"stsz")
    if kind == "one size":
        struct.pack_into(">II", data, at + 8, 1, 1 << 28)  # FFmpeg's index of them takes 10 GB
    elif kind == "size of each":
        struct.pack_into(">I", data, at + 12, 1 << 28)
    elif kind == "half bytes":
        data[at : at + 4] = b"stz2"
        struct.pack_into(">II", data, at + 8, 4, 1 << 28)
    else:
        run = struct.pack(">I4sII", 16, b"trun", 0, 1 << 28)
        track = struct.pack(">I4s", 8 + len(run), b"traf") + run
        data += struct.pack(">I4s", 8 + len(track), b"moof") + track
    path.write_bytes(data)
    assert "declares 268,435,4" in refusal(path)


def test_a_sample_larger_than_any_frame_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "a.mp4"
    data = video(path)
    struct.pack_into(">I", data, data.index(b"stsz") + 16, 1 << 30)
    path.write_bytes(data)
    assert "samples of more than 256 MB" in refusal(path)


@pytest.mark.parametrize("name", ["a.avi", "a.mkv", "a.mp4"])
def test_a_large_picture_in_a_small_video_is_not_decoded(tmp_path: Path, name: str) -> None:
    packed = io.BytesIO()
    Pillow.new("L", (16, 16)).save(packed, "JPEG")
    data = bytearray(packed.getvalue())
    struct.pack_into(">HH", data, data.index(b"\xff\xc0") + 5, 60_000, 60_000)
    with av.open(str(tmp_path / name), "w") as container:
        out = container.add_stream("mjpeg", rate=25)
        out.width, out.height, out.pix_fmt = 16, 16, "yuvj420p"
        packet = av.Packet(bytes(data))
        packet.stream, packet.pts, packet.dts, packet.time_base = out, 0, 0, Fraction(1, 25)
        container.mux(packet)
    assert "no readable frame" in refusal(tmp_path / name)


def test_boxes_in_boxes_end(tmp_path: Path) -> None:
    nested = b""
    for _ in range(20_000):
        nested = nested + struct.pack(">I4s", 8, b"moov")
    path = tmp_path / "a.mp4"
    path.write_bytes(struct.pack(">I4s4sI", 16, b"ftyp", b"isom", 0) + nested + b"\0\0\0\x01moov" + b"\xff" * 8)
    assert "a.mp4" in refusal(path)


def test_pcm_sound_of_many_samples_is_no_reason_to_refuse(tmp_path: Path) -> None:
    path = tmp_path / "a.mov"
    with av.open(str(path), "w") as container:
        out = container.add_stream("mjpeg", rate=25)
        out.width, out.height, out.pix_fmt = 16, 16, "yuvj420p"
        sound = container.add_stream("pcm_s16le", rate=48_000)
        container.mux(out.encode(av.VideoFrame.from_ndarray(np.zeros((16, 16), np.uint8), format="gray")))
        frame = av.AudioFrame.from_ndarray(np.zeros((1, 2_500_000), np.int16), format="s16", layout="mono")
        frame.sample_rate = 48_000
        for _ in range(2):
            container.mux(sound.encode(frame))
        container.mux(out.encode(None))
    assert open_source(str(path)).length == 1


def test_a_codec_that_nobody_knows_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "a.mp4"
    path.write_bytes(video(path).replace(b"avc1", b"zzzz"))
    assert "of a kind that FFmpeg does not decode" in refusal(path)
