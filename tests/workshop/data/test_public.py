"""Small files in the formats of public sets, written here byte by byte or by the formats' own libraries."""

from __future__ import annotations

import gzip
import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import h5py
import numpy as np
import pytest
from pydicom.dataset import FileDataset, FileMetaDataset
from pydicom.uid import CTImageStorage, ExplicitVRLittleEndian, generate_uid

from edgerecon.core.errors import DataError
from edgerecon.workshop.data.public import Entry, PublicSet, Subject, open_public, split_by_subject
from edgerecon.workshop.data.public.fastmri import reconstruct

RNG = np.random.default_rng(5)
IMAGE = RNG.integers(0, 256, (20, 30), np.uint8)


def busi(root: Path) -> Path:
    for label in ("benign", "malignant", "normal"):
        (root / label).mkdir(parents=True)
        for number in (1, 2, 10):
            name = f"{root}/{label}/{label} ({number})"
            cv2.imwrite(f"{name}.png", np.stack([IMAGE + number] * 3, 2))
            mask = np.zeros((20, 30), np.uint8)
            mask[5:9, 5:9] = 255 * (label != "normal")
            cv2.imwrite(f"{name}_mask.png", mask)
    second = np.zeros((20, 30), np.uint8)
    second[15:18, 20:25] = 255
    cv2.imwrite(f"{root}/benign/benign (2)_mask_1.png", second)
    return root


def test_busi(tmp_path: Path) -> None:
    found = open_public(busi(tmp_path / "Dataset_BUSI_with_GT").parent)
    assert (found.kind, len(found), len(found.patients)) == ("BUSI", 9, 9)
    subjects = {subject.name: subject for subject in found}
    assert list(subjects)[:3] == ["benign (1)", "benign (2)", "benign (10)"]
    np.testing.assert_array_equal(subjects["malignant (10)"].images, (IMAGE + 10)[None])
    assert subjects["malignant (10)"].label == "malignant"
    assert [int(subjects[name].mask.sum()) for name in ("benign (1)", "benign (2)", "normal (1)")] == [16, 31, 0]


def mhd(path: Path, images: np.ndarray) -> None:
    sizes = " ".join(map(str, reversed(images.shape)))
    path.write_text(
        f"NDims = {images.ndim}\nDimSize = {sizes}\nElementType = MET_UCHAR\nElementDataFile = {path.stem}.raw\n"
    )
    path.with_suffix(".raw").write_bytes(images.tobytes())


def nifti(path: Path, images: np.ndarray, code: int, letter: str = "<", slope: float = 0.0) -> None:
    sizes = [images.ndim, *reversed(images.shape), *([1] * (7 - images.ndim))]
    header = bytearray(348)
    struct.pack_into(f"{letter}i", header, 0, 348)
    struct.pack_into(f"{letter}8h", header, 40, *sizes)
    struct.pack_into(f"{letter}2h", header, 70, code, 8 * images.itemsize)
    struct.pack_into(f"{letter}3f", header, 108, 352.0, slope, 0.0)
    header[344:348] = b"n+1\0"
    content = bytes(header) + b"\0" * 4 + images.astype(images.dtype.newbyteorder(letter)).tobytes()
    path.write_bytes(gzip.compress(content) if path.suffix == ".gz" else content)


def test_camus_in_both_layouts(tmp_path: Path) -> None:
    sequence, mask = RNG.integers(0, 256, (4, 20, 30), np.uint8), np.uint8(IMAGE > 128) * 2
    for patient in ("patient0001", "patient0002"):
        for layout in ("training", "nifti"):
            (tmp_path / layout / patient).mkdir(parents=True)
        old, new = f"{tmp_path}/training/{patient}/{patient}_2CH", f"{tmp_path}/nifti/{patient}/{patient}_2CH"
        mhd(Path(f"{old}_ED.mhd"), IMAGE[None])
        mhd(Path(f"{old}_ED_gt.mhd"), mask[None])
        mhd(Path(f"{old}_sequence.mhd"), sequence)
        nifti(Path(f"{new}_ED.nii.gz"), IMAGE, 2)
        nifti(Path(f"{new}_ED_gt.nii.gz"), mask, 2)
        nifti(Path(f"{new}_half_sequence.nii.gz"), sequence.astype(np.int16) - 100, 4, ">", 2.0)
    for layout in ("training", "nifti"):
        found = open_public(tmp_path / layout)
        assert (found.kind, found.patients) == ("CAMUS", ["patient0001", "patient0002"])
        still, moving = list(found)[:2]
        np.testing.assert_array_equal(still.images, IMAGE[None])
        np.testing.assert_array_equal(still.mask, mask[None])
        assert still.label == "2CH ED" and moving.images.shape == (4, 20, 30) and moving.mask is None
    expected = (sequence - sequence.min()) / np.float32(np.ptp(sequence))
    np.testing.assert_allclose(moving.images, expected, atol=1e-6)
    training, rest = split_by_subject(found, 0.5)
    assert (training.patients, rest.patients, len(rest)) == (["patient0001"], ["patient0002"], 2)


def fastmri(path: Path, coils: int = 0, target: bool = True, patient: str = "p") -> np.ndarray:
    """A volume whose k-space is the centred transform of what is returned."""
    image = np.stack([cv2.GaussianBlur(RNG.random((368, 340), dtype=np.float32), (5, 5), 0) for _ in range(3)])
    kspace = np.fft.fftshift(np.fft.fft2(np.fft.ifftshift(image, axes=(1, 2)), norm="ortho"), axes=(1, 2))
    with h5py.File(path, "w") as file:
        weights = np.array([0.6, 0.8])[None, :, None, None]
        file["kspace"] = (weights * kspace[:, None] if coils else kspace).astype(np.complex64)
        if target:
            file["reconstruction_esc"] = image[:, 24:344, 10:330]
        file.attrs.update({"acquisition": "CORPD_FBK", "patient_id": patient, "max": float(image.max())})
    return image[:, 24:344, 10:330]


def test_fastmri(tmp_path: Path) -> None:
    images = [fastmri(tmp_path / "file1.h5"), fastmri(tmp_path / "file2.h5", coils=2, target=False)]
    fastmri(tmp_path / "file3.h5", patient="q")
    found = open_public(tmp_path)
    assert (found.kind, len(found), len(found.patients)) == ("fastMRI", 3, 2)
    for subject, image in zip(found, images, strict=False):
        np.testing.assert_allclose(subject.images, image / image.max(), atol=2e-6)
        assert subject.label == "CORPD_FBK" and subject.images.max() == 1
        assert subject.kspace is not None and subject.kspace.shape[2:] == (368, 340)
        np.testing.assert_allclose(reconstruct(subject.kspace), image, atol=2e-6)


def dicom(path: Path, patient: str, at: float, pixels: np.ndarray, series: str, modality: str = "CT") -> None:
    meta = FileMetaDataset()
    meta.TransferSyntaxUID, meta.MediaStorageSOPClassUID = ExplicitVRLittleEndian, CTImageStorage
    meta.MediaStorageSOPInstanceUID = generate_uid()
    one = FileDataset(path, {}, file_meta=meta, preamble=b"\0" * 128)
    one.PatientID, one.PatientName, one.Modality, one.SeriesInstanceUID = patient, "Doe^Jane", modality, series
    one.SOPInstanceUID, one.SOPClassUID = meta.MediaStorageSOPInstanceUID, CTImageStorage
    one.ImagePositionPatient, one.ImageOrientationPatient = [0, 0, at], [1, 0, 0, 0, 1, 0]
    one.Rows, one.Columns = pixels.shape
    one.SamplesPerPixel, one.PhotometricInterpretation, one.PixelRepresentation = 1, "MONOCHROME2", 0
    one.BitsAllocated = one.BitsStored = 16
    one.HighBit, one.RescaleSlope, one.RescaleIntercept = 15, 1, -1024
    one.PixelData = pixels.astype("<u2").tobytes()
    one.save_as(path, enforce_file_format=True)


def test_dicom_series(tmp_path: Path) -> None:
    volume = RNG.integers(0, 4096, (3, 12, 16))
    for order, at in ((0, 2), (1, 0), (2, 1)):  # the files' names are in another order than the slices
        dicom(tmp_path / f"{order}.dcm", "Jane", at, volume[at], "1.2.3")
    dicom(tmp_path / "other", "Jane", 0, volume[0] // 2, "1.2.4", "MR")
    dicom(tmp_path / "third.dcm", "John", 0, volume[0], "1.2.5")
    found = open_public(tmp_path)
    assert (found.kind, len(found), len(found.patients)) == ("DICOM", 3, 2)
    tomogram, magnetic, _ = found
    np.testing.assert_allclose(tomogram.images, volume / 4095, atol=1e-6)
    assert (magnetic.images.min(), magnetic.images.max(), magnetic.label) == (0, 1, "MR")
    assert "Jane" not in tomogram.name + tomogram.patient and tomogram.patient == magnetic.patient
    dicom(tmp_path / "4.dcm", "Jane", 3, volume[0, :10], "1.2.3")
    with pytest.raises(DataError, match="slices of different size or depth: 10×16, 12×16"):
        list(open_public(tmp_path))


def test_an_ultrasound_cine_is_read_as_it_is_shown(echo_cine: Path) -> None:
    (subject,) = open_public(echo_cine)
    assert subject.images.shape == (30, 240, 320) and subject.images.dtype == np.uint8 and subject.label == "US"


def uff(path: Path, scatterers: list[tuple[float, float]], iq: bool = False) -> None:
    """Echoes of points at 5 MHz, each a Gaussian pulse where theory puts it: τ = (x sin θ + z cos θ + r) / c."""
    from pyuff_ustb import ChannelData, LinearArray, Point, Wave, Wavefront

    rate, carrier, speed, start = 30e6, 5e6, 1540.0, 4e-6
    probe = LinearArray(N=64, pitch=0.3e-3, element_width=0.27e-3, element_height=5e-3)
    elements = (np.arange(64) - 31.5) * 0.3e-3
    time = start + np.arange(900)[:, None] / rate
    angles, data = np.radians([-8, 0, 8]), np.zeros((900, 64, 3, 1), np.complex64 if iq else np.float32)
    for at, angle in enumerate(angles):
        for x, z in scatterers:
            late = time - (x * np.sin(angle) + z * np.cos(angle) + np.hypot(elements - x, z)) / speed
            echo = np.exp(-((late * 3e6) ** 2)) * np.exp(2j * np.pi * carrier * late)
            data[:, :, at, 0] += echo * np.exp(-2j * np.pi * carrier * time) if iq else echo.real
    waves = [
        Wave(
            wavefront=Wavefront.plane,
            source=Point(distance=np.inf, azimuth=a, elevation=0.0),
            delay=0.0,
            origin=Point(distance=0.0, azimuth=0.0, elevation=0.0),
            sound_speed=speed,
        )
        for a in angles
    ]
    found = ChannelData(
        sampling_frequency=rate,
        initial_time=start,
        sound_speed=speed,
        sequence=waves,
        probe=probe,
        modulation_frequency=carrier * iq,
        data=data,
    )
    found.write(str(path), "channel_data", ignore_missing_compulsory_fields=True)


@pytest.mark.parametrize("iq", [False, True])
def test_picmus_channel_data_are_beamformed(tmp_path: Path, iq: bool) -> None:
    pytest.importorskip("pyuff_ustb")
    points = [(0.0, 12e-3), (5e-3, 16e-3)]
    uff(tmp_path / "points.uff", points, iq)
    (subject,) = found = open_public(tmp_path)
    assert found.kind == "PICMUS" and subject.images.shape[2] == 384 and subject.images.max() == 1
    spacing = 63 * 0.3e-3 / 383
    for x, z in points:
        row, column = round((z - 0.2 * (4e-6 + 900 / 30e6) * 770) / spacing), round(x / spacing + 191.5)
        if 5e-3 < 0.2 * (4e-6 + 900 / 30e6) * 770:
            row = round((z - 5e-3) / spacing)
        near = subject.images[0, row - 25 : row + 26, column - 25 : column + 26]
        peak = np.unravel_index(near.argmax(), near.shape)
        assert np.abs(np.array(peak) - 25).max() <= 2 and near.max() > 0.9
    away = subject.images[0, row - 100 : row - 60, column - 25 : column + 26]
    assert away.max() < 0.5, "30 dB below the points"


def test_beamformed_data_of_a_uff_file(tmp_path: Path) -> None:
    pyuff = pytest.importorskip("pyuff_ustb")
    image = RNG.random((40, 30)) + 0.01
    scan = pyuff.LinearScan(x_axis=np.linspace(-1, 1, 30), z_axis=np.linspace(0, 2, 40))
    data = pyuff.BeamformedData(scan=scan, data=image.T.reshape(-1, 1, 1, 1).astype(complex))
    data.write(str(tmp_path / "a.uff"), "b_data", ignore_missing_compulsory_fields=True)
    (subject,) = open_public(tmp_path / "a.uff")
    expected = np.clip(1 + 20 * np.log10(image / image.max()) / 60, 0, 1)
    np.testing.assert_allclose(subject.images[0], expected, atol=1e-5)


def _truncate(path: Path) -> None:
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def _spoil_kspace(path: Path) -> None:
    with h5py.File(path, "a") as file:
        del file["kspace"]
        file["kspace"] = np.zeros((2, 2), np.complex64)


def _small_mask(path: Path) -> None:
    cv2.imwrite(str(path).replace(".png", "_mask.png"), np.zeros((5, 5), np.uint8))


@pytest.mark.parametrize(
    ("make", "file", "harm", "says"),
    [
        (busi, "benign/benign (1).png", _truncate, r"cannot read .*benign \(1\)\.png"),
        (busi, "benign/benign (1).png", _small_mask, "is 5×5, its picture is 20×30"),
        (lambda root: fastmri(root / "a.h5"), "a.h5", _truncate, r"cannot read .*a\.h5.*copy it again"),
        (lambda root: fastmri(root / "a.h5"), "a.h5", _spoil_kspace, "k-space is of shape"),
        (lambda root: uff(root / "a.uff", [(0, 12e-3)]), "a.uff", _truncate, r"cannot read .*a\.uff"),
        (lambda root: mhd(root / "patient0001_2CH_ED.mhd", IMAGE), "patient0001_2CH_ED.raw", _truncate, "truncated"),
        (lambda root: mhd(root / "patient0001_2CH_ED.mhd", IMAGE), "patient0001_2CH_ED.raw", Path.unlink, "not beside"),
        (
            lambda root: nifti(root / "patient0001_2CH_ED.nii", IMAGE, 2),
            "patient0001_2CH_ED.nii",
            _truncate,
            "truncated",
        ),
        (
            lambda root: nifti(root / "patient0001_2CH_ED.nii.gz", IMAGE, 2),
            "patient0001_2CH_ED.nii.gz",
            _truncate,
            "cannot read",
        ),
        (
            lambda root: nifti(root / "patient0001_2CH_ED.nii", IMAGE, 128),
            "patient0001_2CH_ED.nii",
            lambda path: None,
            "type 128",
        ),
        (lambda root: dicom(root / "a.dcm", "x", 0, IMAGE, "1.2"), "a.dcm", _truncate, "cannot read"),
    ],
)
def test_damaged_files(
    tmp_path: Path, make: Callable[[Path], Any], file: str, harm: Callable[[Path], None], says: str
) -> None:
    if file.endswith(".uff"):
        pytest.importorskip("pyuff_ustb")
    make(tmp_path)
    harm(tmp_path / file)
    with pytest.raises(DataError, match=says) as caught:
        list(open_public(tmp_path))
    assert "\n" not in str(caught.value)


def test_layouts_that_are_not_known(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="does not exist"):
        open_public(tmp_path / "absent")
    (tmp_path / "notes.txt").write_text("hello")
    with h5py.File(tmp_path / "pairs.h5", "w") as file:
        file.attrs["format"] = "edgerecon-pairs/1"
    with pytest.raises(DataError, match="layout that is not known: give PICMUS, CAMUS, BUSI, fastMRI, DICOM"):
        open_public(tmp_path)


def test_subjects_are_checked_and_split() -> None:
    def subject(images: np.ndarray, mask: np.ndarray | None = None) -> PublicSet:
        return PublicSet("x", (Entry("a", "a", lambda: Subject("a", "a", images, mask)),))

    for images, mask, says in (
        (np.zeros((2, 3), np.uint8), None, "no images"),
        (np.zeros((1, 2, 2)), None, "float64"),
        (np.full((1, 2, 2), np.nan, np.float32), None, "NaN"),
        (np.zeros((1, 2, 2), np.uint8), np.zeros((1, 3, 2), np.uint8), "its mask is"),
    ):
        with pytest.raises(DataError, match=says):
            list(subject(images, mask))
    with pytest.raises(DataError, match="1 patients are too few"):
        split_by_subject(subject(IMAGE[None]), 0.2)
    many = PublicSet("x", tuple(Entry(str(i), f"p{i // 3}", lambda: Subject("", "", IMAGE[None])) for i in range(60)))
    training, rest = split_by_subject(many, 0.2)
    assert len(rest) == 12 and len(training) == 48 and not set(training.patients) & set(rest.patients)
