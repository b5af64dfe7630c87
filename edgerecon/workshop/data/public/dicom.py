"""Folders of DICOM files (CT, MR, ultrasound): a subject is a series.

Slices are ordered along the normal of their plane, else by instance number. CT is in Hounsfield units from −1024 at 0
to 3071 at 1; other series by their own lowest and highest value; ultrasound as it was shown. Of the patient nothing is
kept but a code by which series of the same one are told.
"""

from __future__ import annotations

import hashlib
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edgerecon.core.errors import DataError, SourceError
from edgerecon.core.frame import to_gray
from edgerecon.workshop.data.public.subject import Entry, Subject, natural, reading, to_range

HOUNSFIELD = (-1024.0, 3071.0)
"""What 12 bits hold of the scale."""


_ORDERING = ("PatientID", "SeriesInstanceUID", "InstanceNumber", "ImagePositionPatient", "ImageOrientationPatient")
_SUBJECT_AT_MOST = 2 << 30  # bytes: 2 048 slices of 512×512


def find(path: Path) -> list[Entry]:
    """Series among the DICOM files (by their preamble) of a folder and those below, or of one file."""
    from edgerecon.stream.sources.files.dicom.stored_frames import header_of

    files = [path] if path.is_file() else sorted((file for file in path.rglob("*") if file.is_file()), key=natural)
    series: dict[tuple[str, str], list[tuple[list[float], Path]]] = {}
    for file in filter(_is_dicom, files):
        with reading(file):
            header = header_of(file, _ORDERING)
            if "Rows" in header:  # reports and directories have none
                key = _code(header.get("PatientID")), str(header.get("SeriesInstanceUID") or file)
                series.setdefault(key, []).append((_order(header), file))
    return [
        Entry(f"{patient}-{at}", patient, partial(_read, f"{patient}-{at}", patient, [f for _, f in sorted(slices)]))
        for at, ((patient, _), slices) in enumerate(series.items())
    ]


def _is_dicom(file: Path) -> bool:
    with reading(file), file.open("rb") as opened:
        return opened.read(132)[128:] == b"DICM"


def _code(patient: Any) -> str:
    return f"patient-{hashlib.sha256(str(patient or '').encode()).hexdigest()[:8]}"


def _order(header: Any) -> list[float]:
    """Along the normal of the slice, then by number."""
    number = float(header.get("InstanceNumber") or 0)
    position, axes = header.get("ImagePositionPatient"), header.get("ImageOrientationPatient")
    if position is None or axes is None:
        return [0.0, number]
    normal = np.cross(np.array(axes[:3], float), np.array(axes[3:], float))
    return [float(normal @ np.array(position, float)), number]


def _read(name: str, patient: str, files: list[Path]) -> Subject:
    slices, left = [], _SUBJECT_AT_MOST
    for file in files:
        with reading(file):
            slices.append(_pixels(file, left))
        left -= slices[-1][0].nbytes
    if len({(one.shape[1:], one.dtype) for one, _ in slices}) > 1:
        sizes = sorted({f"{one.shape[1]}×{one.shape[2]}" for one, _ in slices})
        raise DataError(f"{name} ({files[0].parent}) has slices of different size or depth: {', '.join(sizes)}")
    values, modality = np.concatenate([one for one, _ in slices]), slices[0][1]
    if modality == "CT":
        values = to_range(values, *HOUNSFIELD)
    elif values.dtype != np.uint8:
        values = to_range(values, float(values.min()), float(values.max()))
    return Subject(name, patient, values, None, modality or None)


def _pixels(file: Path, at_most: int) -> tuple[NDArray[Any], str]:
    """Frames (N, H, W) of one file, uint8 as shown or float32 in the scanner's units, and its modality."""
    from edgerecon.stream.sources.files.dicom.display import modality_values
    from edgerecon.stream.sources.files.dicom.header import MODALITIES
    from edgerecon.stream.sources.files.dicom.source import DicomSource
    from edgerecon.stream.sources.files.dicom.stored_frames import StoredFrames

    stored = StoredFrames(file, str(file), any_modality=True)
    header, modality = stored.header, str(stored.header.get("Modality") or "")
    size = 4 * stored.length * int(header.Rows) * int(header.Columns)
    if size > at_most:
        raise DataError(f"{file} belongs to a series of more than {_SUBJECT_AT_MOST >> 30} GB: split it")
    if modality in MODALITIES:
        frames = [capture.image for capture in DicomSource(file).frames()]
        if any(frame is None for frame in frames):
            raise DataError(f"{file} holds frames that cannot be decoded")
        return np.stack([to_gray(frame) for frame in frames if frame is not None]), modality
    color = str(header.PhotometricInterpretation)
    if not color.startswith("MONOCHROME"):
        raise DataError(f"{file} is in colour: series of {modality or 'unknown modality'} are read in grey")
    try:
        with stored.opened() as read:
            values = np.stack([modality_values(header, read(index), index) for index in range(stored.length)])
    except SourceError as error:
        raise DataError(f"cannot read {file}: {error}") from None
    return -values if color == "MONOCHROME1" and modality != "CT" else values, modality
