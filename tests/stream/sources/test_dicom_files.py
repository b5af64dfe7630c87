"""DICOM cines: depths, palettes, rates, and what is damaged or refused."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pydicom
import pytest
from pydicom.encaps import encapsulate
from pydicom.uid import ExplicitVRLittleEndian, JPEGBaseline8Bit

from edgerecon.core.frame import to_unit
from edgerecon.stream.sources import open_source
from tests.stream.sources.playing import FRAMES, RNG, faults, images, refusal

pytestmark = pytest.mark.filterwarnings("ignore::UserWarning")


# --- DICOM ---


def dicom(path: Path, pixels: np.ndarray, **changes) -> Path:
    header = pydicom.Dataset()
    header.file_meta = pydicom.dataset.FileMetaDataset()
    header.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    header.SOPClassUID = header.file_meta.MediaStorageSOPClassUID = "1.2.840.10008.5.1.4.1.1.3.1"
    header.SOPInstanceUID = header.file_meta.MediaStorageSOPInstanceUID = "1.2.3"
    colour = pixels.shape[-1] == 3
    header.Modality = "US"
    header.NumberOfFrames = len(pixels)
    header.Rows, header.Columns = pixels.shape[1:3]
    header.SamplesPerPixel = 3 if colour else 1
    header.PhotometricInterpretation = "RGB" if colour else "MONOCHROME2"
    if colour:
        header.PlanarConfiguration = 0
    header.BitsAllocated = header.BitsStored = 8 * pixels.dtype.itemsize
    header.PixelRepresentation = int(pixels.dtype.kind == "i")
    for key, value in changes.items():
        setattr(header, key, value)
    header.HighBit = header.BitsStored - 1
    header.PixelData = pixels.tobytes() + b"\0" * (pixels.nbytes % 2)
    header["PixelData"].VR = "OW" if header.BitsAllocated > 8 else "OB"
    header.save_as(path, enforce_file_format=True)
    return path


def test_dicom_depths_and_interpretations(tmp_path: Path) -> None:
    path = tmp_path / "a.dcm"
    np.testing.assert_array_equal(images(dicom(path, FRAMES)), FRAMES)
    np.testing.assert_array_equal(images(dicom(path, FRAMES, PhotometricInterpretation="MONOCHROME1")), 255 - FRAMES)
    twelve = RNG.integers(0, 4096, (2, 6, 5)).astype(np.uint16)
    twelve[0, 0, :2] = 0, 4095
    for image, raw in zip(images(dicom(path, twelve, BitsStored=12)), twelve, strict=True):
        assert image is not None and image.dtype == np.uint16
        np.testing.assert_allclose(to_unit(image), raw / 4095, atol=2e-5)
    signed = RNG.integers(-2048, 2048, (2, 6, 5)).astype(np.int16)
    for image, raw in zip(images(dicom(path, signed, BitsStored=12)), signed, strict=True):
        np.testing.assert_allclose(to_unit(image), (raw + 2048.0) / 4095, atol=2e-5)
    colour = RNG.integers(0, 256, (2, 6, 4, 3), np.uint8)
    np.testing.assert_array_equal(images(dicom(path, colour)), colour)


def test_dicom_palette(tmp_path: Path) -> None:
    ramp = (np.arange(256, dtype=np.uint16) * 257).tobytes()
    tables = {
        f"{colour}PaletteColorLookupTable{part}": value
        for colour in ("Red", "Green", "Blue")
        for part, value in (("Descriptor", [256, 0, 16]), ("Data", ramp))
    }
    path = dicom(tmp_path / "a.dcm", FRAMES, PhotometricInterpretation="PALETTE COLOR", **tables)
    for image, raw in zip(images(path), FRAMES, strict=True):
        np.testing.assert_allclose(to_unit(image), raw / 255, atol=1e-4)


def test_dicom_rates_and_spacing(tmp_path: Path) -> None:
    region = pydicom.Dataset()
    region.RegionLocationMinX0 = region.RegionLocationMinY0 = 0
    region.RegionLocationMaxX1, region.RegionLocationMaxY1 = 9, 11
    region.PhysicalUnitsXDirection = region.PhysicalUnitsYDirection = 3
    region.PhysicalDeltaX, region.PhysicalDeltaY = 0.02, -0.03
    source = open_source(str(dicom(tmp_path / "a.dcm", FRAMES, FrameTime=20, SequenceOfUltrasoundRegions=[region])))
    assert source.period_s == 0.02 and source.spacing_mm == pytest.approx((0.3, 0.2))
    region.PhysicalUnitsXDirection = 4  # seconds: an M-mode strip
    source = open_source(str(dicom(tmp_path / "a.dcm", FRAMES, CineRate=50, SequenceOfUltrasoundRegions=[region])))
    assert source.period_s == 0.02 and source.spacing_mm is None
    source = open_source(str(dicom(tmp_path / "a.dcm", FRAMES, RecommendedDisplayFrameRate=25, FrameTime=0)))
    assert source.period_s == 0.04


def test_dicom_refusals(tmp_path: Path) -> None:
    path = tmp_path / "a.dcm"
    assert "modality is CT" in refusal(dicom(path, FRAMES, Modality="CT"))
    assert "declares 60000×60000 pixels" in refusal(dicom(path, FRAMES, Rows=60000, Columns=60000))
    assert "cannot hold" in refusal(dicom(path, FRAMES, NumberOfFrames=900_000))
    header = pydicom.dcmread(dicom(path, FRAMES))
    del header.PixelData
    header.save_as(path)
    assert "no pixel data" in refusal(path)
    path.write_bytes(b"\0" * 128 + b"DICM")
    assert "a.dcm" in refusal(path)
    path.write_bytes(bytes(RNG.integers(0, 256, 500, np.uint8)))
    assert "a.dcm" in refusal(path)
    path.write_text("a note to myself\n" * 9)
    assert "is not a DICOM file" in refusal(path)


def test_dicom_name_and_errors_hold_nothing_of_the_patient(tmp_path: Path) -> None:
    path = dicom(tmp_path / "a.dcm", FRAMES, PatientName="Doe^Jane", PatientID="4711", Modality="US")
    assert open_source(str(path)).name == "a.dcm"


def test_truncated_dicom_cine_plays_what_is_there(echo_cine: Path, tmp_path: Path) -> None:
    path = tmp_path / "cut.dcm"
    data = echo_cine.read_bytes()
    path.write_bytes(data[: len(data) * 2 // 3])
    bad = faults(path)
    assert len(bad) == 30 and not bad[0] and bad[-1]
    assert 10 < bad.count(False) < 25 and bad == sorted(bad)
    path.write_bytes(data[:3000])
    refusal(path)


def test_damaged_jpeg_in_a_dicom_cine_is_one_fault(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    jpegs = [cv2.imencode(".jpg", frame)[1].tobytes() for frame in np.repeat(FRAMES, 4, 1)]
    jpegs[2] = b"\xff\xd8" + b"\0" * 60
    path = tmp_path / "a.dcm"
    header = pydicom.dcmread(dicom(path, np.repeat(FRAMES, 4, 1)))
    header.PixelData = encapsulate(jpegs)
    header["PixelData"].VR = "OB"
    header.file_meta.TransferSyntaxUID = JPEGBaseline8Bit
    header.save_as(path, enforce_file_format=True)
    assert faults(path) == [False, False, True, False, False]
    assert not caplog.records, "the frame's own fault says it, without pydicom's traceback"
    assert "plugin" not in (list(open_source(str(path)).frames())[2].fault or "")
