"""Sources: real recordings play; damaged, hostile and wrong files end in one clear line."""

from __future__ import annotations

import gzip
import io
import re
import struct
import zipfile
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
from pydicom.encaps import encapsulate
from pydicom.uid import ExplicitVRLittleEndian, JPEGBaseline8Bit

from edgerecon.core.errors import SourceError
from edgerecon.core.frame import to_unit
from edgerecon.stream.loop.stream import stream
from edgerecon.stream.sources import open_source
from edgerecon.stream.sources.base import Capture

pytestmark = pytest.mark.filterwarnings("ignore::UserWarning")

RNG = np.random.default_rng(3)
FRAMES = RNG.integers(0, 256, (5, 12, 10), np.uint8)


def images(path: Path) -> list[np.ndarray | None]:
    return [capture.image for capture in open_source(str(path)).frames()]


def faults(path: Path) -> list[bool]:
    """Whether each frame could not be read."""
    captures = list(open_source(str(path)).frames())
    assert all((capture.image is None) == (capture.fault is not None) for capture in captures)
    return [capture.image is None for capture in captures]


def refusal(path: Path | str) -> str:
    with pytest.raises(SourceError) as caught:
        open_source(str(path))
    assert "\n" not in str(caught.value)
    return str(caught.value)


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


# --- arrays ---


@pytest.mark.parametrize("shape", [(3, 6, 5), (6, 5), (3, 6, 5, 3), (2, 1, 1), (4, 5, 2)])
@pytest.mark.parametrize("save", [np.savez, np.savez_compressed, None])
def test_arrays(tmp_path: Path, shape: tuple[int, ...], save) -> None:
    frames = RNG.integers(0, 256, shape, np.uint8)
    if save:
        path = tmp_path / "a.npz"
        save(path, frames=frames, names=np.array(["x"]), fps=20.0, extra=np.eye(2))
    else:
        path = tmp_path / "a.npy"
        np.save(path, frames)
    source = open_source(str(path))
    assert source.period_s == (0.05 if save else None)
    np.testing.assert_array_equal([c.image for c in source.frames()], frames if frames.ndim > 2 else frames[None])


def test_array_types_are_scaled_by_the_recording(tmp_path: Path) -> None:
    path = tmp_path / "a.npy"
    for dtype in ("<i2", ">i2", "<f4", ">f8", "<u4", "i1"):
        values = np.linspace(-90 if dtype[-2] != "u" else 0, 120, 60).reshape(3, 4, 5).astype(dtype)
        np.save(path, values)
        expected = (values - values.min().astype(float)) / np.ptp(values.astype(float))
        np.testing.assert_allclose([to_unit(image) for image in images(path)], expected, atol=1e-6)
    big_endian = RNG.integers(0, 65536, (2, 3, 4)).astype(">u2")
    np.save(path, big_endian)
    np.testing.assert_allclose([to_unit(image) for image in images(path)], big_endian / 65535, atol=1e-6)
    within = RNG.random((2, 3, 4)) * 0.5
    within[1, 0, 0] = np.nan
    np.save(path, within)
    np.testing.assert_allclose(images(path), within)
    np.save(path, np.full((2, 3, 4), 7.0))
    assert not np.any(images(path))


def test_array_refusals(tmp_path: Path) -> None:
    path = tmp_path / "a.npz"
    np.savez(path, a=FRAMES, b=FRAMES)
    assert "under the key 'frames'; it holds a, b" in refusal(path)
    np.savez(path, a=np.arange(4))
    assert "no array of two" in refusal(path)
    np.savez(path, only=FRAMES, fps=np.array(["fast"]))
    assert len(images(path)) == 5
    np.savez(path, frames=np.array([[None, {}]], dtype=object))
    assert "object" in refusal(path)
    np.savez(path, frames=FRAMES.astype(complex))
    assert "IQ" in refusal(path)
    np.savez(path, frames=np.zeros((0, 4, 4), np.uint8))
    assert "no pixels" in refusal(path)
    np.savez(path, frames=np.zeros((1, 4, 4, 2), np.uint8))
    assert "2 channels" in refusal(path)
    np.savez(path, frames=np.zeros((1, 1, 4, 4, 3), np.uint8))
    assert "T×H×W" in refusal(path)
    np.savez(path, frames=np.asfortranarray(FRAMES))
    assert "column-major" in refusal(path)
    path.write_bytes(path.read_bytes()[:-200])
    refusal(path)
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("readme.txt", "hello")
    refusal(path)


def npy_header(shape: tuple[int, ...]) -> bytes:
    file = io.BytesIO()
    np.lib.format.write_array_header_1_0(file, {"descr": "|u1", "fortran_order": False, "shape": shape})
    return file.getvalue()


def test_declared_sizes_are_checked_before_memory_is_taken(tmp_path: Path) -> None:
    path = tmp_path / "a.npy"
    for shape in [(10_000, 10_000), (10**15, 4, 4), (1, 10**9, 10**9)]:
        path.write_bytes(npy_header(shape) + b"\0" * 64)
        assert "declares" in refusal(path)


def test_truncated_arrays_play_what_is_there(tmp_path: Path) -> None:
    path = tmp_path / "a.npy"
    np.save(path, FRAMES)
    path.write_bytes(path.read_bytes()[:-130])
    assert faults(path) == [False, False, False, True, True]
    path.write_bytes(path.read_bytes()[:90])
    refusal(path)


def test_damaged_zip_member_is_a_fault(tmp_path: Path) -> None:
    path = tmp_path / "a.npz"
    np.savez(path, frames=np.repeat(FRAMES, 60, 2))
    data = bytearray(path.read_bytes())
    data[-400] ^= 0xFF  # in the last frame: its checksum is met at the end
    path.write_bytes(data)
    assert faults(path)[:3] == [False] * 3 and faults(path)[-1]


# --- MetaImage and NRRD ---


def metaimage(
    path: Path, pixels: np.ndarray, kind: str, packed: bool = False, data: str = "LOCAL", **more: str
) -> Path:
    raw = zlib.compress(pixels.tobytes()) if packed else pixels.tobytes()
    fields = (
        {
            "ObjectType": "Image",
            "NDims": str(pixels.ndim),
            "BinaryData": "True",
            "BinaryDataByteOrderMSB": "False",
            "CompressedData": str(packed),
            "DimSize": " ".join(map(str, pixels.shape[::-1])),
            "ElementType": kind,
        }
        | more
        | {"ElementDataFile": data}
    )
    header = "".join(f"{key} = {value}\n" for key, value in fields.items()).encode()
    path.write_bytes(header + raw if data == "LOCAL" else header)
    if data != "LOCAL":
        (path.parent / data).write_bytes(raw)
    return path


@pytest.mark.parametrize("packed", [False, True])
@pytest.mark.parametrize("data", ["LOCAL", "a.raw"])
def test_metaimage(tmp_path: Path, packed: bool, data: str) -> None:
    path = metaimage(tmp_path / "a.mha", FRAMES, "MET_UCHAR", packed, data, ElementSpacing="0.1 0.2 1")
    np.testing.assert_array_equal(images(path), FRAMES)
    assert open_source(str(path)).spacing_mm == (0.2, 0.1)


def test_metaimage_types_and_dimensions(tmp_path: Path) -> None:
    path = tmp_path / "a.mhd"
    for dtype, kind in (("<i2", "MET_SHORT"), ("<f4", "MET_FLOAT"), (">f8", "MET_DOUBLE")):
        order = {"BinaryDataByteOrderMSB": str(dtype[0] == ">")}
        values = (FRAMES - 60.0).astype(dtype)
        expected = (values - float(values.min())) / np.ptp(values.astype(float))
        np.testing.assert_allclose(images(metaimage(path, values, kind, True, **order)), expected, atol=1e-6)
    deep = FRAMES.astype("<u2") * 200
    np.testing.assert_array_equal(images(metaimage(path, deep, "MET_USHORT")), deep)
    np.testing.assert_array_equal(images(metaimage(path, FRAMES[0], "MET_UCHAR")), FRAMES[:1])
    np.testing.assert_array_equal(images(metaimage(path, FRAMES[:, None], "MET_UCHAR")), FRAMES)
    colour = RNG.integers(0, 256, (2, 5, 4, 3), np.uint8)
    size = {"ElementNumberOfChannels": "3", "DimSize": "4 5 2", "NDims": "3"}
    np.testing.assert_array_equal(images(metaimage(path, colour, "MET_UCHAR", **size)), colour)
    path = metaimage(path, FRAMES, "MET_UCHAR", data="a.raw", HeaderSize="-1")
    (tmp_path / "a.raw").write_bytes(b"preamble" + FRAMES.tobytes())
    np.testing.assert_array_equal(images(path), FRAMES)


def test_metaimage_refusals(tmp_path: Path) -> None:
    outside = tmp_path / "secret.raw"
    outside.write_bytes(FRAMES.tobytes())
    folder = tmp_path / "in"
    folder.mkdir()
    for data in ("../secret.raw", str(outside)):
        path = metaimage(folder / "a.mhd", FRAMES, "MET_UCHAR")
        path.write_bytes(path.read_bytes().split(b"ElementDataFile")[0] + f"ElementDataFile = {data}\n".encode())
        assert "outside its own folder" in refusal(path)
    path.write_bytes(path.read_bytes().replace(str(outside).encode(), b"none.raw"))
    assert "not beside it" in refusal(path)
    for changes in (
        {"DimSize": "100000 100000"},
        {"DimSize": "4 4 99999999999"},
        {"DimSize": "0 4"},
        {"DimSize": "12"},
        {"DimSize": "x y"},
        {"ElementType": "MET_STRING"},
        {"ElementNumberOfChannels": "2"},
    ):
        refusal(metaimage(path, FRAMES, "MET_UCHAR", **changes))
    for text in (b"garbage", b"NDims = 3\n", b"ElementDataFile = LOCAL\n", b"\xff" * 100):
        path.write_bytes(text)
        refusal(path)


@pytest.mark.parametrize("packed", [False, True])
def test_truncated_metaimage_plays_what_is_there(tmp_path: Path, packed: bool) -> None:
    path = metaimage(tmp_path / "a.mha", FRAMES, "MET_UCHAR", packed)
    path.write_bytes(path.read_bytes()[:-150])
    bad = faults(path)
    assert len(bad) == 5 and bad == sorted(bad) and 1 <= sum(bad) <= 3


def test_inflating_a_bomb_takes_the_memory_of_a_frame(tmp_path: Path) -> None:
    """1 GB of zeros in 1 MB: read frame by frame, never at once."""
    import tracemalloc

    packer = zlib.compressobj(9)
    block = (
        packer.compress(bytes(1 << 24)) + b"".join(packer.compress(bytes(1 << 24)) for _ in range(3)) + packer.flush()
    )
    path = tmp_path / "a.mha"
    header = (
        "NDims = 3\nDimSize = 1024 1024 64\nElementType = MET_UCHAR\nCompressedData = True\nElementDataFile = LOCAL\n"
    )
    path.write_bytes(header.encode() + block)
    tracemalloc.start()
    try:
        assert len(list(islice(open_source(str(path)).frames(), 8))) == 8
        assert tracemalloc.get_traced_memory()[1] < 20e6
    finally:
        tracemalloc.stop()


def test_nrrd(tmp_path: Path) -> None:
    path = tmp_path / "a.nrrd"
    head = b"NRRD0004\n# a comment\ntype: unsigned char\ndimension: 3\nsizes: 10 12 5\n"
    path.write_bytes(head + b"encoding: gzip\nspacings: 0.1 0.2 1\n\n" + gzip.compress(FRAMES.tobytes()))
    np.testing.assert_array_equal(images(path), FRAMES)
    assert open_source(str(path)).spacing_mm == (0.2, 0.1)
    path.write_bytes(head + b"encoding: raw\n\n" + FRAMES.tobytes())
    np.testing.assert_array_equal(images(path), FRAMES)
    path.write_bytes(head + b"encoding: zrl\n\n")
    assert "zrl" in refusal(path)
    path.write_bytes(head + b"encoding: raw\ndata file: ../x.raw\n\n")
    assert "outside" in refusal(path)


@pytest.mark.parametrize("kinds", ["", "kinds: RGB-color domain domain list\n", "kinds: vector space space list\n"])
def test_colour_nrrd(tmp_path: Path, kinds: str) -> None:
    colour = RNG.integers(0, 256, (2, 6, 4, 3), np.uint8)
    head = f"NRRD0005\ntype: uchar\ndimension: 4\nsizes: 3 4 6 2\nencoding: raw\n{kinds}"
    path = tmp_path / "a.nrrd"
    path.write_bytes(f"{head}space directions: none (0.1,0,0) (0,0.2,0) none\n\n".encode() + colour.tobytes())
    np.testing.assert_array_equal(images(path), colour)
    assert open_source(str(path)).spacing_mm == pytest.approx((0.2, 0.1))


def test_nrrd_with_its_frames_first(tmp_path: Path) -> None:
    path = tmp_path / "slicer.seq.nrrd"
    head = b"NRRD0005\ntype: uchar\ndimension: 4\nsizes: 5 10 12 1\nkinds: list domain domain domain\n"
    path.write_bytes(head + b"encoding: raw\n\n" + FRAMES.tobytes())
    assert "frames on the first axis: save it with them on the last" in refusal(path)


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
