"""How a source was compressed with loss, by the names that DICOM has for it (PS3.3 C.7.6.1.1.5.1)."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from av.video.stream import VideoStream
    from pydicom import Dataset

JPEG = "ISO_10918_1"
_VIDEO = {
    "h264": "ISO_14496_10",
    "hevc": "ISO_23008_2",
    "mpeg2video": "ISO_13818_2",
    "mjpeg": JPEG,
    "jpeg2000": "ISO_15444_1",
}
_SYNTAXES = {
    "1.2.840.10008.1.2.4.50": JPEG,
    "1.2.840.10008.1.2.4.51": JPEG,
    "1.2.840.10008.1.2.4.81": "ISO_14495_1",
    "1.2.840.10008.1.2.4.91": "ISO_15444_1",
    "1.2.840.10008.1.2.4.203": "ISO_15444_15",
}
_MPEG = {
    "100": "ISO_13818_2",
    "101": "ISO_13818_2",
    "102": "ISO_14496_10",
    "103": "ISO_14496_10",
    "104": "ISO_14496_10",
    "105": "ISO_14496_10",
    "106": "ISO_14496_10",
    "107": "ISO_23008_2",
    "108": "ISO_23008_2",
}
_SYNTAXES |= {f"1.2.840.10008.1.2.4.{number}": method for number, method in _MPEG.items()}
_LOOKED_AT = 32
"""Files of a folder."""


def of_video(stream: VideoStream) -> str | None:
    """The method of a stream's codec; None for one without loss."""
    codec = stream.codec_context.codec
    return _VIDEO.get(codec.name, codec.name.upper()[:16]) if codec.lossy else None


def of_dicom(header: Dataset) -> str | None:
    """What the file states, or its transfer syntax does; "" for a method that is not stated, None for no loss."""
    method = _SYNTAXES.get(str(header.file_meta.get("TransferSyntaxUID", "")) if hasattr(header, "file_meta") else "")
    if header.get("LossyImageCompression") != "01":
        return method
    stated = header.get("LossyImageCompressionMethod")
    return str(stated if isinstance(stated, str) or not stated else stated[0]) if stated else method or ""


def of_images(files: Iterable[Path]) -> str | None:
    """JPEG, where one of the first is such a file."""
    for path in islice(files, _LOOKED_AT):
        try:
            with path.open("rb") as file:
                if file.read(2) == b"\xff\xd8":
                    return JPEG
        except OSError:
            continue
    return None
