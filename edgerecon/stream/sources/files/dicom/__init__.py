"""Ultrasound DICOM: header, timing, regions, where the frames lie, how they are decoded and how they are shown.

A frame passes ``pixel_data`` (its bytes) → ``decode`` → ``stored_frames`` (its stored values) → ``display`` (as shown).
"""

from __future__ import annotations

from pathlib import Path

from edgerecon.stream.sources.base import Source
from edgerecon.stream.sources.kind import SourceKind
from edgerecon.stream.sources.query import Query

SAMPLE = "sample"
"""The echocardiography cine that ships inside pydicom."""


def _open(place: str, query: Query) -> Source:
    from edgerecon.stream.sources.files.dicom.source import DicomSource  # pydicom takes longer than all other kinds

    if place != SAMPLE:
        return DicomSource(Path(place), query)
    from pydicom.examples import get_path

    return DicomSource(Path(get_path("ybr_color")), name=SAMPLE)


SOURCE = SourceKind(
    name="DICOM",
    title="a DICOM file",
    magic=((128, b"DICM"),),
    endings=(".dcm", ".dicom"),
    words=(SAMPLE,),
    options=("region", "modality"),
    open=_open,
)
