"""Video files: upright, every frame that is shown and no other, at its own time, at its full range."""

from __future__ import annotations

import struct
from pathlib import Path

import av
import numpy as np
import pytest

from edgerecon.core.errors import SourceError
from edgerecon.core.frame import to_unit
from edgerecon.stream.loop.stream import stream
from edgerecon.stream.sources import open_source
from edgerecon.stream.sources.base import Capture
from tests.support.stream_fakes import KeepSink
from tests.support.video_files import edit, pattern, turn, write

LOSSLESS = {"qp": "0", "preset": "ultrafast"}


def captures(path: Path) -> list[Capture]:
    return list(open_source(str(path)).frames())


def images(path: Path) -> list[np.ndarray]:
    found = captures(path)
    assert [capture.fault for capture in found if capture.fault] == []
    return [capture.image for capture in found if capture.image is not None]


def turned(frame: np.ndarray, matrix: tuple[int, int, int, int]) -> np.ndarray:
    """By the definition: pixel (x, y) goes to (a·x + c·y, b·x + d·y), moved back into the picture."""
    a, b, c, d = matrix
    y, x = np.mgrid[: frame.shape[0], : frame.shape[1]]
    to_x, to_y = a * x + c * y, b * x + d * y
    to_x, to_y = to_x - to_x.min(), to_y - to_y.min()
    out = np.empty((to_y.max() + 1, to_x.max() + 1), frame.dtype)
    out[to_y, to_x] = frame
    return out


@pytest.mark.parametrize(
    "matrix",
    [
        (1, 0, 0, 1),
        (0, 1, -1, 0),
        (-1, 0, 0, -1),
        (0, -1, 1, 0),
        (-1, 0, 0, 1),
        (1, 0, 0, -1),
        (0, 1, 1, 0),
        (0, -1, -1, 0),
    ],
)
def test_frames_are_turned_as_their_matrix_says(tmp_path: Path, matrix: tuple[int, int, int, int]) -> None:
    path = write(tmp_path / "a.mp4", pattern(2), options=LOSSLESS)
    stored = images(path)
    turn(path, matrix)
    for image, frame in zip(images(path), stored, strict=True):
        np.testing.assert_array_equal(image, turned(frame, matrix))


def test_a_matrix_that_is_no_quarter_turn_leaves_the_frames(tmp_path: Path) -> None:
    path = write(tmp_path / "a.mp4", pattern(2), options=LOSSLESS)
    stored = images(path)
    data = bytearray(path.read_bytes())
    struct.pack_into(">9i", data, data.index(b"tkhd") + 44, 46341, 46341, 0, -46341, 46341, 0, 0, 0, 1 << 30)
    path.write_bytes(data)
    np.testing.assert_array_equal(images(path), stored)


@pytest.mark.parametrize("frames", ["0", "2"])  # B-frames
@pytest.mark.parametrize(
    ("segments", "shown"),
    [
        ([(600, 320)], range(8, 23)),  # the beginning and the end are cut off
        ([(400, -1), (1200, 0)], range(30)),  # begins after a pause
        ([(200, 0), (400, 600)], [*range(5), *range(15, 25)]),  # a piece in the middle is left out
    ],
)
def test_edit_lists(tmp_path: Path, frames: str, segments: list[tuple[int, int]], shown: list[int]) -> None:
    pictures = pattern(30)
    path = write(tmp_path / "a.mp4", pictures, options={**LOSSLESS, "bf": frames}, gop=10)
    with av.open(str(path)) as container:
        scale = container.streams.video[0].time_base.denominator
    whole = images(path)
    edit(path, segments, scale)
    found = images(path)
    assert len(found) == len(list(shown)) == open_source(str(path)).length
    for image, index in zip(found, shown, strict=True):
        np.testing.assert_array_equal(image, whole[index])


@pytest.mark.parametrize("segments", [[(200, 5000)], [(0, 0)], [(500, -1), (100, 9000)]])
def test_an_edit_list_that_shows_nothing_is_named(tmp_path: Path, segments: list[tuple[int, int]]) -> None:
    path = write(tmp_path / "a.mp4", pattern(6))
    with av.open(str(path)) as container:
        scale = container.streams.video[0].time_base.denominator
    edit(path, segments, scale)
    with pytest.raises(SourceError, match="edit list that shows none of its 6 frames: leave the list out with"):
        open_source(str(path))


def test_frames_that_an_avi_only_counts_are_no_failures(tmp_path: Path) -> None:
    path = write(tmp_path / "a.avi", pattern(4), times=[0, 1, 4, 5], codec="rawvideo")
    assert [capture.time_s for capture in captures(path)] == pytest.approx([0, 0.04, 0.16, 0.2])
    assert open_source(str(path)).period_s == 0.04
    with av.open(str(path)) as container:
        assert container.streams.video[0].frames == 6
    path.write_bytes(path.read_bytes()[:-9000])  # cut off: two pictures and the index
    assert any(capture.fault for capture in captures(path))


@pytest.mark.parametrize("name", ["a.mp4", "a.mkv", "a.ts"])
def test_a_pause_is_no_slow_recording(tmp_path: Path, name: str) -> None:
    times = [*range(9), 60, 61]
    path = write(tmp_path / name, pattern(11), times=times)
    source = open_source(str(path))
    assert source.period_s == pytest.approx(0.04, abs=0.001)
    stamps = [capture.time_s for capture in source.frames()]
    assert np.diff(stamps) == pytest.approx(np.diff(times) * 0.04, abs=0.0021)


def test_playing_keeps_the_pauses(tmp_path: Path) -> None:
    path = write(tmp_path / "a.mp4", pattern(4), times=[0, 1, 6, 7])
    sink = KeepSink()
    report = stream(open_source(str(path)), None, [sink], policy="every")
    assert report.deadline_ms == pytest.approx(40)
    for frame, due_ms in zip(sink.frames, [0, 40, 240, 280], strict=True):
        assert frame.captured_ns >= sink.opened_ns + due_ms * 1_000_000 - 1000


@pytest.mark.parametrize("name", ["a.mp4", "a.mkv", "a.avi", "a.ts"])
@pytest.mark.parametrize("frames", ["0", "3"])  # B-frames
def test_every_frame_in_the_order_it_is_shown(tmp_path: Path, name: str, frames: str) -> None:
    pictures = pattern(20)
    path = write(tmp_path / name, pictures, options={**LOSSLESS, "bf": frames, "preset": "fast"}, gop=8)
    found = images(path)
    assert len(found) == 20
    for image, picture in zip(found, pictures, strict=True):
        np.testing.assert_allclose(image.astype(int), picture, atol=2)


@pytest.mark.parametrize(
    ("name", "container"),
    [
        ("a.mp4", {"movflags": "frag_keyframe+empty_moov"}),
        ("a.mp4", {"movflags": "frag_keyframe+empty_moov+delay_moov+default_base_moof"}),
        ("a.mkv", {"live": "1"}),  # without a duration
    ],
)
def test_files_without_an_index(tmp_path: Path, name: str, container: dict[str, str]) -> None:
    path = write(tmp_path / name, pattern(20), container=container, options=LOSSLESS, gop=5)
    assert len(images(path)) == 20
    assert open_source(str(path)).period_s == pytest.approx(0.04)


def test_motion_jpeg_in_an_avi(tmp_path: Path) -> None:
    pictures = pattern(5)
    found = images(write(tmp_path / "a.avi", pictures, codec="mjpeg", pix_fmt="yuvj420p"))
    np.testing.assert_allclose(np.asarray(found, int), pictures, atol=12)


@pytest.mark.parametrize("shape", [(47, 63), (1, 1), (2, 33)])
def test_odd_sizes(tmp_path: Path, shape: tuple[int, int]) -> None:
    pictures = pattern(3, shape)
    found = images(write(tmp_path / "a.mkv", pictures, codec="ffv1", pix_fmt="gray"))
    np.testing.assert_array_equal(found, pictures)


@pytest.mark.parametrize(
    ("pix_fmt", "color_range", "black", "white"),
    [
        ("yuv420p", 1, 16, 235),
        ("yuv420p", 2, 0, 255),
        ("yuv420p10le", 1, 64, 940),
        ("yuv420p10le", 2, 0, 1023),
        ("yuv444p12le", 1, 256, 3760),
        ("gray", 2, 0, 255),
        ("gray10le", 2, 0, 1023),
        ("gray12le", 2, 0, 4095),
    ],
)
def test_black_is_0_and_white_is_1(tmp_path: Path, pix_fmt: str, color_range: int, black: int, white: int) -> None:
    luma = np.linspace(black, white, 64).round().astype("<u2" if "le" in pix_fmt else "u1")
    with av.open(str(tmp_path / "a.mkv"), "w") as container:
        out = container.add_stream("ffv1", rate=25)
        out.width, out.height, out.pix_fmt = 64, 16, pix_fmt
        out.codec_context.color_range = color_range
        frame = av.VideoFrame(64, 16, pix_fmt)
        for number, plane in enumerate(frame.planes):
            rows = np.frombuffer(plane, np.uint8).reshape(plane.height, plane.line_size).view(luma.dtype)
            values = luma if number == 0 else np.full(plane.width, (black + white) // 2, luma.dtype)
            filled = np.zeros(rows.shape, luma.dtype)
            filled[:, : plane.width] = values
            plane.update(filled.tobytes())
        frame.color_range = color_range
        container.mux(out.encode(frame))
        container.mux(out.encode(None))
    unit = to_unit(images(tmp_path / "a.mkv")[0])
    expected = (luma.astype(float) - black) / (white - black)
    np.testing.assert_allclose(unit, np.tile(expected, (16, 1)), atol=1.5 / 255 if luma.itemsize == 1 else 2e-4)


def test_pixels_that_are_not_square_are_said(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    path = write(tmp_path / "a.mp4", pattern(2), options={"x264-params": "sar=16/15"})
    assert images(path)[0].shape == (48, 64)
    assert "pixels of 16/15" in caplog.text


def test_a_colon_in_a_name_is_no_protocol(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write(tmp_path / "a.mp4", pattern(3)).rename(tmp_path / "2026-01-01T10:30:00.mp4")
    monkeypatch.chdir(tmp_path)
    assert len(images(Path("2026-01-01T10:30:00.mp4"))) == 3


@pytest.mark.parametrize(
    ("name", "frames", "shape"),
    [
        ("rotated90.mp4", 30, (64, 48)),
        ("trimmed_editlist.mp4", 14, (48, 64)),
        ("avi_dropped_frames.avi", 4, (48, 64)),
        ("vfr.mp4", 11, (48, 64)),
    ],
)
def test_files_of_the_issue(shared_data: Path, name: str, frames: int, shape: tuple[int, int]) -> None:
    path = shared_data.parent / "cases" / name
    if not path.exists():
        pytest.skip(f"{path} is not here")
    found = images(path)
    source = open_source(str(path))
    assert len(found) == frames == source.length and found[0].shape == shape
    assert source.period_s == pytest.approx(0.04)


@pytest.mark.parametrize(
    ("name", "codec", "pix_fmt"),
    [
        ("a.avi", "rawvideo", "bgr24"),
        ("a.avi", "rawvideo", "nv12"),
        ("a.avi", "rawvideo", "yuyv422"),
        ("a.mov", "png", "rgba"),
        ("a.mkv", "ffv1", "yuv444p10le"),
        ("a.mkv", "ffv1", "gbrp12le"),
    ],
)
def test_every_pixel_format_keeps_its_colours_and_grey_is_grey(
    tmp_path: Path, name: str, codec: str, pix_fmt: str
) -> None:
    grey = np.repeat(np.tile(np.arange(0, 256, 8, np.uint8), (16, 1))[..., None], 3, axis=2)
    drawn = grey.copy()
    drawn[4:12, 8:24] = 250, 120, 10
    with av.open(str(tmp_path / name), "w") as container:
        out = container.add_stream(codec, rate=25)
        out.width, out.height, out.pix_fmt = 32, 16, pix_fmt
        for picture in (grey, drawn):
            container.mux(out.encode(av.VideoFrame.from_ndarray(picture, format="rgb24").reformat(format=pix_fmt)))
        container.mux(out.encode(None))
    first, second = images(tmp_path / name)
    assert first.ndim == 2 and to_unit(first) == pytest.approx(grey[..., 0] / 255, abs=0.02)
    full = np.iinfo(second.dtype).max
    assert second[6:10, 10:22] / full == pytest.approx(np.broadcast_to(drawn[8, 16] / 255, (4, 12, 3)), abs=0.03)


def test_an_avi_without_its_index_has_the_length_of_its_head(tmp_path: Path) -> None:
    path = tmp_path / "a.avi"
    write(path, pattern(6), codec="ffv1", pix_fmt="gray")
    data = path.read_bytes()
    path.write_bytes(data[: data.rindex(b"idx1")])
    assert open_source(str(path)).length == 6


@pytest.mark.parametrize(
    ("pix_fmt", "dtype", "black", "white"),
    [("gray", "u1", 16, 235), ("gray16le", "<u2", 4096, 60160), ("gray10le", "<u2", 64, 940)],
)
@pytest.mark.parametrize("limited", [True, False])
def test_grey_video_has_the_range_that_it_states(
    tmp_path: Path, pix_fmt: str, dtype: str, black: int, white: int, limited: bool
) -> None:
    """Of codecs that store luma alone: FFmpeg takes all of them to be of full range."""
    full = {"gray": 255, "gray10le": 1023}.get(pix_fmt, 65535)
    levels = np.linspace(black, white, 64) if limited else np.linspace(0, full, 64)
    with av.open(str(tmp_path / "a.mkv"), "w") as container:
        out = container.add_stream("ffv1", rate=25)
        out.width, out.height, out.pix_fmt = 64, 48, pix_fmt
        out.codec_context.color_range = frame_range = 1 if limited else 2
        frame = av.VideoFrame(64, 48, pix_fmt)
        row = np.zeros(frame.planes[0].line_size // np.dtype(dtype).itemsize, dtype)
        row[:64] = np.rint(levels)
        frame.planes[0].update(np.tile(row, 48).tobytes())
        frame.color_range, frame.pts = frame_range, 0
        container.mux([*out.encode(frame), *out.encode(None)])
    np.testing.assert_allclose(to_unit(images(tmp_path / "a.mkv")[0])[5], np.linspace(0, 1, 64), atol=1.1 / 255)
