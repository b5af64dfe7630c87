"""Where the frames of a DICOM file lie, so that each is read by itself, however long the cine is."""

from __future__ import annotations

import math
import struct
from collections.abc import Iterator
from dataclasses import dataclass
from typing import BinaryIO

import numpy as np
from pydicom import Dataset

from edgerecon.core.errors import SourceError
from edgerecon.stream.sources.files.dicom.header import value

Fragments = list[tuple[int, int]]
"""(offset, length) of the pieces of one frame in the file."""

_PIXEL_DATA = (0x7FE0, 0x0010)
_UNDEFINED = 0xFFFFFFFF
_ITEM = (0xFFFE, 0xE000)
_END_OF_IMAGE = b"\xff\xd9"  # of JPEG, JPEG-LS and JPEG 2000
_TAIL = 10  # bytes that may follow it
_FRAGMENTS_A_FRAME = 64
_SLACK = 1 << 20  # bytes


@dataclass(frozen=True)
class PixelData:
    """The value of the Pixel Data element.

    Attributes:
        start: its offset in the file. length: in bytes; None when it is encapsulated. vr: OB, OW, or None.
    """

    start: int
    length: int | None
    vr: str | None


def find_pixel_data(file: BinaryIO, at: int, implicit: bool, little: bool, name: str) -> PixelData:
    """Read the element's head at ``at``.

    Raises:
        SourceError: there is no such element.
    """
    file.seek(at)
    head, order = file.read(12), "<" if little else ">"
    if len(head) < 8 or struct.unpack_from(f"{order}HH", head) != _PIXEL_DATA:
        raise SourceError(f"{name} holds no pixel data (a report or a truncated file): give an image or a cine")
    explicit = not implicit and len(head) == 12 and head[4:6].isalpha()
    (length,) = struct.unpack_from(f"{order}I", head, 8 if explicit else 4)
    vr = head[4:6].decode("ascii") if explicit else None
    return PixelData(at + (12 if explicit else 8), None if length == _UNDEFINED else length, vr)


def native_frames(data: PixelData, count: int, bits: int) -> list[Fragments]:
    """Frames of ``bits`` each, one after the other."""
    size = math.ceil(bits / 8)
    return [[(data.start + index * size, size)] for index in range(count)]


def encapsulated_frames(file: BinaryIO, data: PixelData, count: int, header: Dataset) -> list[Fragments]:
    """Frames by the Extended Offset Table, the Basic Offset Table, or else by the fragments themselves.

    Only the items' heads are read. Tables that contradict the items are ignored. May be fewer than ``count``.
    """
    file.seek(data.start)
    first = next(_items(file), None)
    if first is None:
        return []
    table_at, table_length = first
    file.seek(table_at)
    entries = min(table_length // 4, count)
    offsets = list(struct.unpack(f"<{entries}I", file.read(4 * entries).ljust(4 * entries, b"\0")))
    file.seek(table_at + table_length)
    fragments: Fragments = []
    for item in _items(file):
        fragments.append(item)
        if len(fragments) > _SLACK // 8 + _FRAGMENTS_A_FRAME * count:
            break
    base = table_at + table_length
    for table in (_extended_offsets(header), offsets):
        frames = _by_offsets(fragments, [base + 8 + offset for offset in table]) if len(table) == count else None
        if frames is not None:
            return frames
    if count == 1:
        return [fragments]
    if len(fragments) <= count:
        return [[fragment] for fragment in fragments]
    return list(_by_end_of_image(file, fragments))


def read_frame(file: BinaryIO, fragments: Fragments, at_most: int) -> bytes:
    """The bytes of a frame.

    Raises:
        SourceError: it is longer than an image of its size can be, or the file ends within it.
    """
    length = sum(length for _, length in fragments)
    if length > at_most + _SLACK:
        raise SourceError(f"{length:,} bytes are more than a frame of this size takes")
    parts = []
    for offset, size in fragments:
        file.seek(offset)
        parts.append(file.read(size))
    found = b"".join(parts)
    if len(found) < length:
        raise SourceError("the file ends within this frame (truncated)")
    return found


def read_bytes_in_words(file: BinaryIO, frame: tuple[int, int], start: int) -> bytes:
    """A native frame of bytes that lie in words of two, the latter one first, from ``start`` on (OW in big endian).

    A word may belong to two frames.

    Raises:
        SourceError: the file ends within it.
    """
    offset, size = frame
    odd = (offset - start) % 2
    words = read_frame(file, [(offset - odd, (odd + size + 1) // 2 * 2)], size)
    return np.frombuffer(words, np.uint16).byteswap().tobytes()[odd : odd + size]


def _items(file: BinaryIO) -> Iterator[tuple[int, int]]:
    """(offset, length) of each item's value, until something else comes. Leaves the file anywhere."""
    at = file.tell()
    while True:
        file.seek(at)
        head = file.read(8)
        if len(head) < 8:
            return
        group, element, length = struct.unpack("<HHI", head)
        if (group, element) != _ITEM or length == _UNDEFINED:
            return
        yield at + 8, length
        at += 8 + length


def _extended_offsets(header: Dataset) -> list[int]:
    table = value(header, "ExtendedOffsetTable")
    if not isinstance(table, bytes):
        return []
    return [offset for (offset,) in struct.iter_unpack("<Q", table[: len(table) // 8 * 8])]


def _by_offsets(fragments: Fragments, starts: list[int]) -> list[Fragments] | None:
    """Fragments grouped by the frames' first ones; None when a frame does not begin with a fragment."""
    at = {offset: index for index, (offset, _) in enumerate(fragments)}
    firsts = [at[start] for start in starts if start in at]
    if not firsts or len(firsts) < len(starts) and starts[len(firsts)] < fragments[-1][0]:
        return None  # in a file that was cut off, the last frames are not there
    if firsts[0] != 0 or firsts != sorted(set(firsts)):
        return None
    return [fragments[first:last] for first, last in zip(firsts, [*firsts[1:], len(fragments)], strict=True)]


def _by_end_of_image(file: BinaryIO, fragments: Fragments) -> Iterator[Fragments]:
    frame: Fragments = []
    for offset, length in fragments:
        frame.append((offset, length))
        file.seek(offset + max(0, length - _TAIL))
        if _END_OF_IMAGE in file.read(min(length, _TAIL)):
            yield frame
            frame = []
    if frame:
        yield frame
