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
from edgerecon.stream.sources.files import video as video_source


def refusal(path: Path) -> str:
    with pytest.raises(SourceError) as caught:
        open_source(str(path))
    assert "\n" not in str(caught.value) and len(str(caught.value)) < 400
    return str(caught.value)


def video(path: Path) -> bytearray:
    return bytearray(small(path, "libx264"))


def small(path: Path, codec: str) -> bytes:
    """Five frames of 64×48."""
    with av.open(str(path), "w") as container:
        out = container.add_stream(codec, rate=25)
        out.width, out.height, out.pix_fmt = 64, 48, "yuvj420p" if codec == "mjpeg" else "yuv420p"
        for level in range(5):
            frame = av.VideoFrame.from_ndarray(np.full((48, 64), 40 * level, np.uint8), format="gray")
            container.mux(out.encode(frame))
        container.mux(out.encode(None))
    return path.read_bytes()


def endless_packet(folder: Path, name: str, size: int) -> bytes:
    """A video whose first or last packet has so many bytes, of zeros mostly."""
    codec = {"a.m2v": "mpeg2video", "a.mjpeg": "mjpeg", "a.ivf": "libvpx", "b.ivf": "libvpx"}.get(name, "libx264")
    data = small(folder / f"small-{name}", codec)
    if name.endswith(".mkv"):
        block = b"\xa3" + struct.pack(">Q", 1 << 56 | size + 4) + b"\x81\0\0\x80" + bytes(size)
        cluster = b"\x1f\x43\xb6\x75" + struct.pack(">Q", 1 << 56 | len(block) + 3) + b"\xe7\x81\0" + block
        segment, first = data.index(b"\x18\x53\x80\x67"), data.index(b"\x1f\x43\xb6\x75")
        return data[: segment + 4] + b"\x01" + b"\xff" * 7 + data[segment + 12 : first] + cluster
    if name.endswith(".avi"):
        return data[: data.index(b"movi") + 4] + b"00dc" + struct.pack("<I", size) + bytes(size)
    if name.endswith(".ivf"):
        return data[:32] + struct.pack("<IQ", size, 0) + bytes(size)
    if name.endswith(".ts"):
        piece = b"".join(bytes([0x47, 0x01, 0x00, 0x10 | count]) + b"\x55" * 184 for count in range(16))
        return data[: 188 * 3] + piece * (size // len(piece) + 1)
    if name.endswith(".mjpeg"):
        return data[: data.index(b"\xff\xda") + 30] + bytes(size)
    return data[:200] + bytes(size)


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
    assert "samples of more than 96 MB" in refusal(path)


@pytest.mark.parametrize("name", ["a.mkv", "a.avi", "a.ivf", "a.h264", "a.mjpeg", "a.m2v", "a.ts"])
def test_a_packet_larger_than_any_frame_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    monkeypatch.setattr(video_source, "PACKET_AT_MOST", 1 << 20)
    path = tmp_path / name
    path.write_bytes(endless_packet(tmp_path, name, 2 << 20))
    assert "packet of more than 1 MB" in refusal(path)


def test_frames_before_a_large_packet_are_shown(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(video_source, "PACKET_AT_MOST", 1 << 20)
    path = tmp_path / "a.ivf"
    whole = small(path, "libvpx")
    path.write_bytes(whole + endless_packet(tmp_path, "b.ivf", 2 << 20)[32:])
    *shown, last = open_source(str(path)).frames()
    assert [one.fault for one in shown] == [None] * 5
    assert "packet of more than 1 MB" in str(last.fault)


def test_an_edit_list_that_repeats_each_sample_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "a.mp4"
    data = video(path)
    at = data.index(b"stsz")
    struct.pack_into(">II", data, at + 8, 1, 100_000)
    edits = struct.pack(">I4sII", 16 + 12 * 1000, b"elst", 0, 1000) + struct.pack(">IiI", 100, 0, 1 << 16) * 1000
    edts = struct.pack(">I4s", 8 + len(edits), b"edts") + edits
    track = data.index(b"mdia") - 4
    for parent in (b"moov", b"trak"):
        start = data.index(parent) - 4
        struct.pack_into(">I", data, start, struct.unpack_from(">I", data, start)[0] + len(edts))
    path.write_bytes(data[:track] + edts + data[track:] + bytes(100_000))
    assert "declares 100,000,000 samples" in refusal(path)


@pytest.mark.parametrize("hidden", ["in a free box", "behind a damaged box", "behind a first box of any kind"])
def test_a_table_is_found_wherever_ffmpeg_finds_it(tmp_path: Path, hidden: str) -> None:
    path = tmp_path / "a.mp4"
    data = video(path)
    struct.pack_into(">II", data, data.index(b"stsz") + 8, 1, 1 << 28)
    start = data.index(b"moov") - 4
    if hidden == "in a free box":
        data[start + 4 : start + 8] = b"free"
    elif hidden == "behind a damaged box":
        damaged = struct.pack(">I4sI4s", 16, b"trak", 4, b"mdia")
        (length,) = struct.unpack_from(">I", data, start)
        struct.pack_into(">I", data, start, length + len(damaged))
        data[start + 8 : start + 8] = damaged
    else:
        data = bytearray(struct.pack(">I4s", 8, b"uuid")) + data
    path.write_bytes(data)
    assert "declares 268,435,4" in refusal(path)


def test_a_compressed_index_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "a.mov"
    index = struct.pack(">I4sI4s", 1 << 10, b"moov", (1 << 10) - 8, b"cmov").ljust(1 << 10, b"\0")
    path.write_bytes(struct.pack(">I4s4sI", 16, b"ftyp", b"qt  ", 0) + index)
    assert "compressed index" in refusal(path)


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
