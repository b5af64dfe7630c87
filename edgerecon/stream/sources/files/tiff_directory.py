"""The directories of a TIFF, which say how its pages are stored, read with a bound on everything.

Specification: TIFF revision 6.0, section 2; BigTIFF is the same with numbers of 8 bytes.
"""

from __future__ import annotations

import re
import struct
from dataclasses import dataclass
from typing import BinaryIO

import numpy as np

MAGIC = (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")

_PAGES_AT_MOST = 50_000
_ENTRIES_AT_MOST = 1_000
_VALUES_AT_MOST = 1 << 20  # of a tag that is read here, such as the places of strips
_BYTES_AT_MOST = 32 << 20  # of all tags of a page together: the library that decodes it reads them all
_TEXT_AT_MOST = 1 << 16  # bytes of a description that are looked at
_SIZES = np.array([0, 1, 1, 2, 4, 8, 1, 1, 2, 4, 8, 4, 8, 4, 0, 0, 8, 8, 8])  # bytes of a value, by its type
_LETTERS = {1: "B", 3: "H", 4: "L", 13: "L", 16: "Q"}  # of the types that hold unsigned integers
_REDUCED, _MASK = 1, 4  # bits of NewSubfileType


@dataclass(frozen=True)
class Page:
    """How one page is stored. Names are those of the tags of the specification.

    Attributes:
        index: its place among all directories of the file. offset: of its directory. order: "<" or ">".
    """

    index: int
    offset: int
    order: str
    width: int
    height: int
    bits: int
    samples: int
    sample_format: int
    photometric: int
    compression: int
    planar: bool
    tiled: bool
    fill_order: int
    orientation: int
    max_sample_value: int | None
    extra_samples: tuple[int, ...]
    rows_per_strip: int
    strip_offsets: tuple[int, ...]


def find_pages(file: BinaryIO) -> list[tuple[int, int]]:
    """Place and offset of the directory of each page; smaller versions of pages, and masks, are left out.

    Raises:
        ValueError: damaged, or beyond the bounds above.
    """
    reader = _Reader(file)
    pages, every, seen = list[tuple[int, int]](), list[tuple[int, int]](), set[int]()
    offset = reader.first
    while offset and offset not in seen:
        if len(seen) >= _PAGES_AT_MOST:
            raise ValueError(f"it has more than {_PAGES_AT_MOST:,} pages")
        entries, following = reader.entries(offset)
        kind, old_kind = reader.number(entries, 254, 0), reader.number(entries, 255, 0)
        if not kind & (_REDUCED | _MASK) and old_kind != 2:
            pages.append((len(seen), offset))
        every.append((len(seen), offset))
        seen.add(offset)
        offset = following
    if not every:
        raise ValueError("it has no page")
    return pages or every


def frames_behind(file: BinaryIO, offset: int) -> int:
    """Frames of a large ImageJ stack, whose one directory (at ``offset``) tells of the first; 1 for any other page."""
    reader = _Reader(file)
    entries, _ = reader.entries(offset)
    stated = re.match(rb"ImageJ=[^\n]*\nimages=(\d{1,9})\n", reader.text(entries, 270))
    return int(stated[1]) if stated else 1


def read_description(file: BinaryIO, offset: int) -> bytes:
    """The beginning of the tag ImageDescription of a page; empty where it has none."""
    reader = _Reader(file)
    return reader.text(reader.entries(offset)[0], 270)


def read_resolution(file: BinaryIO, offset: int) -> tuple[float, float] | None:
    """Pixels per unit (down, across) of a page, as its tags say; None without them, or where they are not positive."""
    reader = _Reader(file)
    entries, _ = reader.entries(offset)
    down, across = reader.ratio(entries, 283), reader.ratio(entries, 282)
    return (down, across) if down > 0 and across > 0 else None


def read_page(file: BinaryIO, index: int, offset: int) -> Page:
    """The directory of a page.

    Raises:
        ValueError: damaged, beyond the bounds above, or with samples of several depths.
    """
    reader = _Reader(file)
    entries, _ = reader.entries(offset)

    def numbers(tag: int) -> tuple[int, ...]:
        return reader.numbers(entries, tag)

    def number(tag: int, default: int) -> int:
        return reader.number(entries, tag, default)

    if len(set(numbers(258))) > 1 or len(set(numbers(339))) > 1:
        raise ValueError("its colours are of different depths")
    return Page(
        index,
        offset,
        reader.order,
        width=number(256, 0),
        height=number(257, 0),
        bits=number(258, 1),
        samples=number(277, 1),
        sample_format=number(339, 1),
        photometric=number(262, 1),
        compression=number(259, 1),
        planar=number(284, 1) == 2,
        tiled=bool(numbers(322)),
        fill_order=number(266, 1),
        orientation=number(274, 1),
        max_sample_value=number(281, 0) or None,
        extra_samples=numbers(338),
        rows_per_strip=number(278, 0xFFFFFFFF),
        strip_offsets=numbers(273),
    )


class _Reader:
    """Reads directories; see ``find_pages`` for what it raises."""

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        file.seek(0)
        head = file.read(16)
        self.order = "<" if head.startswith(b"II") else ">"
        self._big = head[:4] in MAGIC[2:]
        number = "Q" if self._big else "L"
        self._count, self._next = f"{self.order}{'Q' if self._big else 'H'}", self.order + number
        self._entry = np.dtype(
            [
                ("tag", self.order + "u2"),
                ("type", self.order + "u2"),
                ("count", self.order + ("u8" if self._big else "u4")),
                ("value", f"V{8 if self._big else 4}"),
            ]
        )
        (self.first,) = self._unpack(self._next, head[8:] if self._big else head[4:8])

    def entries(self, offset: int) -> tuple[np.ndarray, int]:
        """A directory, and where the next one is (0: nowhere)."""
        self._file.seek(offset)
        (count,) = self._unpack(self._count, self._file.read(struct.calcsize(self._count)))
        if not 0 < count <= _ENTRIES_AT_MOST:
            raise ValueError(f"a directory of it has {count} entries: 1 to {_ENTRIES_AT_MOST:,} are read")
        data = self._file.read(count * self._entry.itemsize)
        if len(data) < count * self._entry.itemsize:
            raise ValueError("a directory of it is truncated")
        entries = np.frombuffer(data, self._entry)
        kinds = np.minimum(entries["type"], len(_SIZES) - 1)
        if float(np.sum(_SIZES[kinds] * entries["count"].astype(np.float64))) > _BYTES_AT_MOST:
            raise ValueError(f"the tags of a page of it are longer than {_BYTES_AT_MOST >> 20} MB")
        (following,) = self._unpack(self._next, self._file.read(struct.calcsize(self._next)).ljust(8, b"\0"))
        return entries, following

    def numbers(self, entries: np.ndarray, tag: int) -> tuple[int, ...]:
        """The values of a tag; none where it is absent or holds no integers."""
        found = entries[entries["tag"] == tag]
        if not len(found) or int(found[0]["type"]) not in _LETTERS:
            return ()
        kind, count, value = int(found[0]["type"]), int(found[0]["count"]), found[0]["value"].tobytes()
        if count > _VALUES_AT_MOST:
            raise ValueError(f"a tag of it has {count} values: at most {_VALUES_AT_MOST:,} are read")
        form = f"{self.order}{count}{_LETTERS[kind]}"
        size = struct.calcsize(form)
        if size > len(value):
            (place,) = self._unpack(self._next, value)
            self._file.seek(place)
            value = self._file.read(size)
        return self._unpack(form, value)

    def text(self, entries: np.ndarray, tag: int) -> bytes:
        """The beginning of a tag of text; empty where it is absent."""
        found = entries[entries["tag"] == tag]
        if not len(found) or int(found[0]["count"]) <= len(value := found[0]["value"].tobytes()):
            return b""
        (place,) = self._unpack(self._next, value)
        self._file.seek(place)
        return self._file.read(min(int(found[0]["count"]), _TEXT_AT_MOST))

    def ratio(self, entries: np.ndarray, tag: int) -> float:
        """A tag of type RATIONAL; 0 where it is absent, of another type or damaged."""
        found = entries[entries["tag"] == tag]
        if not len(found) or int(found[0]["type"]) != 5 or int(found[0]["count"]) != 1:
            return 0.0
        value = found[0]["value"].tobytes()
        if not self._big:
            (place,) = self._unpack(self._next, value)
            self._file.seek(place)
            value = self._file.read(8)
        if len(value) < 8:
            return 0.0
        above, below = self._unpack(f"{self.order}2L", value)
        return above / below if below else 0.0

    def number(self, entries: np.ndarray, tag: int, default: int) -> int:
        return next(iter(self.numbers(entries, tag)), default)

    def _unpack(self, form: str, data: bytes) -> tuple[int, ...]:
        size = struct.calcsize(form)
        if len(data) < size:
            raise ValueError("it is truncated")
        return struct.unpack(form, data[:size])
