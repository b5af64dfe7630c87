"""The shown frames as a sequence file of PLUS, with the pose and the time of each: MetaImage (.mha) or NRRD (.nrrd).

3D Slicer opens them with its modules Sequences and SlicerIGT: name them ``NAME.igs.mha`` or ``NAME.seq.nrrd``.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterator
from pathlib import Path
from typing import IO

from edgerecon.core.frame import Frame
from edgerecon.stream.protocols.sequence_fields import FRAME_NUMBER, IMAGE, TIMESTAMP, fields_of
from edgerecon.stream.sinks.files.spool import Spool, SpooledSink
from edgerecon.stream.sinks.files.stamps import recorded_pose
from edgerecon.stream.sinks.kind import SinkKind
from edgerecon.stream.sources.query import Query

_IMAGE_STATUS = "ImageStatus"
_TYPES = {False: "BRIGHTNESS", True: "RGB_COLOR"}
"""What PLUS calls grey and coloured images."""


class SequenceSink(SpooledSink):
    """Writes uint8 frames behind one another, RGB where the first one has colour, after the fields of each.

    ``ImageToReferenceTransform``, where the image lies, maps its pixels to mm: the header's own spacing is 1 then. An
    image of another size than the first is letterboxed, and its place is unknown. The time is that of the device that
    took the image, else of its arrival.
    """

    def _fields(self, frame: Frame) -> dict[str, str]:
        assert self.shape is not None
        pose = recorded_pose(frame, self.shape)
        found = {FRAME_NUMBER: str(frame.sequence), TIMESTAMP: repr(self.info.time_ns(frame) / 1e9)}
        return found | (fields_of(pose, self.shape) if pose is not None else {})

    def pack(self, spool: Spool, to: IO[bytes]) -> None:
        placed = any(IMAGE in fields for fields in spool.fields())
        row, column = (1.0, 1.0) if placed else spool.stamps.spacing_mm or (1.0, 1.0)
        for line in self._header(spool, row, column):
            to.write(line.encode() + b"\n")
        for frame in spool.frames:
            to.write(frame.data)

    @abstractmethod
    def _header(self, spool: Spool, row: float, column: float) -> Iterator[str]:
        """Lines until the pixels. ``row``, ``column``: spacing in mm."""


class MetaImageSink(SequenceSink):
    """https://itk.org/Wiki/ITK/MetaIO/Documentation"""

    def _header(self, spool: Spool, row: float, column: float) -> Iterator[str]:
        height, width = spool.shape
        yield "ObjectType = Image"
        yield "NDims = 3"
        yield "AnatomicalOrientation = RAI"
        yield "BinaryData = True"
        yield "BinaryDataByteOrderMSB = False"
        yield "CenterOfRotation = 0 0 0"
        yield "CompressedData = False"
        yield f"DimSize = {width} {height} {len(spool.stamps)}"
        yield "Kinds = domain domain list"
        yield f"ElementNumberOfChannels = {spool.samples}"
        yield f"ElementSpacing = {column:.9g} {row:.9g} 1"
        yield "ElementType = MET_UCHAR"
        yield "Offset = 0 0 0"
        yield "TransformMatrix = 1 0 0 0 1 0 0 0 1"
        yield "UltrasoundImageOrientation = MF"
        yield f"UltrasoundImageType = {_TYPES[spool.coloured]}"
        for number, fields in enumerate(spool.fields()):
            for name, value in (fields | {_IMAGE_STATUS: "OK"}).items():
                yield f"Seq_Frame{number:04}_{name} = {value}"
        yield "ElementDataFile = LOCAL"


class NrrdSink(SequenceSink):
    """https://teem.sourceforge.net/nrrd/format.html, with the fields as keys of our own (``:=``)."""

    def _header(self, spool: Spool, row: float, column: float) -> Iterator[str]:
        height, width = spool.shape
        yield "NRRD0005"
        yield "type: uint8"
        colours = ("3 ", "none ", "RGB-color ") if spool.coloured else ("", "", "")
        yield f"dimension: {5 if spool.coloured else 4}"
        yield "space: right-anterior-superior"
        yield f"sizes: {colours[0]}{width} {height} 1 {len(spool.stamps)}"
        yield f"space directions: {colours[1]}({column:.9g},0,0) (0,{row:.9g},0) (0,0,1) none"
        yield f"kinds: {colours[2]}domain domain domain list"
        yield "encoding: raw"
        yield "space origin: (0,0,0)"
        yield "ultrasound image orientation:=MF"
        yield f"ultrasound image type:={_TYPES[spool.coloured]}"
        for number, fields in enumerate(spool.fields()):
            for name, value in (fields | {"Status": "OK"}).items():  # as PLUS calls it in this format
                yield f"Seq_Frame{number:04}_{name}:={value}"
        yield ""


def _open(place: str, query: Query) -> SequenceSink:
    path = Path(place)
    return MetaImageSink(path) if path.suffix.lower() == ".mha" else NrrdSink(path)


SINK = SinkKind(
    name="sequence file",
    title="a sequence file",
    endings=(".mha", ".nrrd"),
    open=_open,
)
