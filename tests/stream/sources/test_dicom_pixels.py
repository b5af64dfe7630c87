"""DICOM: stored values become the picture that the standard says, frame by frame."""

from __future__ import annotations

import re
import struct
from pathlib import Path

import numpy as np
import pydicom
import pytest
from pydicom.encaps import encapsulate
from pydicom.pixels import apply_modality_lut, apply_voi_lut, convert_color_space, pixel_array
from pydicom.uid import ExplicitVRBigEndian, JPEGBaseline8Bit, JPEGExtended12Bit, RLELossless

from edgerecon.core.errors import SourceError
from edgerecon.core.frame import to_gray, to_unit
from edgerecon.stream.sources import open_source
from tests.support.dicom_files import faults, header, jpeg, read, write, write_encapsulated

RNG = np.random.default_rng(15)
COLOR = RNG.integers(0, 256, (4, 6, 8, 3), np.uint8)
WORDS = RNG.integers(0, 65536, (3, 6, 8)).astype(np.uint16)


def halved(frames: np.ndarray) -> bytes:
    """(T, H, W, 3) YCbCr → Y Y Cb Cr of every two pixels."""
    y, chroma = frames[..., 0], frames[:, :, ::2, 1:]
    pairs = np.concatenate([y.reshape(*y.shape[:2], -1, 2), chroma], axis=-1)
    return pairs.tobytes()


def test_each_frame_of_native_ybr_full_422_is_right(tmp_path: Path) -> None:
    path = write(tmp_path / "a.dcm", COLOR, halved(COLOR), PhotometricInterpretation="YBR_FULL_422")
    for index, image in enumerate(read(path)):
        np.testing.assert_array_equal(image, pixel_array(path, index=index))


def test_native_ybr_partial_422_has_black_at_16_and_white_at_235(tmp_path: Path) -> None:
    levels = np.full((1, 1, 6, 3), 128, np.uint8)
    levels[0, 0, :, 0] = 16, 16, 235, 235, 81, 81
    levels[0, 0, 4:, 1:] = 90, 240  # red
    path = write(tmp_path / "a.dcm", levels, halved(levels), PhotometricInterpretation="YBR_PARTIAL_422")
    np.testing.assert_allclose(read(path)[0][0, ::2], [[0, 0, 0], [255, 255, 255], [255, 0, 0]], atol=1)


def test_ybr_partial_420_is_refused(tmp_path: Path) -> None:
    path = write(tmp_path / "a.dcm", COLOR, PhotometricInterpretation="YBR_PARTIAL_420")
    with pytest.raises(SourceError, match="YBR_PARTIAL_420: that is not read"):
        open_source(str(path))


@pytest.mark.parametrize("color", ["RGB", "YBR_FULL"])
def test_planes_and_pixels_give_the_same_picture(tmp_path: Path, color: str) -> None:
    expected = COLOR if color == "RGB" else convert_color_space(COLOR, "YBR_FULL", "RGB")
    planes = np.ascontiguousarray(COLOR.transpose(0, 3, 1, 2)).tobytes()
    path = write(tmp_path / "a.dcm", COLOR, PhotometricInterpretation=color)
    np.testing.assert_array_equal(read(path), expected)
    path = write(tmp_path / "b.dcm", COLOR, planes, PhotometricInterpretation=color, PlanarConfiguration=1)
    np.testing.assert_array_equal(read(path), expected)


@pytest.mark.parametrize(("stored", "high"), [(16, 15), (12, 11), (12, 15), (10, 12), (1, 0), (9, 8)])
@pytest.mark.parametrize("signed", [False, True])
def test_stored_bits_wherever_they_lie_in_the_word(tmp_path: Path, stored: int, high: int, signed: bool) -> None:
    values = WORDS.astype(int) >> (high + 1 - stored) & ((1 << stored) - 1)  # the other bits are noise
    offset = 0
    if signed:
        values, offset = np.where(values >> (stored - 1), values - (1 << stored), values), 1 << (stored - 1)
    path = write(tmp_path / "a.dcm", WORDS, BitsStored=stored, HighBit=high, PixelRepresentation=int(signed))
    expected = (values + offset) / ((1 << stored) - 1)
    tolerance = 1 / 255 if stored <= 8 else 1e-5
    np.testing.assert_allclose([to_unit(image) for image in read(path)], expected, atol=tolerance)


def test_signed_bytes(tmp_path: Path) -> None:
    values = np.array([[[-128, -1, 0, 127]]], np.int8)
    np.testing.assert_array_equal(read(write(tmp_path / "a.dcm", values))[0], [[0, 127, 128, 255]])


@pytest.mark.parametrize("function", ["LINEAR", "LINEAR_EXACT", "SIGMOID", None])
@pytest.mark.parametrize("polarity", ["MONOCHROME1", "MONOCHROME2"])
def test_window_and_rescale_against_pydicom(tmp_path: Path, function: str | None, polarity: str) -> None:
    changes = {"VOILUTFunction": function} if function else {}
    path = write(
        tmp_path / "a.dcm",
        WORDS // 16,
        BitsStored=12,
        WindowCenter=[300, 9],
        WindowWidth=[700, 9],
        RescaleSlope=0.5,
        RescaleIntercept=-200,
        PhotometricInterpretation=polarity,
        **changes,
    )
    found = pydicom.dcmread(path)
    low, high = -200, 4095 * 0.5 - 200
    for image, stored in zip(read(path), WORDS // 16, strict=True):
        expected = (apply_voi_lut(apply_modality_lut(stored, found), found) - low) / (high - low)
        expected = 1 - expected if polarity == "MONOCHROME1" else expected
        np.testing.assert_allclose(to_unit(image), expected, atol=1e-4)


@pytest.mark.parametrize(
    ("polarity", "shape", "told"),
    [
        ("MONOCHROME2", "INVERSE", True),
        ("MONOCHROME2", "IDENTITY", False),
        ("MONOCHROME1", "INVERSE", False),
        ("MONOCHROME1", "IDENTITY", True),
    ],
)
def test_the_polarity_decides_against_the_lut_shape(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, polarity: str, shape: str, told: bool
) -> None:
    frames = RNG.integers(0, 256, (2, 6, 8), np.uint8)
    path = write(tmp_path / "a.dcm", frames, PhotometricInterpretation=polarity, PresentationLUTShape=shape)
    np.testing.assert_array_equal(read(path), 255 - frames if polarity == "MONOCHROME1" else frames)
    assert (f"a Presentation LUT Shape of {shape}" in caplog.text) is told


def test_a_window_of_the_whole_range_changes_nothing(tmp_path: Path) -> None:
    frames = RNG.integers(0, 256, (2, 6, 8), np.uint8)
    path = write(tmp_path / "a.dcm", frames, WindowCenter=128, WindowWidth=256)
    np.testing.assert_array_equal(read(path), frames)


@pytest.mark.parametrize("width", [0, -3, "nonsense"])
def test_an_impossible_window_is_left_alone(tmp_path: Path, width: object) -> None:
    frames = RNG.integers(0, 256, (2, 6, 8), np.uint8)
    path = tmp_path / "a.dcm"
    if width == "nonsense":
        write(path, frames, WindowCenter=128, WindowWidth=77)
        path.write_bytes(path.read_bytes().replace(b"77", b"7x"))
    else:
        write(path, frames, WindowCenter=128, WindowWidth=width)
    np.testing.assert_array_equal(read(path), frames)


def lookup(entries: np.ndarray, first: int, bits: int) -> pydicom.Dataset:
    item = pydicom.Dataset()
    item.add_new("LUTDescriptor", "US", [len(entries) % 65536, first, bits])
    item.add_new("LUTData", "OW", entries.astype("<u2").tobytes())
    return item


def test_modality_and_voi_tables(tmp_path: Path) -> None:
    frames = RNG.integers(0, 1024, (2, 6, 8)).astype(np.uint16)
    modality = RNG.integers(0, 4096, 1000).astype(np.uint16)
    voi = np.linspace(255, 0, 4096).astype(np.uint16)
    path = write(
        tmp_path / "a.dcm",
        frames,
        BitsStored=10,
        ModalityLUTSequence=[lookup(modality, 20, 12)],
        VOILUTSequence=[lookup(voi, 0, 8)],
        WindowCenter=1,
        WindowWidth=2,
    )
    expected = voi[modality[np.clip(frames.astype(int) - 20, 0, 999)]] / 255  # the table counts more than the window
    np.testing.assert_allclose([to_unit(image) for image in read(path)], expected, atol=1e-4)


def test_padding_is_black(tmp_path: Path) -> None:
    frames = np.array([[[0, 100, 250, 255]]], np.uint8)
    path = write(tmp_path / "a.dcm", frames, PixelPaddingValue=255, PixelPaddingRangeLimit=250)
    np.testing.assert_array_equal(read(path)[0], [[0, 100, 0, 0]])
    path = write(tmp_path / "a.dcm", frames, PixelPaddingValue=0, PhotometricInterpretation="MONOCHROME1")
    np.testing.assert_array_equal(read(path)[0], [[0, 155, 5, 0]])


def test_windows_of_each_frame(tmp_path: Path) -> None:
    frames = np.full((3, 4, 5), 100, np.uint8)
    groups = []
    for center in (50, 100, 150):
        window, group = pydicom.Dataset(), pydicom.Dataset()
        window.WindowCenter, window.WindowWidth, window.VOILUTFunction = center, 200, "LINEAR_EXACT"
        group.FrameVOILUTSequence = [window]
        groups.append(group)
    path = write(tmp_path / "a.dcm", frames, PerFrameFunctionalGroupsSequence=groups)
    np.testing.assert_allclose([to_unit(image)[0, 0] for image in read(path)], [0.75, 0.5, 0.25], atol=0.003)


def palette(tables: list[np.ndarray], bits: int, first: int = 0, segmented: bool = False, count: int = 0) -> dict:
    changes: dict[str, object] = {"PhotometricInterpretation": "PALETTE COLOR"}
    for color, table in zip(("Red", "Green", "Blue"), tables, strict=True):
        size = (count or len(table)) % 65536
        changes[f"{color}PaletteColorLookupTableDescriptor"] = [size, first, bits]
        key = f"{'Segmented' if segmented else ''}{color}PaletteColorLookupTableData"
        changes[key] = table.astype("<u1" if bits == 8 else "<u2").tobytes()
    return changes


def test_the_depth_of_a_palette_is_that_of_its_descriptor(tmp_path: Path) -> None:
    frames = np.stack([np.full((4, 5), 3, np.uint8), np.full((4, 5), 250, np.uint8)])
    table = np.concatenate([np.arange(128), np.arange(128, 256) * 257]).astype(np.uint16)
    images = read(write(tmp_path / "a.dcm", frames, **palette([table] * 3, 16)))
    assert [int(image[0, 0, 0]) for image in images] == [3, 250 * 257]
    assert {image.dtype for image in images} == {np.dtype(np.uint16)}


def test_palettes_of_8_bits_that_begin_above_0(tmp_path: Path) -> None:
    frames = RNG.integers(0, 256, (2, 4, 5), np.uint8)
    tables = [RNG.integers(0, 256, 100, np.uint8) for _ in range(3)]
    path = write(tmp_path / "a.dcm", frames, **palette(tables, 8, first=50))
    expected = np.stack(tables, -1)[np.clip(frames.astype(int) - 50, 0, 99)]
    np.testing.assert_array_equal(read(path), expected)


def test_segmented_palettes_against_pydicom(tmp_path: Path) -> None:
    frames = RNG.integers(0, 256, (2, 6, 8), np.uint8)
    segments = np.array([0, 3, 7, 500, 90, 1, 100, 60_000, 0, 2, 9, 1, 1, 151, 300], np.uint16)
    path = write(tmp_path / "a.dcm", frames, **palette([segments] * 3, 16, segmented=True, count=256))
    found = pydicom.dcmread(path)
    for image, stored in zip(read(path), frames, strict=True):
        np.testing.assert_array_equal(image, pydicom.pixels.apply_color_lut(stored, found))


def test_indirect_segments_repeat_what_they_point_to(tmp_path: Path) -> None:
    # Two discrete segments of 2, then both of them again from byte 0: the offset is 32 bits in two words.
    segments = np.array([0, 2, 10, 20, 0, 2, 30, 40, 2, 2, 0, 0], np.uint16)
    frames = np.arange(8, dtype=np.uint8).reshape(1, 2, 4)
    image = read(write(tmp_path / "a.dcm", frames, **palette([segments] * 3, 16, segmented=True, count=8)))[0]
    np.testing.assert_array_equal(image[..., 0].ravel(), [10, 20, 30, 40] * 2)


@pytest.mark.parametrize(
    "segments",
    [[2, 65535, 0, 0] * 30, [0, 0] * 50_000, [1, 9, 9], [7, 1, 1], [0, 3, 1, 2, 3], [0, 1, 5] + [2, 65535, 6, 0] * 9],
)
def test_a_segmented_palette_that_never_ends_is_refused(tmp_path: Path, segments: list[int]) -> None:
    tables = [np.array(segments, np.uint16)] * 3
    frames = np.zeros((1, 4, 5), np.uint8)
    path = write(tmp_path / "a.dcm", frames, **palette(tables, 16, segmented=True, count=60_000))
    with pytest.raises(SourceError, match="segmented lookup table"):
        open_source(str(path))


# --- compressed ---


@pytest.mark.parametrize("pixels", [COLOR, COLOR[..., 0], WORDS, COLOR.astype(np.uint16) * 250])
@pytest.mark.parametrize("signed", [False, True])
def test_rle_of_several_frames(tmp_path: Path, pixels: np.ndarray, signed: bool) -> None:
    path = write(tmp_path / "a.dcm", pixels, PixelRepresentation=int(signed and pixels.ndim == 3))
    native = read(path)
    found = pydicom.dcmread(path)
    found.compress(RLELossless)
    found.save_as(path)
    np.testing.assert_array_equal(read(path), native)


def test_rle_whose_runs_cross_the_rows(tmp_path: Path) -> None:
    data = struct.pack("<16I", 1, 64, *[0] * 14) + bytes([256 + 1 - 20 & 0xFF, 9, 3, 1, 2, 3, 4, 128])
    path = write_encapsulated(tmp_path / "a.dcm", np.zeros((1, 4, 6), np.uint8), RLELossless, [data])
    np.testing.assert_array_equal(read(path)[0].ravel(), [9] * 20 + [1, 2, 3, 4])


@pytest.mark.parametrize("label", ["RGB", "YBR_FULL_422"])
def test_a_ycbcr_jpeg_is_read_as_such_whatever_its_label(tmp_path: Path, label: str) -> None:
    ramp = np.tile(np.linspace(0, 255, 48).astype(np.uint8), (2, 32, 1))
    frames = [without_markers(jpeg(np.stack([frame] * 3, -1), subsampling=0)) for frame in ramp]
    path = write_encapsulated(
        tmp_path / "a.dcm", np.stack([ramp] * 3, -1), JPEGBaseline8Bit, frames, PhotometricInterpretation=label
    )
    for image in read(path):
        assert (int(image.min()), int(image.max())) == (0, 255)
        np.testing.assert_allclose(to_gray(image), ramp[0], atol=3)


def test_an_rgb_jpeg_without_markers_stays_rgb(tmp_path: Path) -> None:
    frames = np.zeros((1, 32, 48, 3), np.uint8)
    frames[:, 8:24, 8:40] = 200, 120, 40
    data = without_markers(jpeg(frames[0], keep_rgb=True, subsampling=0))
    data = data.replace(b"R\x11\x00G\x11", b"\x01\x11\x00\x02\x11").replace(b"\x00B\x11\x00", b"\x00\x03\x11\x00")
    data = re.sub(b"\x03R.G.B.", lambda found: bytes([3, 1, found[0][2], 2, found[0][4], 3, found[0][6]]), data)
    path = write_encapsulated(tmp_path / "a.dcm", frames, JPEGBaseline8Bit, [data])
    np.testing.assert_allclose(read(path)[0], frames[0], atol=12)


def without_markers(data: bytes) -> bytes:
    """A JPEG without its APPn segments, which say what its components are."""
    out, at = data[:2], 2
    while data[at + 1] != 0xDA:
        length = int.from_bytes(data[at + 2 : at + 4], "big") + 2
        if not 0xE0 <= data[at + 1] <= 0xEF:
            out += data[at : at + length]
        at += length
    return out + data[at:]


@pytest.mark.parametrize("table", [True, False])
@pytest.mark.parametrize("pieces", [1, 3])
def test_frames_in_fragments(tmp_path: Path, table: bool, pieces: int) -> None:
    frames = np.repeat(np.repeat(RNG.integers(0, 256, (4, 8, 8), np.uint8), 4, 1), 4, 2)
    packed = [jpeg(frame) for frame in frames]
    path = write_encapsulated(tmp_path / "a.dcm", frames, JPEGBaseline8Bit, packed)
    found = pydicom.dcmread(path)
    found.PixelData = encapsulate(packed, fragments_per_frame=pieces, has_bot=table)
    found.save_as(path)
    for image, frame in zip(read(path), frames, strict=True):
        np.testing.assert_allclose(image.astype(int), frame, atol=40)
        assert np.abs(image.astype(int) - frame).mean() < 8


def test_an_offset_table_that_is_wrong_is_ignored(tmp_path: Path) -> None:
    frames = np.stack([np.full((16, 16), level, np.uint8) for level in (10, 100, 200)])
    path = write_encapsulated(tmp_path / "a.dcm", frames, JPEGBaseline8Bit, [jpeg(frame) for frame in frames])
    found = pydicom.dcmread(path)
    data = bytearray(found.PixelData)
    data[8:20] = struct.pack("<3I", 0, 77, 99)
    found.PixelData = bytes(data)
    found.save_as(path)
    assert [int(image[0, 0]) for image in read(path)] == [10, 100, 200]


# --- files that lack something ---


@pytest.mark.parametrize("implicit", [True, False])
def test_a_file_without_preamble_and_meta_is_read(tmp_path: Path, implicit: bool) -> None:
    frames = RNG.integers(0, 256, (4, 6, 8), np.uint8)
    found = header(frames)
    del found.file_meta
    found.add_new("PixelData", "OW" if implicit else "OB", frames.tobytes())
    path = tmp_path / "a.dcm"
    pydicom.dcmwrite(path, found, implicit_vr=implicit, little_endian=True)
    np.testing.assert_array_equal(read(path), frames)


def test_big_endian_words(tmp_path: Path) -> None:
    found = pydicom.dcmread(write(tmp_path / "a.dcm", WORDS))
    found.PixelData = WORDS.astype(">u2").tobytes()
    found.file_meta.TransferSyntaxUID = ExplicitVRBigEndian
    pydicom.dcmwrite(tmp_path / "a.dcm", found, implicit_vr=False, little_endian=False)
    np.testing.assert_array_equal(read(tmp_path / "a.dcm"), WORDS)


def test_big_endian_bytes_lie_in_words_across_frames(tmp_path: Path) -> None:
    frames = RNG.integers(0, 256, (3, 3, 3), np.uint8)  # of 9 bytes: every second frame begins within a word
    found = pydicom.dcmread(write(tmp_path / "a.dcm", frames))
    found.file_meta.TransferSyntaxUID = ExplicitVRBigEndian
    data = np.frombuffer(frames.tobytes() + b"\0", np.uint16).byteswap().tobytes()
    found.add_new("PixelData", "OW", data)
    pydicom.dcmwrite(tmp_path / "a.dcm", found, implicit_vr=False, little_endian=False)
    np.testing.assert_array_equal(read(tmp_path / "a.dcm"), frames)


def test_lossy_jpeg_of_twelve_bits_is_refused_with_the_way_out(tmp_path: Path) -> None:
    data = bytearray(jpeg(np.zeros((6, 8), np.uint8)))
    data[data.index(b"\xff\xc0") + 4] = 12
    path = write_encapsulated(tmp_path / "a.dcm", WORDS[:1], JPEGExtended12Bit, [bytes(data)], BitsStored=12)
    with pytest.raises(SourceError, match=r"lossy JPEG of 12 bits is not read: transcode it \(dcmdjpeg\)"):
        open_source(str(path))


def test_a_truncated_native_cine_plays_what_is_there(tmp_path: Path) -> None:
    path = write(tmp_path / "a.dcm", WORDS)
    path.write_bytes(path.read_bytes()[:-90])
    assert [bool(fault) for fault in faults(path)] == [False, False, True]


@pytest.mark.parametrize("name", ["d_422", "d_16win", "j_graymis", "nopreamble", "pdark"])
def test_files_of_the_issue(shared_data: Path, name: str) -> None:
    path = shared_data.parent / "cases" / f"{name}.dcm"
    if not path.exists():
        pytest.skip(f"{path} is not here")
    images = read(path)
    assert len(images) == 4
    if name == "d_422":
        for index, image in enumerate(images):
            np.testing.assert_array_equal(image, pixel_array(path, index=index))
    elif name == "pdark":
        assert [round(float(to_unit(image).max()), 3) for image in images] == [0, 0, 0.992, 0.992]
    else:
        assert {(float(to_unit(image).min()), float(to_unit(image).max())) for image in images} == {(0.0, 1.0)}
