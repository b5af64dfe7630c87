"""NRRD, as 3D Slicer writes it: https://teem.sourceforge.net/nrrd/format.html."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from pathlib import Path
from typing import IO

import numpy as np

from edgerecon.core.errors import SourceError
from edgerecon.stream.protocols.sequence_fields import HEADER_BYTES, HEADER_LINES, ORIENTATION, reversed_axes
from edgerecon.stream.sources.files.data_files import data_files, is_list
from edgerecon.stream.sources.files.encoded import (
    SKIPPED_AT_MOST,
    Encoding,
    decoded,
    refuse_long_text,
    skip_bytes,
    skip_lines,
)
from edgerecon.stream.sources.files.header_fields import HeaderFields, key_of, millimetres
from edgerecon.stream.sources.files.metaimage import spacing_of
from edgerecon.stream.sources.files.sequence import open_with_poses
from edgerecon.stream.sources.flat import FlatSource, Layout
from edgerecon.stream.sources.kind import SourceKind

TYPES = {
    "uchar": "u1",
    "unsigned char": "u1",
    "uint8": "u1",
    "uint8_t": "u1",
    "signed char": "i1",
    "int8": "i1",
    "int8_t": "i1",
    "ushort": "u2",
    "unsigned short": "u2",
    "unsigned short int": "u2",
    "uint16": "u2",
    "uint16_t": "u2",
    "short": "i2",
    "short int": "i2",
    "signed short": "i2",
    "signed short int": "i2",
    "int16": "i2",
    "int16_t": "i2",
    "uint": "u4",
    "unsigned int": "u4",
    "uint32": "u4",
    "uint32_t": "u4",
    "int": "i4",
    "signed int": "i4",
    "int32": "i4",
    "int32_t": "i4",
    "ulonglong": "u8",
    "unsigned long long": "u8",
    "uint64": "u8",
    "uint64_t": "u8",
    "longlong": "i8",
    "long long": "i8",
    "int64": "i8",
    "int64_t": "i8",
    "float": "f4",
    "double": "f8",
}
_ENCODINGS: dict[str, Encoding] = {
    "raw": "raw",
    "gzip": "zlib",
    "gz": "zlib",
    "bzip2": "bzip2",
    "bz2": "bzip2",
    "hex": "hex",
    "txt": "text",
    "text": "text",
    "ascii": "text",
}
_ENDIANS = {"little": "<", "big": ">"}
_COLOURS_LAST = re.compile(r"(rgb|rgba|3|4)-color|vector|[34]-vector")
_OTHER_COLOURS = ("hsv-color", "xyz-color")
_LIST_BYTES_AT_MOST = 16 << 20


def open_nrrd(path: Path) -> FlatSource:
    """Open an NRRD, grey or colour, of any encoding but zrl; its last axes are frames.

    Its data are attached, or in one or more files beside the header, behind lines and bytes that are to be skipped.

    Raises:
        SourceError: not an NRRD, of an unknown kind, its frames are not its last axes, or its data lie outside the
        header's folder.
    """
    fields, after, listed = _read_header(path)
    sizes = fields.whole_numbers("sizes")
    fields.refuse_other_count("dimension", len(sizes), "sizes")
    dtype = np.dtype(fields.one_of("endian", _ENDIANS, "little") + fields.one_of("type", TYPES))
    encoding = fields.one_of("encoding", _ENCODINGS)
    skips = fields.whole_number("line skip", 0), fields.whole_number("byte skip", 0)
    colour = _colour(path.name, fields.text("kinds", "").lower().split(), sizes)
    if len(sizes) < 2 + colour:
        raise SourceError(f"{path.name} has {len(sizes)} dimension: an image has two, a recording three")
    width, height, *others = sizes[colour:]
    layout = Layout(math.prod(others), (height, width, *sizes[:colour]), dtype)
    layout.check(path.name)
    refuse_long_text(path.name, encoding, math.prod(layout.shape))
    name = fields.text("data file", "")
    files = data_files(path, name, listed) if name else [path]
    size = layout.count * layout.frame_bytes // len(files)
    parts = [_Data(data, 0 if name else after, *skips, encoding, dtype, size) for data in files]
    parts[0].check(path.name)
    spacing = spacing_of(path.name, _spacing(fields)[colour : colour + 2])
    turned = reversed_axes(fields.text(ORIENTATION, ""))
    return FlatSource(path.name, layout, [part.open for part in parts], spacing_mm=spacing, reversed_axes=turned)


@dataclass(frozen=True)
class _Data:
    """Where the data of a file lie: behind lines, which are skipped first, and bytes, see section 5 of the format.

    Bytes are skipped before text is read and after compressed data are inflated. -1 means that the data are the last
    ``size`` bytes.
    """

    path: Path
    offset: int
    line_skip: int
    byte_skip: int
    encoding: Encoding
    dtype: np.dtype
    size: int

    def check(self, name: str) -> None:
        """Refuse skips that the format does not know.

        Raises:
            SourceError: fewer than no lines, fewer than -1 bytes, or -1 byte of text.
        """
        if self.line_skip < 0 or self.byte_skip < -1 or (self.byte_skip == -1 and self.encoding in ("text", "hex")):
            raise SourceError(f"{name} skips {self.line_skip} lines and {self.byte_skip} bytes, which cannot be")

    def open(self) -> IO[bytes]:
        """Raises ValueError when there is not so much to skip."""
        file = self.path.open("rb")
        if self.encoding == "raw" and self.byte_skip == -1:
            file.seek(max(0, self.path.stat().st_size - self.size))
            return file
        file.seek(self.offset)
        skip_lines(file, self.line_skip)
        if self.encoding not in ("zlib", "bzip2"):
            file.seek(self.byte_skip, 1)
            return decoded(file, self.encoding, self.dtype)
        start, skipped = file.tell(), self.byte_skip
        if skipped == -1:
            with self.path.open("rb") as again:
                again.seek(start)
                skipped = _length(decoded(again, self.encoding)) - self.size
        stream = decoded(file, self.encoding)
        skip_bytes(stream, skipped)
        return stream


def _length(stream: IO[bytes]) -> int:
    """How many bytes there are.

    Raises:
        ValueError: more than can be counted in a moment.
    """
    length = 0
    while piece := stream.read(1 << 16):
        length += len(piece)
        if length > 4 * SKIPPED_AT_MOST:
            raise ValueError("its compressed data are too long to be counted from their end (byte skip: -1)")
    return length


def _colour(name: str, kinds: list[str], sizes: list[int]) -> int:
    """1 when the first axis holds the channels of a pixel, else 0.

    Kinds are words of the NRRD format, section 5: PLUS writes "RGB-color domain domain list". Without them, a first
    axis of the length 3 or 4 is colour: nobody scans three columns.

    Raises:
        SourceError: frames come first, or colours do not.
    """
    first = kinds[0] if kinds else ""
    if first in ("list", "time"):
        raise SourceError(f"{name} has its frames on the first axis: save it with them on the last (kind: list)")
    if any(_COLOURS_LAST.fullmatch(kind) for kind in kinds[1:]):
        raise SourceError(f"{name} has its colours on a later axis: save it with them on the first")
    if first in _OTHER_COLOURS:
        raise SourceError(f"{name} holds colours of the kind '{first}': save it as RGB-color")
    if first in ("", "???", "none"):
        return int(len(sizes) in (3, 4) and sizes[0] in (3, 4) and sizes[1] > sizes[0])
    return int(first not in ("domain", "space"))


def _read_header(path: Path) -> tuple[HeaderFields, int, list[str]]:
    """The fields; where attached data begin; the lines after a LIST."""
    fields: dict[str, str] = {}
    with path.open("rb") as file:
        file.readline(16)
        for _ in range(HEADER_LINES):
            line = file.readline(1 << 16).decode("utf-8", "surrogateescape")
            if not line.strip():
                return HeaderFields(path.name, fields), file.tell(), []
            if file.tell() > HEADER_BYTES:
                break
            key, colon, value = line.partition(":")
            own = value.startswith("=")  # := is a key of the user's
            if colon and not line.startswith("#") and (not own or key == ORIENTATION):
                fields[key_of(key)] = value.removeprefix("=" if own else "").strip()
                if key_of(key) == "datafile" and is_list(value.strip()):
                    listed = file.read(_LIST_BYTES_AT_MOST).decode("utf-8", "surrogateescape").splitlines()
                    return HeaderFields(path.name, fields), 0, listed
    raise SourceError(f"{path.name} has a header of more than {HEADER_LINES:,} lines or {HEADER_BYTES >> 20} MB")


def _spacing(fields: HeaderFields) -> list[float]:
    """Of each axis in mm: its ``spacings``, or the lengths of the ``space directions``; NaN or [] where it has none."""
    if steps := fields.numbers("spacings"):
        units = _units(fields, "units") or [""] * len(steps)
        return [step * millimetres(unit) for step, unit in zip(steps, units, strict=False)]
    units = _units(fields, "space units")
    unit_mm = millimetres(units[0] if units else "") if len(set(units)) <= 1 else math.nan
    return [length * unit_mm for length in fields.lengths_of_vectors("space directions")]


def _units(fields: HeaderFields, name: str) -> list[str]:
    """Words in quotes, one an axis."""
    return re.findall(r'"([^"]*)"', fields.text(name, ""))


SOURCE = SourceKind(
    name="NRRD",
    title="an NRRD",
    magic=(b"NRRD000",),
    endings=(".nrrd", ".nhdr"),
    open=lambda place, query: open_with_poses(open_nrrd, Path(place)),
)
