"""Lookup tables of DICOM: modality, VOI and palette, plain or segmented, of 8 or 16 bits."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from pydicom import Dataset

from edgerecon.core.errors import SourceError
from edgerecon.stream.sources.files.dicom.header import numbers_of, value

_DISCRETE, _LINEAR, _INDIRECT = 0, 1, 2
_NESTED_AT_MOST = 4


@dataclass(frozen=True)
class Lookup:
    """A table (PS3.3 C.11.1.1).

    Attributes:
        entries: uint16. first: the stored value that the first of them belongs to. bits: the depth of an entry.
    """

    entries: NDArray[np.uint16]
    first: int
    bits: int

    @property
    def full(self) -> int:
        """Full scale of the entries."""
        return (1 << self.bits) - 1

    def __getitem__(self, values: NDArray[np.int64]) -> NDArray[np.uint16]:
        """Values beyond the table take its ends."""
        return np.asarray(self.entries[np.clip(values - self.first, 0, len(self.entries) - 1)])


def read_lookup(item: Dataset, descriptor: str, data: str, segmented: str | None, signed: bool) -> Lookup:
    """A table from its elements. Its depth is what its descriptor says, whatever the entries are.

    Raises:
        SourceError: the elements are absent or do not fit each other.
    """
    count, first, bits = _descriptor(item, descriptor, signed)
    little = item.original_encoding[1] is not False
    packed = value(item, segmented) if segmented else None
    if packed:
        words = _words(packed, bits, len(packed) * 8 // (8 if bits <= 8 else 16), little)
        return Lookup(_Segments(words, count, bits).entries, first, bits)
    found = value(item, data)
    entries = _words(found, bits, count, little) if isinstance(found, bytes) else np.asarray(found or [], np.uint16)
    if len(entries) < count:
        raise SourceError(f"a lookup table holds {len(entries)} of {count} entries")
    entries = entries[:count]
    if bits <= 8 and entries.size and entries.max() > 255:  # 8 bits in the upper byte of a word, or a wrong descriptor
        bits = 16
    return Lookup(entries, first, bits)


def _descriptor(item: Dataset, keyword: str, signed: bool) -> tuple[int, int, int]:
    numbers = [int(number) for number in numbers_of(item, keyword)]
    if len(numbers) != 3 or not 1 <= numbers[2] <= 16:
        raise SourceError(f"a lookup table has the descriptor {numbers}: it holds no entries, first value and depth")
    count, first, bits = numbers
    if signed and first >= 1 << 15:
        first -= 1 << 16
    return count % (1 << 16) or 1 << 16, first, bits


def _words(data: bytes, bits: int, count: int, little: bool) -> NDArray[np.uint16]:
    """8-bit entries take a byte each, or a word each in files of some makers."""
    if bits <= 8 and len(data) < 2 * count:
        return np.frombuffer(data, np.uint8).astype(np.uint16)
    words = np.frombuffer(data[: len(data) // 2 * 2], "<u2" if little else ">u2")
    return words.astype(np.uint16)


class _Segments:
    """A segmented table (PS3.3 C.7.9.2), which never makes more entries than declared, nor takes more steps.

    Raises:
        SourceError: segments that are none, or that make another number of entries.
    """

    def __init__(self, words: NDArray[np.uint16], count: int, bits: int) -> None:
        self._words, self._count = words.tolist(), count
        self._bytes = 1 if bits <= 8 else 2
        self._steps = len(self._words) + count
        self._entries: list[int] = []
        self._run(0, None, 0)
        if len(self._entries) != count:
            raise SourceError(f"a segmented lookup table makes {len(self._entries)} of {count} entries")
        self.entries = np.asarray(self._entries, np.uint16)

    def _run(self, at: int, segments: int | None, depth: int) -> None:
        words, entries = self._words, self._entries
        while at + 2 < len(words) and len(entries) < self._count and segments != 0:
            kind, length, self._steps = words[at], words[at + 1], self._steps - 1
            room = self._count - len(entries)
            if kind == _DISCRETE:
                entries.extend(words[at + 2 : at + 2 + min(length, room)])
                at += 2 + length
            elif kind == _LINEAR and entries:
                steps = np.linspace(entries[-1], words[at + 2], length + 1)[1 : room + 1]
                entries.extend(np.rint(steps).astype(int).tolist())
                at += 3
            elif kind == _INDIRECT and depth < _NESTED_AT_MOST:
                parts = words[at + 2 : at + 2 + 4 // self._bytes]
                offset = sum(part << (8 * self._bytes * index) for index, part in enumerate(parts))  # in bytes
                self._run(offset // self._bytes, length, depth + 1)
                at += 2 + len(parts)
            else:
                raise SourceError("a segmented lookup table is damaged")
            if self._steps < 0:
                raise SourceError("a segmented lookup table takes more steps than it has entries")
            segments = None if segments is None else segments - 1
