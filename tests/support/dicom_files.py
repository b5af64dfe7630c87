"""Small ultrasound DICOM files, made for a test."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import numpy as np
import pydicom
from PIL import Image as Pillow
from pydicom.encaps import encapsulate
from pydicom.uid import UID, ExplicitVRLittleEndian

from edgerecon.core.frame import RawImage
from edgerecon.stream.sources import open_source


def header(pixels: np.ndarray, **changes: Any) -> pydicom.Dataset:
    """Of (T, H, W) or (T, H, W, 3) pixels, without them."""
    found = pydicom.Dataset()
    found.file_meta = pydicom.dataset.FileMetaDataset()
    found.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    found.SOPClassUID = found.file_meta.MediaStorageSOPClassUID = "1.2.840.10008.5.1.4.1.1.3.1"
    found.SOPInstanceUID = found.file_meta.MediaStorageSOPInstanceUID = "1.2.3"
    found.Modality, found.NumberOfFrames = "US", len(pixels)
    found.Rows, found.Columns = pixels.shape[1:3]
    found.SamplesPerPixel = 3 if pixels.ndim == 4 else 1
    found.PhotometricInterpretation = "RGB" if pixels.ndim == 4 else "MONOCHROME2"
    if pixels.ndim == 4:
        found.PlanarConfiguration = 0
    found.BitsAllocated = found.BitsStored = 8 * pixels.dtype.itemsize
    found.PixelRepresentation = int(pixels.dtype.kind == "i")
    found.HighBit = found.BitsStored - 1
    for key, value in changes.items():
        setattr(found, key, value)
    if "HighBit" not in changes:
        found.HighBit = found.BitsStored - 1
    return found


def write(path: Path, pixels: np.ndarray, data: bytes | None = None, **changes: Any) -> Path:
    """A native file; ``data`` instead of the pixels' own bytes."""
    found = header(pixels, **changes)
    data = pixels.tobytes() if data is None else data
    found.add_new("PixelData", "OW" if found.BitsAllocated > 8 else "OB", data + b"\0" * (len(data) % 2))
    found.save_as(path, enforce_file_format=True)
    return path


def write_encapsulated(path: Path, pixels: np.ndarray, syntax: UID, frames: list[bytes], **changes: Any) -> Path:
    found = header(pixels, **changes)
    found.file_meta.TransferSyntaxUID = syntax
    found.add_new("PixelData", "OB", encapsulate(frames, fragments_per_frame=changes.get("fragments", 1)))
    found["PixelData"].is_undefined_length = True
    found.save_as(path, enforce_file_format=True)
    return path


def jpeg(frame: np.ndarray, mode: str | None = None, **options: Any) -> bytes:
    packed = io.BytesIO()
    Pillow.fromarray(frame, mode).save(packed, "JPEG", quality=95, **options)
    return packed.getvalue()


def read(path: Path, query: str = "") -> list[RawImage]:
    """Each frame; all can be read."""
    captures = list(open_source(f"{path}{query}").frames())
    assert [capture.fault for capture in captures if capture.fault] == []
    return [capture.image for capture in captures if capture.image is not None]


def faults(path: Path) -> list[str | None]:
    return [capture.fault for capture in open_source(str(path)).frames()]
