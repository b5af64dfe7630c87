"""DICOM: cropped to its ultrasound region, in every transfer syntax, without ever holding the whole file."""

from __future__ import annotations

import io
import tracemalloc
from pathlib import Path

import numpy as np
import pydicom
import pytest
from PIL import Image as Pillow
from pydicom.encaps import encapsulate
from pydicom.uid import (
    DeflatedExplicitVRLittleEndian,
    ExplicitVRBigEndian,
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
    JPEG2000Lossless,
    JPEGLosslessSV1,
    RLELossless,
)

from edgerecon.core.errors import DependencyError, SourceError, UsageError
from edgerecon.stream.sources import open_source

FRAMES = np.random.default_rng(8).integers(0, 256, (3, 40, 50), np.uint8)


def dicom(path: Path, pixels: np.ndarray = FRAMES, regions: list[dict] = [], **changes: object) -> Path:  # noqa: B006
    header = pydicom.Dataset()
    header.file_meta = pydicom.dataset.FileMetaDataset()
    header.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    header.SOPClassUID = header.file_meta.MediaStorageSOPClassUID = "1.2.840.10008.5.1.4.1.1.3.1"
    header.SOPInstanceUID = header.file_meta.MediaStorageSOPInstanceUID = "1.2.3"
    header.Modality, header.NumberOfFrames = "US", len(pixels)
    header.Rows, header.Columns = pixels.shape[1:]
    header.SamplesPerPixel, header.PhotometricInterpretation, header.PixelRepresentation = 1, "MONOCHROME2", 0
    header.BitsAllocated, header.BitsStored, header.HighBit = 8, 8, 7
    if regions:
        header.SequenceOfUltrasoundRegions = [region(**one) for one in regions]
    for key, value in changes.items():
        setattr(header, key, value)
    header.add_new("PixelData", "OB", pixels.tobytes())
    header.save_as(path, enforce_file_format=True)
    return path


def region(x0: int, y0: int, x1: int, y1: int, units: int = 3, step: float = 0.02) -> pydicom.Dataset:
    found = pydicom.Dataset()
    found.RegionSpatialFormat, found.RegionDataType = 1, 1
    found.RegionLocationMinX0, found.RegionLocationMinY0 = x0, y0
    found.RegionLocationMaxX1, found.RegionLocationMaxY1 = x1, y1
    found.PhysicalUnitsXDirection = found.PhysicalUnitsYDirection = units
    found.PhysicalDeltaX, found.PhysicalDeltaY = step, 1.5 * step
    return found


def images(path: Path) -> list[np.ndarray]:
    return [capture.image for capture in open_source(str(path)).frames()]


def test_the_largest_region_in_centimetres_is_the_image(tmp_path: Path) -> None:
    regions = [
        {"x0": 0, "y0": 0, "x1": 9, "y1": 9},
        {"x0": 5, "y0": 4, "x1": 34, "y1": 29, "step": 0.01},
        {"x0": 0, "y0": 0, "x1": 49, "y1": 39, "units": 4},  # an M-mode strip, in seconds
    ]
    path = dicom(tmp_path / "a.dcm", regions=regions)
    np.testing.assert_array_equal(images(path), FRAMES[:, 4:30, 5:35])
    assert open_source(str(path)).spacing_mm == pytest.approx((0.15, 0.1))


@pytest.mark.parametrize(
    "bad",
    [
        {"x0": 5, "y0": 4, "x1": 90, "y1": 29},  # of an image that was larger
        {"x0": 30, "y0": 4, "x1": 20, "y1": 29},  # the wrong way round
        {"x0": 10, "y0": 10, "x1": 11, "y1": 11},  # a speck
        {"x0": 5, "y0": 4, "x1": 34, "y1": 29, "step": 0.0},
    ],
)
def test_regions_that_cannot_be_are_left_alone(tmp_path: Path, bad: dict) -> None:
    path = dicom(tmp_path / "a.dcm", regions=[bad])
    np.testing.assert_array_equal(images(path), FRAMES)
    assert open_source(str(path)).spacing_mm is None


def test_a_region_that_ends_at_the_size_of_the_image(tmp_path: Path) -> None:
    path = dicom(tmp_path / "a.dcm", regions=[{"x0": 0, "y0": 0, "x1": 50, "y1": 40}])  # as scanners write it
    np.testing.assert_array_equal(images(path), FRAMES)
    assert open_source(str(path)).spacing_mm == pytest.approx((0.3, 0.2))


def test_pixel_spacing_and_frame_time_vector(tmp_path: Path) -> None:
    vector = {"FrameTimeVector": [0, 40, 80], "FrameIncrementPointer": 0x00181065}
    source = open_source(str(dicom(tmp_path / "a.dcm", PixelSpacing=[0.3, 0.2], **vector)))
    assert source.spacing_mm == (0.3, 0.2) and source.period_s == pytest.approx(0.06)
    source = open_source(str(dicom(tmp_path / "b.dcm", PixelSpacing=[0, 0.2], FrameTimeVector=[0])))
    assert source.spacing_mm is None and source.period_s is None


def test_of_two_regions_of_one_size_the_first_is_taken(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    left, right = {"x0": 0, "y0": 4, "x1": 19, "y1": 29}, {"x0": 25, "y0": 4, "x1": 44, "y1": 29, "step": 0.01}
    path = dicom(tmp_path / "a.dcm", regions=[left, right])
    np.testing.assert_array_equal(images(path), FRAMES[:, 4:30, :20])
    assert "2 regions of one size" in caplog.text and "?region=2" in caplog.text
    source = open_source(f"{path}?region=2")
    np.testing.assert_array_equal([capture.image for capture in source.frames()], FRAMES[:, 4:30, 25:45])
    assert source.spacing_mm == pytest.approx((0.15, 0.1))
    with pytest.raises(SourceError, match="has 2 ultrasound regions in centimetres, but no region 3"):
        open_source(f"{path}?region=3")
    for wrong in ("region=0", "region=x", "region=1.5", "region=", "modality=CT", "rf"):
        with pytest.raises(UsageError):
            open_source(f"{path}?{wrong}")


def test_colour_flow_over_the_tissue_is_no_second_region(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    box = {"x0": 0, "y0": 4, "x1": 19, "y1": 29}
    images(dicom(tmp_path / "a.dcm", regions=[box, box]))
    assert not caplog.records


@pytest.mark.parametrize("missing", ["Rows", "BitsAllocated", "BitsStored", "PhotometricInterpretation"])
def test_an_element_that_is_missing_is_named(tmp_path: Path, missing: str) -> None:
    found = pydicom.dcmread(dicom(tmp_path / "a.dcm"))
    del found[missing]
    found.save_as(tmp_path / "a.dcm")
    with pytest.raises(SourceError, match=f"lacks {missing}: its pixels cannot be read"):
        open_source(str(tmp_path / "a.dcm"))


@pytest.mark.parametrize("shape", [(1, 1), (1, 12), (12, 1), (3, 3)])
def test_a_region_that_is_the_whole_small_image(tmp_path: Path, shape: tuple[int, int]) -> None:
    box = {"x0": 0, "y0": 0, "x1": shape[1] - 1, "y1": shape[0] - 1}
    source = open_source(str(dicom(tmp_path / "a.dcm", np.full((2, *shape), 7, np.uint8), regions=[box])))
    assert source.spacing_mm == pytest.approx((0.3, 0.2))
    assert [capture.image.shape for capture in source.frames()] == [shape, shape]


def test_pixel_measures_of_an_enhanced_volume(tmp_path: Path) -> None:
    measures, shared = pydicom.Dataset(), pydicom.Dataset()
    measures.PixelSpacing = [0.4, 0.2]
    shared.PixelMeasuresSequence = [measures]
    path = dicom(tmp_path / "a.dcm", SharedFunctionalGroupsSequence=[shared])
    assert open_source(str(path)).spacing_mm == (0.4, 0.2)
    frames = []
    for step in (0.1, 0.2, 0.3):
        measures, frame = pydicom.Dataset(), pydicom.Dataset()
        measures.PixelSpacing = [step, step]
        frame.PixelMeasuresSequence = [measures]
        frames.append(frame)
    path = dicom(tmp_path / "a.dcm", PerFrameFunctionalGroupsSequence=frames)
    source = open_source(str(path))
    assert source.spacing_mm == (0.1, 0.1)
    assert [capture.spacing_mm for capture in source.frames()] == [(0.1, 0.1), (0.2, 0.2), (0.3, 0.3)]


@pytest.mark.parametrize(
    ("changes", "period_s", "said"),
    [
        ({"FrameTime": 0.04}, 0.04, "25,000 frames a second: it is taken to be in seconds (25 frames a second)"),
        ({"FrameTime": 0.04, "CineRate": 30}, 1 / 30, "its rate of 30 frames a second is taken"),
        ({"FrameTime": 0.0001}, None, "it is ignored"),
        ({"FrameTimeVector": [0, 0.05, 0.05]}, 0.05, "in seconds (20 frames a second)"),
        ({"FrameTime": 0.25}, 0.00025, ""),  # 4 000 frames a second
        ({"FrameTime": 33.3}, 0.0333, ""),
    ],
)
def test_a_frame_time_in_seconds_is_recognised(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, changes: dict, period_s: float | None, said: str
) -> None:
    source = open_source(str(dicom(tmp_path / "a.dcm", **changes)))
    assert source.period_s == (None if period_s is None else pytest.approx(period_s))
    assert said in caplog.text and bool(said) == bool(caplog.text)


def test_frames_carry_the_times_of_the_vector(tmp_path: Path) -> None:
    path = dicom(tmp_path / "a.dcm", FrameTimeVector=[0, 40, 2000])
    assert [capture.time_s for capture in open_source(str(path)).frames()] == pytest.approx([0, 0.04, 2.04])
    path = dicom(tmp_path / "a.dcm", FrameTimeVector=[0, 40], FrameIncrementPointer=0x00181065)  # too short
    assert [capture.time_s for capture in open_source(str(path)).frames()] == [None] * 3


def test_other_modalities_are_read_when_asked_for(tmp_path: Path) -> None:
    path = dicom(tmp_path / "a.dcm", Modality="OT")
    with pytest.raises(SourceError, match=r"modality is OT, not US or IVUS \(\?modality=any"):
        open_source(str(path))
    source = open_source(f"{path}?modality=any")
    np.testing.assert_array_equal([capture.image for capture in source.frames()], FRAMES)


def jpeg2000(frame: np.ndarray) -> bytes:
    packed = io.BytesIO()
    Pillow.fromarray(frame).save(packed, "JPEG2000", irreversible=False, no_jp2=True)
    return packed.getvalue()


@pytest.mark.parametrize(
    "syntax",
    [
        ImplicitVRLittleEndian,
        ExplicitVRBigEndian,
        DeflatedExplicitVRLittleEndian,
        RLELossless,
        JPEG2000Lossless,
    ],
)
def test_lossless_transfer_syntaxes(tmp_path: Path, syntax: pydicom.uid.UID) -> None:
    path = dicom(tmp_path / "a.dcm", regions=[{"x0": 5, "y0": 4, "x1": 34, "y1": 29}])
    found = pydicom.dcmread(path)
    if syntax == RLELossless:
        found.compress(RLELossless)
    else:
        found.file_meta.TransferSyntaxUID = syntax
        if syntax == JPEG2000Lossless:
            found.PixelData = encapsulate([jpeg2000(frame) for frame in FRAMES])
            found["PixelData"].is_undefined_length = True
    pydicom.dcmwrite(
        path,
        found,
        implicit_vr=syntax == ImplicitVRLittleEndian,
        little_endian=syntax != ExplicitVRBigEndian,
        enforce_file_format=True,
    )
    np.testing.assert_array_equal(images(path), FRAMES[:, 4:30, 5:35])


def test_a_missing_decoder_says_what_to_install(tmp_path: Path, monkeypatch) -> None:
    found = pydicom.dcmread(dicom(tmp_path / "a.dcm"))
    found.file_meta.TransferSyntaxUID = JPEGLosslessSV1
    found.PixelData = encapsulate([b"\xff\xd8\xff\xd9"] * 3)
    found["PixelData"].is_undefined_length = True
    found.save_as(tmp_path / "a.dcm")
    decoder = pydicom.pixels.get_decoder(JPEGLosslessSV1)
    monkeypatch.setattr(decoder, "_available", {})
    with pytest.raises(DependencyError, match=r"JPEG Lossless.*pip install 'edgerecon\[dicom\]'"):
        open_source(str(tmp_path / "a.dcm"))


def test_a_long_cine_takes_the_memory_of_a_frame(tmp_path: Path) -> None:
    pixels = np.zeros((80, 256, 512), np.uint8)  # 10 MB
    pixels += np.arange(80, dtype=np.uint8)[:, None, None]
    path = dicom(tmp_path / "a.dcm", pixels)
    tracemalloc.start()
    try:
        for number, capture in enumerate(open_source(str(path)).frames()):
            assert capture.image is not None and capture.image[0, 0] == number
        assert tracemalloc.get_traced_memory()[1] < 4_000_000
    finally:
        tracemalloc.stop()


def test_a_deflated_bomb_is_refused(tmp_path: Path, monkeypatch) -> None:
    found = pydicom.dcmread(dicom(tmp_path / "a.dcm", np.zeros((40, 512, 512), np.uint8)))
    found.file_meta.TransferSyntaxUID = DeflatedExplicitVRLittleEndian
    found.save_as(tmp_path / "a.dcm")
    assert (tmp_path / "a.dcm").stat().st_size < 50_000
    monkeypatch.setattr("edgerecon.stream.sources.files.dicom.header._INFLATED_AT_MOST", 4 << 20)
    with pytest.raises(SourceError, match="inflate it"):
        open_source(str(tmp_path / "a.dcm"))
