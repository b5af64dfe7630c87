"""DICOM files that were made to take memory or time, or to end in a traceback."""

from __future__ import annotations

import io
import struct
import subprocess
import sys
from pathlib import Path

import numpy as np
import pydicom
import pytest
from PIL import Image as Pillow
from pydicom.encaps import encapsulate
from pydicom.uid import UID, ExplicitVRLittleEndian, JPEG2000Lossless, JPEGBaseline8Bit, RLELossless

from edgerecon.core.errors import DataError, SourceError
from edgerecon.stream.sources import open_source
from edgerecon.workshop.data.public import open_public

ABOVE_A_FRAME = 300 << 20


def dicom(path: Path, syntax: UID, frame: bytes, rows: int = 4, columns: int = 4, **changes: object) -> Path:
    header = pydicom.Dataset()
    header.file_meta = pydicom.dataset.FileMetaDataset()
    header.file_meta.TransferSyntaxUID = syntax
    header.SOPClassUID = header.file_meta.MediaStorageSOPClassUID = "1.2.840.10008.5.1.4.1.1.3.1"
    header.SOPInstanceUID = header.file_meta.MediaStorageSOPInstanceUID = "1.2.3"
    header.Modality, header.NumberOfFrames, header.Rows, header.Columns = "US", 1, rows, columns
    header.SamplesPerPixel, header.PhotometricInterpretation, header.PixelRepresentation = 1, "MONOCHROME2", 0
    header.BitsAllocated, header.BitsStored, header.HighBit = 8, 8, 7
    for key, value in changes.items():
        setattr(header, key, value)
    encapsulated = syntax.is_encapsulated
    header.add_new("PixelData", "OB", encapsulate([frame]) if encapsulated else frame)
    header["PixelData"].is_undefined_length = encapsulated
    header.save_as(path, enforce_file_format=True)
    return path


def refusal(path: Path) -> str:
    with pytest.raises(SourceError) as caught:
        open_source(str(path))
    assert "\n" not in str(caught.value) and len(str(caught.value)) < 400
    return str(caught.value)


def memory_of_opening(path: Path) -> int:
    """Bytes that a process of its own takes at most beyond what it takes to import the reader."""
    script = (
        "import resource, sys\n"
        "from edgerecon.core.errors import EdgereconError\n"
        "from edgerecon.stream.sources import open_source\n"
        "import edgerecon.stream.sources.files.dicom\n"
        "before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss\n"
        "try:\n    open_source(sys.argv[1])\n"
        "except EdgereconError:\n    pass\n"
        "print((resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) << 10)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", script, str(path)], capture_output=True, text=True, check=True, timeout=120
    )
    return int(done.stdout)


def test_an_rle_frame_is_unpacked_no_further_than_its_size(tmp_path: Path) -> None:
    bomb = struct.pack("<16I", 1, 64, *[0] * 14) + b"\x81\x00" * (21 << 20)  # 42 MB that unpack to 2.7 GB
    assert memory_of_opening(dicom(tmp_path / "a.dcm", RLELossless, bomb, 3000, 7000)) < ABOVE_A_FRAME
    assert "more than a frame of this size takes" in refusal(dicom(tmp_path / "a.dcm", RLELossless, bomb))
    small = bomb[: 64 + (1 << 20)]
    assert memory_of_opening(dicom(tmp_path / "a.dcm", RLELossless, small, 1000, 1000)) < ABOVE_A_FRAME


@pytest.mark.parametrize("kind", ["JPEG", "JPEG2000"])
def test_a_large_image_in_a_small_frame_is_refused_undecoded(tmp_path: Path, kind: str, monkeypatch) -> None:
    packed = io.BytesIO()
    Pillow.new("L", (4, 4)).save(packed, kind, **({"no_jp2": True} if kind == "JPEG2000" else {}))
    data = bytearray(packed.getvalue())
    if kind == "JPEG":
        struct.pack_into(">HH", data, data.index(b"\xff\xc0") + 5, 60_000, 60_000)
    else:
        struct.pack_into(">II", data, data.index(b"\xff\x4f\xff\x51") + 8, 60_000, 60_000)
    decoded: list[object] = []
    monkeypatch.setattr("PIL.ImageFile.ImageFile.load", decoded.append)
    path = dicom(tmp_path / "a.dcm", JPEGBaseline8Bit if kind == "JPEG" else JPEG2000Lossless, bytes(data))
    assert "the image in it is 60000×60000 of 1 samples a pixel; the header says 4×4 of 1" in refusal(path)
    assert not decoded


def test_a_jpeg_of_thousands_of_passes_is_refused(tmp_path: Path) -> None:
    packed = io.BytesIO()
    Pillow.new("L", (64, 64)).save(packed, "JPEG", progressive=True)
    data = packed.getvalue()
    scan = data[data.rindex(b"\xff\xda") : -2]
    data = data[:-2] + scan * 1000 + data[-2:]
    assert "passes" in refusal(dicom(tmp_path / "a.dcm", JPEGBaseline8Bit, data, 64, 64))


def test_a_header_larger_than_any_is_refused(tmp_path: Path) -> None:
    path = dicom(tmp_path / "a.dcm", ExplicitVRLittleEndian, bytes(16))
    group = pydicom.Dataset()
    group.add_new(0x00091001, "OB", bytes(70 << 20))
    found = pydicom.dcmread(path)
    found.SharedFunctionalGroupsSequence = [group]
    found.save_as(path)
    assert "header of more than 64 MB" in refusal(path)
    del found.SharedFunctionalGroupsSequence
    found.add_new(0x00091001, "OB", bytes(70 << 20))  # not asked for: it is skipped
    found.save_as(path)
    assert open_source(str(path)).length == 1


@pytest.mark.parametrize(
    ("key", "text"),
    [("NumberOfFrames", b"9" * 5000), ("FrameTime", b"9" * 5000), ("WindowCenter", b"1e999"), ("CineRate", b"9" * 500)],
)
def test_numbers_of_thousands_of_digits(tmp_path: Path, key: str, text: bytes) -> None:
    path = dicom(tmp_path / "a.dcm", ExplicitVRLittleEndian, bytes(16))
    found = pydicom.dcmread(path)
    element = pydicom.dataelem.RawDataElement(
        pydicom.tag.Tag(key), "IS" if key in ("NumberOfFrames", "CineRate") else "DS", len(text), text, 0, False, True
    )
    found[key] = element
    found.save_as(path)
    try:
        assert open_source(str(path)).length == 1
    except SourceError as error:
        assert "\n" not in str(error) and len(str(error)) < 400


def test_sequences_nested_beyond_measure(tmp_path: Path) -> None:
    path = dicom(tmp_path / "a.dcm", ExplicitVRLittleEndian, bytes(16))
    data = path.read_bytes()
    at = data.index(b"\x28\x00\x02\x00US")
    shared = struct.pack("<HH2sHI", 0x5200, 0x9229, b"SQ", 0, 0xFFFFFFFF)
    nest = (struct.pack("<HHI", 0xFFFE, 0xE000, 0xFFFFFFFF) + shared) * 50_000
    path.write_bytes(data[:at] + shared + nest + data[at:])
    assert "a.dcm" in refusal(path)


def test_more_fragments_than_frames_can_have_end(tmp_path: Path) -> None:
    path = dicom(tmp_path / "a.dcm", RLELossless, b"\0\0")
    data = path.read_bytes()
    end = data.rindex(struct.pack("<HH", 0xFFFE, 0xE0DD))
    path.write_bytes(data[:end] + struct.pack("<HHI", 0xFFFE, 0xE000, 0) * 3_000_000 + data[end:])
    assert "a.dcm" in refusal(path)
    assert memory_of_opening(path) < ABOVE_A_FRAME


def test_a_series_to_train_on_is_read_within_the_same_budgets(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    bomb = struct.pack("<16I", 1, 64, *[0] * 14) + b"\x81\x00" * (1 << 20)
    dicom(tmp_path / "a.dcm", RLELossless, bomb, Modality="CT")
    with pytest.raises(DataError, match="more than a frame of this size takes"):
        list(open_public(tmp_path))
    small = struct.pack("<16I", 1, 64, *[0] * 14) + b"\xf1\x05"
    dicom(tmp_path / "a.dcm", RLELossless, small, Modality="CT", RescaleSlope=100, RescaleIntercept=-1024)
    (subject,) = open_public(tmp_path)
    assert subject.images == pytest.approx(np.full((1, 4, 4), 500 / 4095))
    monkeypatch.setattr("edgerecon.workshop.data.public.dicom._SUBJECT_AT_MOST", 63)
    with pytest.raises(DataError, match="a series of more than"):
        list(open_public(tmp_path))


def test_a_series_that_is_inverted_is_turned_back(tmp_path: Path) -> None:
    levels = bytes(range(16))
    dicom(tmp_path / "a", ExplicitVRLittleEndian, levels, Modality="CR", PhotometricInterpretation="MONOCHROME1")
    (subject,) = open_public(tmp_path)
    assert subject.images.ravel() == pytest.approx(1 - np.arange(16) / 15)
