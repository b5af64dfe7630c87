"""The shown frames as a DICOM object: Ultrasound Multi-frame, or Multi-frame Grayscale Byte Secondary Capture."""

from __future__ import annotations

import os
from collections.abc import Mapping
from datetime import datetime
from os.path import expanduser
from pathlib import Path
from typing import IO, TYPE_CHECKING

import numpy as np

from edgerecon.core import __version__
from edgerecon.core.errors import SinkError, UsageError
from edgerecon.core.frame import Frame, Image
from edgerecon.stream.sinks.files.spool import Spool, SpooledSink
from edgerecon.stream.sinks.files.stamps import Stamps
from edgerecon.stream.sinks.kind import SinkKind

if TYPE_CHECKING:
    from pydicom import Dataset

_MOST_BYTES = (1 << 32) - 2  # the length of native pixel data has 32 bits
_EXPLICIT_BYTES = (1 << 16) - 2  # the length of a decimal string has 16, where its type is explicit
_TICKS_A_MS = 10_000
"""Steps are whole numbers of them, so that they add up to the true times however many there are."""

_CENTIMETRES = 3  # Physical Units, PS3.3 C.8.5.5.1.15
_KINDS = {
    "ultrasound": "1.2.840.10008.5.1.4.1.1.3.1",  # Ultrasound Multi-frame Image Storage
    "secondary": "1.2.840.10008.5.1.4.1.1.7.2",  # Multi-frame Grayscale Byte Secondary Capture Image Storage
}
"""SOP classes, PS3.4 annex B.5. pydicom is imported when one is written: it takes longer than all other sinks."""
_COLOURED = _KINDS | {"secondary": "1.2.840.10008.5.1.4.1.1.7.4"}  # Multi-frame True Color Secondary Capture
"""Those of frames in colour."""

_PATIENT = (
    "PatientName",
    "PatientID",
    "IssuerOfPatientID",
    "PatientBirthDate",
    "PatientSex",
    "PatientAge",
    "PatientSize",
    "PatientWeight",
    "StudyInstanceUID",
    "StudyID",
    "StudyDate",
    "StudyTime",
    "StudyDescription",
    "AccessionNumber",
    "ReferringPhysicianName",
    "InstitutionName",
)


class DicomSink(SpooledSink):
    """MONOCHROME2, or RGB where the first frame has colour; 8 bits, little endian, marked as a derived image.

    It has UIDs of its own. Types of elements are explicit, but for recordings of uneven steps that are too many for it
    (some 9 000).

    Nothing of a patient is written unless it is asked for: then the new object goes into the study of its source.

    Args:
        query: ``kind``: ultrasound (the default) or secondary. ``source``: the DICOM file that is streamed, which the
            new object then refers to. ``patient=keep``: copy who and which study it is from the source.

    Raises:
        UsageError: an option that makes no sense. SinkError: the source cannot be read as DICOM.
    """

    def __init__(self, path: Path, query: Mapping[str, str]) -> None:
        kind, patient = query.get("kind", "ultrasound"), query.get("patient", "remove")
        if kind not in _KINDS or patient not in ("keep", "remove"):
            raise UsageError(f"{path.name}: kind is ultrasound or secondary, patient is keep or remove")
        if patient == "keep" and "source" not in query:
            raise UsageError(f"{path.name}: patient=keep wants the file they come from as well: source=IN.dcm")
        super().__init__(path, query)
        self._kind, self._keep = kind, patient == "keep"
        self.refers_to = Path(expanduser(query["source"])) if "source" in query else None
        self._source = _header(self.refers_to) if self.refers_to else None

    def _write(self, before: Image, after: Frame, late: bool) -> None:
        height, width = self.shape or after.pixels.shape
        if (self.count + 1) * height * width * self.samples > _MOST_BYTES:
            raise SinkError(f"{self.path} is full: a DICOM object holds 4 GiB of pixels")
        super()._write(before, after, late)

    def pack(self, spool: Spool, to: IO[bytes]) -> None:
        size = len(spool.stamps) * spool.shape[0] * spool.shape[1] * spool.samples
        os.truncate(spool.path, size + size % 2)  # an even length
        with spool.path.open("rb") as pixels:
            self._dataset(spool, pixels).save_as(to, enforce_file_format=True)

    def _dataset(self, spool: Spool, pixels: IO[bytes]) -> Dataset:
        from pydicom import Dataset
        from pydicom.dataset import FileMetaDataset
        from pydicom.uid import UID, ExplicitVRLittleEndian, generate_uid

        found, kinds = Dataset(), _COLOURED if spool.coloured else _KINDS
        found.file_meta = FileMetaDataset()
        found.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
        found.SOPClassUID = found.file_meta.MediaStorageSOPClassUID = UID(kinds[self._kind])
        found.SOPInstanceUID = found.file_meta.MediaStorageSOPInstanceUID = generate_uid()
        found.SpecificCharacterSet = "ISO_IR 192"
        self._set_patient(found)
        self._set_derivation(found, spool)
        if self._kind == "ultrasound" or len(spool.stamps) > 1:  # a secondary capture of one frame has no cine
            _set_frame_times(found, spool.stamps)
        if self._kind == "secondary":
            found.ConversionType = "WSD"
        if self._kind == "secondary" and not spool.coloured:
            found.PresentationLUTShape = "IDENTITY"
            found.RescaleSlope, found.RescaleIntercept, found.RescaleType = "1", "0", "US"  # unspecified
        found.Rows, found.Columns = spool.shape
        found.NumberOfFrames = len(spool.stamps)
        found.SamplesPerPixel, found.PixelRepresentation = spool.samples, 0
        found.PhotometricInterpretation = "RGB" if spool.coloured else "MONOCHROME2"
        if spool.coloured:
            found.PlanarConfiguration = 0
            if self._kind == "ultrasound":
                found.UltrasoundColorDataPresent = 1
        found.BitsAllocated, found.BitsStored, found.HighBit = 8, 8, 7
        _set_pixel_spacing(found, self._kind, spool)
        found.add_new("PixelData", "OB", pixels)  # pydicom copies the open file, piece by piece
        return found

    def _set_patient(self, found: Dataset) -> None:
        from pydicom import Dataset
        from pydicom.uid import generate_uid

        for keyword in (
            "PatientName",
            "PatientID",
            "PatientBirthDate",
            "PatientSex",
            "StudyID",
            "StudyDate",
            "StudyTime",
            "AccessionNumber",
            "ReferringPhysicianName",
        ):
            setattr(found, keyword, "")  # type 2: there, and empty
        found.StudyInstanceUID, found.SeriesInstanceUID = generate_uid(), generate_uid()
        if self._keep and self._source is not None:
            for keyword in _PATIENT:
                if keyword in self._source:
                    setattr(found, keyword, self._source[keyword].value)
        # A scanner's screen may hold names in its pixels, unless the file says that it does not.
        clean = self._source is not None and self._source.get("BurnedInAnnotation") == "NO"
        found.BurnedInAnnotation = "NO" if clean else "YES"
        found.PatientIdentityRemoved = "YES" if clean and not self._keep else "NO"
        if found.PatientIdentityRemoved == "YES":
            found.DeidentificationMethod = "Written anew: nothing of the patient is copied"
        if self._source is not None and "SOPInstanceUID" in self._source and "SOPClassUID" in self._source:
            reference = Dataset()
            reference.ReferencedSOPClassUID = self._source.SOPClassUID
            reference.ReferencedSOPInstanceUID = self._source.SOPInstanceUID
            found.SourceImageSequence = [reference]

    def _set_derivation(self, found: Dataset, spool: Spool) -> None:
        info, source = spool.info, self._source
        found.ImageType = ["DERIVED", "SECONDARY"]
        found.Modality, found.Laterality = "US", ""
        found.Manufacturer, found.ManufacturerModelName, found.SoftwareVersions = "edgerecon", "edgerecon", __version__
        began = datetime.fromisoformat(spool.began)
        found.ContentDate, found.ContentTime = began.strftime("%Y%m%d"), began.strftime("%H%M%S.%f")
        found.SeriesDate, found.SeriesTime = found.ContentDate, found.ContentTime
        found.SeriesNumber, found.InstanceNumber, found.PatientOrientation = "1", "1", ""
        found.LossyImageCompression = "00"
        if source is not None and source.get("LossyImageCompression") == "01":
            for keyword in ("LossyImageCompression", "LossyImageCompressionRatio", "LossyImageCompressionMethod"):
                if keyword in source:
                    setattr(found, keyword, source[keyword].value)
        elif info.lossy is not None:
            found.LossyImageCompression = "01"
            if info.lossy:
                found.LossyImageCompressionMethod = info.lossy
        how = f"edgerecon {__version__}: {info.model} ({info.backend}, {info.precision})"
        found.DerivationDescription = f"{how}. For research; not for diagnosis."[:1024]
        if raw := spool.stamps.raw:
            shown = f"{len(raw)} of {len(spool.stamps)} frames could not be processed and are as captured: "
            found.ImageComments = (shown + _ranges(raw))[:10_240]


def _set_frame_times(found: Dataset, stamps: Stamps) -> None:
    """Frame Time, or the true steps where they differ.

    Where a decimal string cannot hold all of them, the file becomes Implicit VR Little Endian, whose lengths have 32
    bits (PS3.5 annex A.1 and 7.1.3).
    """
    from pydicom.uid import ImplicitVRLittleEndian

    found.FrameIncrementPointer = 0x00181063  # Frame Time
    found.FrameTime = f"{stamps.period_s * 1e3:.6g}"
    found.CineRate = max(1, round(1 / stamps.period_s))
    steps = np.diff(stamps.seconds, prepend=0.0)
    if np.allclose(steps[1:], stamps.period_s, rtol=1e-5):
        return
    ticks = np.diff(np.rint(stamps.seconds * (1e3 * _TICKS_A_MS)), prepend=0.0)
    texts = [f"{step:.12g}" for step in ticks / _TICKS_A_MS]
    del found.FrameTime
    found.FrameIncrementPointer = 0x00181065  # Frame Time Vector
    found.FrameTimeVector = texts
    if sum(map(len, texts)) + len(texts) > _EXPLICIT_BYTES:
        found.file_meta.TransferSyntaxUID = ImplicitVRLittleEndian


def _set_pixel_spacing(found: Dataset, kind: str, spool: Spool) -> None:
    from pydicom import Dataset

    (height, width), spacing_mm = spool.shape, spool.stamps.spacing_mm
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
    from pydicom import dcmread

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


SINK = SinkKind(
    name="DICOM",
    title="a DICOM sink",
    endings=(".dcm",),
    options=("kind", "source", "patient"),
    open=lambda place, query: DicomSink(Path(place), query),
)
