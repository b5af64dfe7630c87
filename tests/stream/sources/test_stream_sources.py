"""Sources: real recordings play; damaged, hostile and wrong files end in one clear line."""

from __future__ import annotations

import re
import struct
import zlib
from itertools import islice
from pathlib import Path

import av
import cv2
import numpy as np
import pydicom
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image as Pillow

from edgerecon.core.errors import SourceError
from edgerecon.core.frame import to_unit
from edgerecon.stream.loop.stream import stream
from edgerecon.stream.sources import open_source
from edgerecon.stream.sources.base import Capture
from tests.stream.sources.playing import FRAMES, RNG, faults, images, refusal

pytestmark = pytest.mark.filterwarnings("ignore::UserWarning")


# --- real recordings ---


def test_every_real_recording_plays(shared_data: Path) -> None:
    files = [path for path in sorted(shared_data.rglob("*")) if path.parent.name in ("cine", "frames")]
    files.append(shared_data / "rf/MouseLiverB.mha")
    assert len(files) >= 19
    for path in files:
        source = open_source(str(path))
        captures = list(islice(source.frames(), 3))
        assert source.length is None or len(captures) == min(3, source.length)
        for capture in captures:
            unit = to_unit(capture.image)
            assert 0 <= unit.min() < unit.max() <= 1, path.name
        assert source.name == path.name


def test_rf_signals_are_no_images(shared_data: Path, tmp_path: Path) -> None:
    for name in ("BkCurvilinearRfData.igs.mhd", "EyeRoundOverChuck_5.0MHz_20V.mha", "MouseLiverRF.mha"):
        assert "RF or IQ" in refusal(shared_data / "rf" / name)
    np.save(tmp_path / "hounsfield.npy", RNG.normal(-300, 500, (1, 64, 64)).astype("i2"))  # signed, and an image
    assert len(images(tmp_path / "hounsfield.npy")) == 1


def test_known_facts_of_real_recordings(shared_data: Path) -> None:
    bone = open_source(str(shared_data / "cine/BoneUltrasound_L14.igs.mha"))
    assert bone.length == 21 and bone.spacing_mm is None and bone.period_s == pytest.approx(0.086, abs=0.001)
    mouse = open_source(str(shared_data / "rf/MouseLiverB.mha"))
    assert mouse.spacing_mm == pytest.approx((0.0385753, 0.1)) and mouse.length == 4
    butterfly = open_source(str(shared_data / "cine/itkpocus_butterfly-ocular-phantom.mp4"))
    assert butterfly.length == 369 and butterfly.period_s == pytest.approx(1 / 12.7, abs=1e-3)
    phantom = open_source(str(shared_data / "frames/itkpocus_sonoque_anechoic-3mm-3mm.dcm"))
    assert phantom.spacing_mm == pytest.approx((0.0291, 0.0291)) and phantom.length == 1
    nrrd = open_source(str(shared_data / "frames/itkpocus_sonivate-anechoic_1-1.nrrd"))
    assert nrrd.spacing_mm == pytest.approx((0.0776, 0.0776), abs=1e-4)


def test_sample_is_the_cine_inside_pydicom(echo_cine: Path) -> None:
    sample = open_source("sample")
    assert (sample.name, sample.length, sample.period_s) == ("sample", 30, pytest.approx(0.033333))
    assert sample.spacing_mm is None  # its region does not fit its pixels: it was halved afterwards
    expected = pydicom.pixels.pixel_array(echo_cine)
    np.testing.assert_array_equal([capture.image for capture in sample.frames()], expected)
    np.testing.assert_array_equal(next(iter(sample.frames())).image, expected[0])  # again from the start
    report = stream(sample, None, [], policy="every", pace=False)
    assert report.presented == 30


# --- video ---


def video(path: Path, count: int = 30, form: str | None = None, options: dict | None = None) -> np.ndarray:
    y, x = np.mgrid[:48, :64]
    frames = np.array([127 + 100 * np.sin(x / 5 + n / 2) * np.cos(y / 6) for n in range(count)]).astype(np.uint8)
    with av.open(str(path), "w", format=form, options=options or {}) as container:
        out = container.add_stream("libx264", rate=20, options={"crf": "10"})
        out.width, out.height, out.pix_fmt = 64, 48, "yuv420p"
        out.codec_context.gop_size = 5
        for frame in frames:
            container.mux(out.encode(av.VideoFrame.from_ndarray(frame, format="gray")))
        container.mux(out.encode(None))
    return frames


@pytest.mark.parametrize("name", ["a.mp4", "a.mkv", "a.avi", "a.mov", "a.ts", "a.h264", "a.264"])
def test_video_containers(tmp_path: Path, name: str) -> None:
    raw = name.endswith("264")
    frames = video(tmp_path / name, form="h264" if raw else None)
    source = open_source(str(tmp_path / name))
    assert source.period_s == pytest.approx(0.05)
    played = [capture.image for capture in source.frames()]
    assert len(played) == 30
    for image, frame in zip(played, frames, strict=True):
        assert image is not None
        assert np.abs(image.astype(int) - frame).mean() < 4  # full range again, whatever the file's


def test_damaged_video_goes_on_behind_the_damage(tmp_path: Path) -> None:
    for name, form in (("a.h264", "h264"), ("a.mp4", None)):
        path = tmp_path / name
        video(path, 60, form)
        data = bytearray(path.read_bytes())
        middle = len(data) // 2
        data[middle : middle + 600] = bytes(RNG.integers(0, 256, 600, np.uint8))
        path.write_bytes(data)
        bad = faults(path)  # of a raw stream a frame may be missing without a trace: nothing in it counts frames
        assert not bad[0] and not bad[-1] and 40 <= bad.count(False) < 60
        assert form or (len(bad) == 60 and any(bad))


def test_truncated_video(tmp_path: Path) -> None:
    path = tmp_path / "a.mp4"
    video(path, 60, options={"movflags": "faststart"})
    data = path.read_bytes()
    path.write_bytes(data[: len(data) // 2])
    bad = faults(path)
    assert len(bad) == 60 and not bad[0] and bad[-1]
    video(path, 60)  # its index is at the end: nothing can be read without it
    path.write_bytes(path.read_bytes()[:-600])
    assert "not a recording" in refusal(path)


def test_sound_and_playlists_are_refused(tmp_path: Path) -> None:
    (tmp_path / "a.m3u8").write_text("#EXTM3U\n#EXT-X-TARGETDURATION:1\n#EXTINF:1,\n/etc/passwd\n#EXT-X-ENDLIST\n")
    assert "not a recording" in refusal(tmp_path / "a.m3u8")
    with av.open(str(tmp_path / "a.mp4"), "w") as container:
        sound = container.add_stream("aac", rate=16000)
        frame = av.AudioFrame.from_ndarray(np.zeros((1, 1024), np.float32), format="fltp", layout="mono")
        frame.sample_rate = 16000
        container.mux(sound.encode(frame))
        container.mux(sound.encode(None))
    assert "no video" in refusal(tmp_path / "a.mp4")


# --- still images ---


def test_folder_in_natural_order(tmp_path: Path) -> None:
    for index in (10, 9, 2, 1):
        cv2.imwrite(str(tmp_path / f"frame{index}.png"), np.full((4, 5), index, np.uint8))
    (tmp_path / "notes.txt").write_text("not an image")
    (tmp_path / "frame5.png").write_bytes(b"\x89PNG\r\n\x1a\n")
    source = open_source(str(tmp_path))
    assert source.length == 5
    found = [None if capture.image is None else int(capture.image[0, 0]) for capture in source.frames()]
    assert found == [1, 2, None, 9, 10]


@pytest.mark.parametrize("suffix", [".png", ".bmp", ".tiff", ".jpg"])
def test_image_formats_against_opencv(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"a{suffix}"
    grey, colour = RNG.integers(0, 256, (8, 9), np.uint8), RNG.integers(0, 256, (8, 9, 3), np.uint8)
    cv2.imwrite(str(path), grey)
    np.testing.assert_array_equal(images(path)[0], cv2.imread(str(path), cv2.IMREAD_UNCHANGED))
    cv2.imwrite(str(path), colour)
    opencv = cv2.cvtColor(cv2.imread(str(path)), cv2.COLOR_BGR2RGB)
    assert np.abs(images(path)[0].astype(int) - opencv).max() <= (4 if suffix == ".jpg" else 0)


@pytest.mark.parametrize("suffix", [".png", ".tiff"])
def test_sixteen_bit_images(tmp_path: Path, suffix: str) -> None:
    deep = RNG.integers(0, 65536, (8, 9)).astype(np.uint16)
    cv2.imwrite(str(tmp_path / f"a{suffix}"), deep)
    np.testing.assert_allclose(to_unit(images(tmp_path / f"a{suffix}")[0]), deep / 65535, atol=1e-6)


def test_other_image_modes_and_pages(tmp_path: Path) -> None:
    path = tmp_path / "a.png"
    for mode in ("1", "LA", "RGBA", "P"):
        Pillow.fromarray(FRAMES[0]).convert(mode).save(path)
        assert to_unit(images(path)[0]).shape == (12, 10)
    path = tmp_path / "a.tif"
    pages = [Pillow.fromarray(frame) for frame in FRAMES]
    pages[0].save(path, save_all=True, append_images=pages[1:])
    np.testing.assert_array_equal(images(path), FRAMES)
    Pillow.fromarray(FRAMES[0].astype(np.float32) * 3 - 50).save(path)
    np.testing.assert_allclose(to_unit(images(path)[0]), (FRAMES[0] - FRAMES[0].min()) / np.ptp(FRAMES[0]), atol=1e-6)


def test_image_refusals(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    assert "holds no images" in refusal(tmp_path / "empty")
    path = tmp_path / "a.jpg"
    cv2.imwrite(str(path), RNG.integers(0, 256, (64, 64), np.uint8))
    path.write_bytes(path.read_bytes()[:700])
    assert "truncated" in refusal(path)
    header = struct.pack(">IIBBBBB", 10_000, 10_000, 8, 0, 0, 0, 0)
    chunk = b"IHDR" + header
    path = tmp_path / "huge.png"
    end = struct.pack(">II", zlib.crc32(chunk), 0) + b"IDAT" + struct.pack(">I", zlib.crc32(b"IDAT"))
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + struct.pack(">I", 13) + chunk + end)
    assert "10000×10000 pixels are more" in refusal(path)


# --- anything ---


def test_missing_empty_and_special(tmp_path: Path) -> None:
    assert "does not exist" in refusal(tmp_path / "none.dcm")
    for name in ("a.dcm", "a.mp4", "a.png", "a.npz", "a.mha", "a"):
        (tmp_path / name).touch()
        assert "0 bytes" in refusal(tmp_path / name)
    assert "neither" in refusal("/dev/zero")


def test_file_address(tmp_path: Path) -> None:
    cv2.imwrite(str(tmp_path / "a b.png"), FRAMES[0])
    assert open_source((tmp_path / "a b.png").as_uri()).name == "a b.png"


@settings(max_examples=60, deadline=None)
@given(
    st.binary(min_size=1, max_size=300),
    st.sampled_from([".dcm", ".mp4", ".h264", ".png", ".npy", ".mha", ".nrrd", ""]),
    st.sampled_from(
        [
            b"",
            b"\x93NUMPY\x01\x00",
            b"PK\x03\x04",
            b"NRRD0004\n",
            b"\xff\xd8\xff",
            b"II*\0",
            b"\0" * 128 + b"DICM",
            b"\0\0\0\x01\x67",
            b"ObjectType = Image\n",
        ]
    ),
)
def test_garbage_never_escapes_as_anything_but_a_source_error(tmp_path_factory, noise, suffix, magic) -> None:
    path = tmp_path_factory.mktemp("garbage") / f"a{suffix}"
    path.write_bytes(magic + noise)
    try:
        source = open_source(str(path))
    except SourceError as error:
        assert "\n" not in str(error)
    else:
        assert any(isinstance(capture, Capture) for capture in source.frames())


def test_damaged_elements_that_a_stream_can_do_without(tmp_path: Path) -> None:
    """An unknown type or an impossible length costs the spacing or the file, never more than one line."""
    whole = Path(pydicom.examples.get_path("ybr_color")).read_bytes()[:60_000]
    opened = 0
    for found in re.finditer(rb"FD|UL|US|IS|DS", whole[:3000]):  # what says how an element is to be read
        at = found.end() - 1
        (tmp_path / "a.dcm").write_bytes(whole[:at] + b"\0" + whole[at + 1 :])
        try:
            source = open_source(str(tmp_path / "a.dcm"))
        except SourceError as error:
            assert "\n" not in str(error)
        else:
            opened += 1
            assert source.spacing_mm is None or min(source.spacing_mm) > 0
    assert opened > 10


@settings(max_examples=40, deadline=None)
@given(st.data())
def test_damage_anywhere_in_the_sample_never_escapes(tmp_path_factory, data) -> None:
    path = tmp_path_factory.mktemp("damage") / "a.dcm"
    content = bytearray(Path(pydicom.examples.get_path("ybr_color")).read_bytes()[:60_000])
    for at in data.draw(st.lists(st.integers(0, 59_999), max_size=8)):
        content[at] = data.draw(st.integers(0, 255))
    path.write_bytes(content)
    try:
        captures = list(islice(open_source(str(path)).frames(), 40))
    except SourceError as error:
        assert "\n" not in str(error)
    else:
        assert captures
