"""The shown frames as a DICOM object: Ultrasound Multi-frame, or Multi-frame Grayscale Byte Secondary Capture."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from os.path import expanduser
from pathlib import Path
from typing import IO

import numpy as np
from pydicom import Dataset, dcmread
from pydicom.dataset import FileMetaDataset
from pydicom.uid import (
    ExplicitVRLittleEndian,
    MultiFrameGrayscaleByteSecondaryCaptureImageStorage,
    UltrasoundMultiFrameImageStorage,
    generate_uid,
)

from edgerecon import __version__
from edgerecon.errors import SinkError, UsageError
from edgerecon.frame import Frame, Image, Status
from edgerecon.stream.sinks.base import StreamInfo
from edgerecon.stream.sinks.part import Part, written
from edgerecon.stream.sinks.spool import Spool
from edgerecon.stream.sources.query import refuse_unknown

_MOST_BYTES = (1 << 32) - 2  # the length of native pixel data has 32 bits
_DS_BYTES = 65_000  # the length of a decimal string element has 16
_CENTIMETRES = 3  # Physical Units, PS3.3 C.8.5.5.1.15
_KINDS = {
    "ultrasound": UltrasoundMultiFrameImageStorage,
    "secondary": MultiFrameGrayscaleByteSecondaryCaptureImageStorage,
}
_PATIENT = (
    "PatientName", "PatientID", "IssuerOfPatientID", "PatientBirthDate", "PatientSex", "PatientAge", "PatientSize",
    "PatientWeight", "StudyInstanceUID", "StudyID", "StudyDate", "StudyTime", "StudyDescription", "AccessionNumber",
    "ReferringPhysicianName", "InstitutionName",
)  # fmt: skip


class DicomSink:
    """MONOCHROME2, 8 bits, Explicit VR Little Endian, marked as a derived image, with UIDs of its own.

    Nothing of a patient is written unless it is asked for: then the new object goes into the study of its source.
    Frames wait in a ``Spool`` and are copied from it at the end. No file is left when no frame came.

    Args:
        query: ``kind``: ultrasound (the default) or secondary. ``source``: the DICOM file that is streamed, which the
            new object then refers to. ``patient=keep``: copy who and which study it is from the source.

    Raises:
        UsageError: an option that makes no sense. SinkError: the source cannot be read as DICOM.
    """

    def __init__(self, path: Path, query: Mapping[str, str]) -> None:
        refuse_unknown(query, ("kind", "source", "patient"), "a DICOM sink")
        kind, patient = query.get("kind", "ultrasound"), query.get("patient", "remove")
        if kind not in _KINDS or patient not in ("keep", "remove"):
            raise UsageError(f"{path.name}: kind is ultrasound or secondary, patient is keep or remove")
        if patient == "keep" and "source" not in query:
            raise UsageError(f"{path.name}: patient=keep wants the file they come from as well: source=IN.dcm")
        self.name = str(path)
        self._path, self._kind, self._keep = path, kind, patient == "keep"
        self._source = _header(Path(expanduser(query["source"]))) if "source" in query else None
        self._part: Part | None = None
        self._spool: Spool | None = None

    def open(self, info: StreamInfo) -> None:
        self._info, self._begun = info, datetime.now()
        self._sequences: list[int] = []
        self._raw: list[int] = []
        self._part = Part(self._path)
        self._spool = Spool(self._part)

    def present(self, before: Image, after: Frame, late: bool) -> None:
        assert self._spool is not None
        height, width = self._spool.shape or after.pixels.shape
        if (self._spool.count + 1) * height * width > _MOST_BYTES:
            raise SinkError(f"{self._path} is full: a DICOM object holds 4 GiB of pixels")
        self._spool.add(after.pixels)
        self._sequences.append(after.sequence)
        if after.status is Status.RAW:
            self._raw.append(len(self._sequences))

    def close(self) -> None:
        part, spool, self._part = self._part, self._spool, None
        if part is None:
            return
        try:
            if spool is not None:
                spool.close(multiple=2)
                if spool.shape is not None and spool.count:
                    with written(self._path), spool.path.open("rb") as pixels:
                        self._dataset(pixels, *spool.shape).save_as(part.temporary, enforce_file_format=True)
                    part.finish()
        finally:
            part.discard()
            if spool is not None:
                spool.discard()

    def _dataset(self, pixels: IO[bytes], height: int, width: int) -> Dataset:
        found = Dataset()
        found.file_meta = FileMetaDataset()
        found.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
        found.SOPClassUID = found.file_meta.MediaStorageSOPClassUID = _KINDS[self._kind]
        found.SOPInstanceUID = found.file_meta.MediaStorageSOPInstanceUID = generate_uid()
        found.SpecificCharacterSet = "ISO_IR 192"
        self._say_whose(found)
        self._say_how(found)
        _say_when(found, self._begun, self._sequences, self._info.period_s)
        found.Rows, found.Columns, found.NumberOfFrames = height, width, len(self._sequences)
        found.SamplesPerPixel, found.PhotometricInterpretation, found.PixelRepresentation = 1, "MONOCHROME2", 0
        found.BitsAllocated, found.BitsStored, found.HighBit = 8, 8, 7
        _say_where(found, self._kind, self._info.spacing_mm, height, width)
        found.add_new("PixelData", "OB", pixels)  # pydicom copies the open file, piece by piece
        return found

    def _say_whose(self, found: Dataset) -> None:
        for keyword in ("PatientName", "PatientID", "PatientBirthDate", "PatientSex", "StudyID", "StudyDate",
                        "StudyTime", "AccessionNumber", "ReferringPhysicianName"):  # fmt: skip
            setattr(found, keyword, "")  # type 2: there, and empty
        found.StudyInstanceUID, found.SeriesInstanceUID = generate_uid(), generate_uid()
        if self._keep and self._source is not None:
            for keyword in _PATIENT:
                if keyword in self._source:
                    setattr(found, keyword, self._source[keyword].value)
        else:
            found.PatientIdentityRemoved = "YES"
            found.DeidentificationMethod = "Written anew: nothing of the patient is copied"
        if self._source is not None and "SOPInstanceUID" in self._source:
            reference = Dataset()
            reference.ReferencedSOPClassUID = self._source.SOPClassUID
            reference.ReferencedSOPInstanceUID = self._source.SOPInstanceUID
            found.SourceImageSequence = [reference]

    def _say_how(self, found: Dataset) -> None:
        found.ImageType = ["DERIVED", "SECONDARY"]
        found.Modality, found.ConversionType = "US", "WSD"
        found.Manufacturer, found.ManufacturerModelName, found.SoftwareVersions = "edgerecon", "edgerecon", __version__
        found.SeriesNumber, found.InstanceNumber, found.PatientOrientation = "1", "1", ""
        found.BurnedInAnnotation = "YES"  # as far as we know: a scanner's screen may hold names
        found.LossyImageCompression = "00"
        if self._source is not None and self._source.get("LossyImageCompression") == "01":
            found.LossyImageCompression = "01"
        how = f"edgerecon {__version__}: {self._info.model} ({self._info.backend}, {self._info.precision})"
        found.DerivationDescription = f"{how}. For research; not for diagnosis."[:1024]
        if self._raw:
            shown = f"{len(self._raw)} of {len(self._sequences)} frames could not be processed and are as captured: "
            found.ImageComments = (shown + _ranges(self._raw))[:10_240]


def _say_when(found: Dataset, begun: datetime, sequences: list[int], period_s: float) -> None:
    """Frame Time, or the true steps where frames are missing and there is room for all of them."""
    found.ContentDate, found.ContentTime = begun.strftime("%Y%m%d"), begun.strftime("%H%M%S.%f")
    found.SeriesDate, found.SeriesTime = found.ContentDate, found.ContentTime
    found.FrameIncrementPointer = 0x00181063  # Frame Time
    found.FrameTime = f"{period_s * 1e3:.6g}"
    found.CineRate = max(1, round(1 / period_s))
    if len(sequences) < 2 or sequences[-1] - sequences[0] + 1 == len(sequences):
        return
    steps = [f"{step * period_s * 1e3:.6g}" for step in np.diff(sequences, prepend=sequences[0])]
    if sum(map(len, steps)) + len(steps) < _DS_BYTES:
        del found.FrameTime
        found.FrameIncrementPointer = 0x00181065  # Frame Time Vector
        found.FrameTimeVector = steps


def _say_where(found: Dataset, kind: str, spacing_mm: tuple[float, float] | None, height: int, width: int) -> None:
    if spacing_mm is None:
        return
    if kind == "secondary":
        found.PixelSpacing = [f"{step:.9g}" for step in spacing_mm]
        return
    region = Dataset()
    region.RegionSpatialFormat, region.RegionDataType, region.RegionFlags = 1, 1, 0  # two-dimensional, tissue
    region.RegionLocationMinX0, region.RegionLocationMinY0 = 0, 0
    region.RegionLocationMaxX1, region.RegionLocationMaxY1 = width - 1, height - 1
    region.PhysicalUnitsXDirection = region.PhysicalUnitsYDirection = _CENTIMETRES
    region.PhysicalDeltaX, region.PhysicalDeltaY = spacing_mm[1] / 10, spacing_mm[0] / 10
    found.SequenceOfUltrasoundRegions = [region]


def _header(path: Path) -> Dataset:
    try:
        header = dcmread(path, stop_before_pixels=True)
        header.get("PatientName"), header.get("SOPInstanceUID")
    except Exception as error:  # pydicom fails in many ways on damaged files
        reason = getattr(error, "strerror", None) or "it is not a DICOM file"
        raise SinkError(f"cannot refer to {path.name}: {reason}") from error
    return header


def _ranges(numbers: list[int]) -> str:
    """[3, 4, 5, 9] → "3-5, 9"."""
    found: list[list[int]] = []
    for number in numbers:
        if found and found[-1][1] == number - 1:
            found[-1][1] = number
        else:
            found.append([number, number])
    return ", ".join(f"{first}" if first == last else f"{first}-{last}" for first, last in found)
