"""A pixel spacing that no scanner has is said in the log and left out, whatever file states it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import h5py
import numpy as np
import pytest
import tifffile

from edgerecon.stream.sources import open_source
from tests.support.dicom_files import write as write_dicom

FRAMES = np.arange(3 * 8 * 10, dtype=np.uint8).reshape(3, 8, 10)


def npz(path: Path, spacing_mm: object) -> Path:
    np.savez(path, frames=FRAMES, spacing_mm=spacing_mm)
    return path


def hdf5(path: Path, spacing_mm: object) -> Path:
    with h5py.File(path, "w") as file:
        file["frames"], file.attrs["spacing_mm"] = FRAMES, spacing_mm
    return path


def metaimage(path: Path, spacing: str) -> Path:
    header = (
        f"NDims = 3\nDimSize = 10 8 3\nElementType = MET_UCHAR\nElementSpacing = {spacing}\nElementDataFile = LOCAL\n"
    )
    path.write_bytes(header.encode() + FRAMES.tobytes())
    return path


def nrrd(path: Path, spacings: str) -> Path:
    header = f"NRRD0004\ntype: uchar\ndimension: 3\nsizes: 10 8 3\nencoding: raw\nspacings: {spacings}\n\n"
    path.write_bytes(header.encode() + FRAMES.tobytes())
    return path


def tiff(path: Path, pixels_per_mm: float) -> Path:
    tifffile.imwrite(
        path, FRAMES, imagej=True, resolution=(pixels_per_mm, pixels_per_mm), metadata={"axes": "TYX", "unit": "mm"}
    )
    return path


NONSENSE: dict[str, Callable[[Path], Path]] = {
    "npz-zero": lambda at: npz(at / "a.npz", (0.0, 0.2)),
    "npz-negative": lambda at: npz(at / "a.npz", (0.2, -0.2)),
    "npz-nan": lambda at: npz(at / "a.npz", (np.nan, 0.2)),
    "npz-huge": lambda at: npz(at / "a.npz", (1e9, 1e9)),
    "npz-one-number": lambda at: npz(at / "a.npz", 0.2),
    "npz-three-numbers": lambda at: npz(at / "a.npz", (0.2, 0.2, 0.2)),
    "npz-text": lambda at: npz(at / "a.npz", "0.2 mm"),
    "hdf5-zero": lambda at: hdf5(at / "a.h5", (0.2, 0.0)),
    "hdf5-huge": lambda at: hdf5(at / "a.h5", (1e9, 0.2)),
    "hdf5-three-numbers": lambda at: hdf5(at / "a.h5", (0.2, 0.2, 0.2)),
    "hdf5-text": lambda at: hdf5(at / "a.h5", "0.2 mm"),
    "metaimage-zero": lambda at: metaimage(at / "a.mha", "0 0.2 1"),
    "metaimage-negative": lambda at: metaimage(at / "a.mha", "0.2 -0.2 1"),
    "metaimage-huge": lambda at: metaimage(at / "a.mha", "1e9 0.2 1"),
    "nrrd-zero": lambda at: nrrd(at / "a.nrrd", "0.2 0 1"),
    "nrrd-huge": lambda at: nrrd(at / "a.nrrd", "1e9 0.2 1"),
    "tiff-small": lambda at: tiff(at / "a.tif", 4e9),
    "dicom-zero": lambda at: write_dicom(at / "a.dcm", FRAMES, PixelSpacing=[0, 0.2]),
    "dicom-huge": lambda at: write_dicom(at / "a.dcm", FRAMES, PixelSpacing=["1e9", "1e9"]),
}


@pytest.mark.parametrize("name", NONSENSE)
def test_a_spacing_that_no_scanner_has_is_said_once(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, name: str
) -> None:
    path = NONSENSE[name](tmp_path)
    source = open_source(str(path))
    assert {capture.spacing_mm for capture in source.frames()} == {None} and source.spacing_mm is None
    said = [record.getMessage() for record in caplog.records if "pixels of" in record.getMessage()]
    assert len(said) == 1 and said[0].startswith(f"{path.name} states ") and said[0].endswith("ignored")


STATED: dict[str, tuple[Callable[[Path], Path], tuple[float, float] | None]] = {
    "npz": (lambda at: npz(at / "a.npz", (0.2, 0.3)), (0.2, 0.3)),
    "hdf5": (lambda at: hdf5(at / "a.h5", (0.2, 0.3)), (0.2, 0.3)),
    "metaimage": (lambda at: metaimage(at / "a.mha", "0.3 0.2 1"), (0.2, 0.3)),
    "metaimage-unset": (lambda at: metaimage(at / "a.mha", "1 1 1"), None),
    "nrrd": (lambda at: nrrd(at / "a.nrrd", "0.3 0.2 NaN"), (0.2, 0.3)),
    "nrrd-unknown": (lambda at: nrrd(at / "a.nrrd", "NaN NaN NaN"), None),
    "tiff": (lambda at: tiff(at / "a.tif", 5), (0.2, 0.2)),
    "dicom": (lambda at: write_dicom(at / "a.dcm", FRAMES, PixelSpacing=[0.2, 0.3]), (0.2, 0.3)),
    "dicom-none": (lambda at: write_dicom(at / "a.dcm", FRAMES), None),
}


@pytest.mark.parametrize("name", STATED)
def test_a_true_spacing_and_none_at_all_are_not_mentioned(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, name: str
) -> None:
    make, expected = STATED[name]
    found = open_source(str(make(tmp_path))).spacing_mm
    assert found is None if expected is None else found == pytest.approx(expected)
    assert "pixels of" not in caplog.text
