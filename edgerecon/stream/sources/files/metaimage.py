"""MetaImage (.mha, .mhd), as ITK and PLUS write it: https://itk.org/Wiki/ITK/MetaIO/Documentation."""

from __future__ import annotations

import math
import re
from functools import partial
from pathlib import Path
from typing import IO

import numpy as np

from edgerecon.core.errors import SourceError
from edgerecon.stream.protocols.sequence_fields import HEADER_BYTES, HEADER_LINES, ORIENTATION, PREFIX, reversed_axes
from edgerecon.stream.sources.base import Source
from edgerecon.stream.sources.files.data_files import data_files, is_list
from edgerecon.stream.sources.files.encoded import Encoding, open_at, refuse_long_text
from edgerecon.stream.sources.files.header_fields import HeaderFields, millimetres
from edgerecon.stream.sources.files.sequence import open_with_poses
from edgerecon.stream.sources.flat import FlatSource, Layout
from edgerecon.stream.sources.frame_rate import taken_period_s
from edgerecon.stream.sources.kind import SourceKind
from edgerecon.stream.sources.pixel_spacing import taken_spacing_mm
from edgerecon.stream.sources.query import Query

TYPES = {
    "met_uchar": "u1",
    "met_char": "i1",
    "met_ascii_char": "i1",
    "met_ushort": "u2",
    "met_short": "i2",
    "met_uint": "u4",
    "met_int": "i4",
    "met_ulong": "u4",
    "met_long": "i4",  # MetaIO's long has 4 bytes
    "met_ulong_long": "u8",
    "met_long_long": "i8",
    "met_float": "f4",
    "met_double": "f8",
}
_LIST_BYTES_AT_MOST = 16 << 20
_KEPT = (
    "ndims",
    "dimsize",
    "distanceunits",
    "ultrasoundimageorientation",
    "binarydata",
    "binarydatabyteordermsb",
    "elementbyteordermsb",
    "elementtype",
    "elementnumberofchannels",
    "headersize",
    "elementdatafile",
    "elementspacing",
    "elementsize",
    "compresseddata",
    "compresseddatasize",
)
_TIMESTAMP = re.compile(r"seq_frame\d+_timestamp")


def open_metaimage(path: Path, rf: bool = False) -> FlatSource:
    """Open a MetaImage: its last axes are frames; raw, compressed or text, LOCAL or with its data beside the header.

    The spacing is unknown when it is 1 on every axis (what writers put that do not know it). The period is the median
    step of PLUS's frame timestamps, where there are any. With ``rf`` the rows are beamformed RF lines, shown as B-mode.

    Raises:
        SourceError: not a MetaImage, of an unknown kind, or its data lie outside the header's folder.
    """
    header, after, listed = read_header(path)
    sizes = header.whole_numbers("DimSize")
    header.refuse_other_count("NDims", len(sizes), "DimSize")
    big = header.is_true("BinaryDataByteOrderMSB") or header.is_true("ElementByteOrderMSB")
    dtype = np.dtype((">" if big else "<") + header.one_of("ElementType", TYPES))
    channels = header.whole_number("ElementNumberOfChannels", 1)
    skip = header.whole_number("HeaderSize", 0)
    file = header.text("ElementDataFile")
    unit_mm = millimetres(header.text("DistanceUnits", ""))
    spacing = [unit_mm * step for step in header.numbers("ElementSpacing") or header.numbers("ElementSize")]
    if len(sizes) < 2:
        raise SourceError(f"{path.name} has {len(sizes)} dimension: an image has two, a recording three")
    shape = (sizes[1], sizes[0]) if channels == 1 else (sizes[1], sizes[0], channels)
    layout = Layout(math.prod(sizes[2:]), shape, dtype)
    layout.check(path.name)
    encoding = _encoding(header)
    refuse_long_text(path.name, encoding, math.prod(shape))
    local = file.upper() == "LOCAL"
    files = [path] if local else data_files(path, file, listed)
    if skip == -1:
        each = _bytes_at_end(header, layout, encoding) // len(files)
        opened = [partial(_open_end, data, each, encoding, dtype) for data in files]
    else:
        offset = skip if skip > 0 else after * local
        opened = [partial(open_at, data, offset, encoding, dtype) for data in files]
    period_s = _period(header, path.name) if rf else None  # else that of the poses' times, see ``sequence``
    turned = () if rf else reversed_axes(header.text(ORIENTATION, ""))
    return FlatSource(path.name, layout, opened, period_s, spacing_of(path.name, spacing[:2]), rf, turned)


def _encoding(header: HeaderFields) -> Encoding:
    if not header.is_true("BinaryData", default=True):
        return "text"
    return "zlib" if header.is_true("CompressedData") else "raw"


def _bytes_at_end(header: HeaderFields, layout: Layout, encoding: Encoding) -> int:
    """How many bytes the data are, where ``HeaderSize = -1`` says that they are the last ones of the file.

    Raises:
        SourceError: nobody knows.
    """
    if encoding == "raw":
        return layout.count * layout.frame_bytes
    size = header.whole_number("CompressedDataSize", -1)
    if encoding == "text" or size < 0:
        raise SourceError(
            f"{header.file} says HeaderSize = -1 and not how long its data are: give the size of its header"
        )
    return size


def _open_end(path: Path, size: int, encoding: Encoding, dtype: np.dtype) -> IO[bytes]:
    return open_at(path, max(0, path.stat().st_size - size), encoding, dtype)


def read_header(path: Path) -> tuple[HeaderFields, int, list[str]]:
    """What a MetaImage says of itself.

    Lines are ``Key = value`` or ``Key: value``; empty ones are passed over.

    Returns:
        The fields that are known here; where the data begin in a LOCAL file; the lines that follow a LIST.
    """
    header: dict[str, str] = {}
    with path.open("rb") as file:
        for _ in range(HEADER_LINES):
            line = file.readline(1 << 16)
            if line.startswith(PREFIX) and b"Timestamp" not in line:
                continue  # see ``sequence``
            text = line.decode("utf-8", "surrogateescape").strip()
            if text and not text.startswith("#"):
                key, separator, value = _split(text)
                if not separator:
                    break
                if key in _KEPT or _TIMESTAMP.fullmatch(key):
                    header[key] = value
            if not line or "elementdatafile" in header or file.tell() > HEADER_BYTES:
                break
        if "elementdatafile" not in header:
            raise SourceError(f"{path.name} is not a MetaImage, or its header is truncated or too long")
        after = file.tell()
        listed = file.read(_LIST_BYTES_AT_MOST) if is_list(header["elementdatafile"]) else b""
    return HeaderFields(path.name, header), after, listed.decode("utf-8", "surrogateescape").splitlines()


def _split(line: str) -> tuple[str, str, str]:
    """Key in small letters, separator and value; the separator is "" where there is none."""
    found = re.match(r"([^=:]*)([=:])", line)
    return (found[1].strip().lower(), found[2], line[found.end() :].strip()) if found else (line, "", "")


def spacing_of(name: str, column_row: list[float]) -> tuple[float, float] | None:
    """(row, column) in mm from x and y spacing; None when absent (NaN), 1 and 1 (unset), or impossible, which the log
    says.

    Args:
        name: of the recording, for the log.
    """
    if len(column_row) != 2 or all(map(math.isnan, column_row)) or column_row == [1.0, 1.0]:
        return None
    return taken_spacing_mm(name, column_row[::-1])


def _period(header: HeaderFields, name: str) -> float | None:
    times = [value for key, value in header.texts.items() if _TIMESTAMP.fullmatch(key)]
    try:
        steps = np.diff([float(time) for time in times])
    except ValueError:
        return None
    step = float(np.median(steps)) if len(steps) else 0.0
    return taken_period_s(name, step or None)  # times that are all alike tell nothing


def _open(place: str, query: Query) -> Source:
    if "rf" in query:  # which turns the pixels to others than those whose place is stated
        return open_metaimage(Path(place), rf=True)
    return open_with_poses(open_metaimage, Path(place))


SOURCE = SourceKind(
    name="MetaImage",
    title="a MetaImage",
    endings=(".mha", ".mhd"),
    options=("rf",),
    open=_open,
)
