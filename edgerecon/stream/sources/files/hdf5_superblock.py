"""The superblock of an HDF5 file, read as if its writer had closed it.

Specification: HDF5 File Format, version 3.0, section II.A. Layout of version 3: signature, version, size of offsets,
size of lengths, file consistency flags (a byte each but the signature), four addresses (the third one is the end of the
file), checksum.
"""

from __future__ import annotations

import io
import struct
from pathlib import Path

MAGIC = b"\x89HDF\r\n\x1a\n"
"""The first bytes of every HDF5 file, or what follows another program's block, with which a .mat begins."""

USER_BLOCKS = (512, 1024, 2048)
"""Sizes of such blocks, in bytes; larger powers of two are allowed and not looked for."""

_VERSION, _SIZE_OF_OFFSETS, _FLAGS = 8, 9, 11
_WRITING, _SWMR = 1, 4
_MASK = 0xFFFFFFFF


class UnclosedFile(io.RawIOBase):
    """A file as h5py takes it, without the flags by which HDF5 refuses what a writer has open or was killed over.

    It ends where it ends now: a writer states the end when it closes the file.

    Attributes:
        is_unclosed: whether there are such flags; else the file itself may be opened.

    Raises:
        OSError: it cannot be opened.
    """

    def __init__(self, path: Path) -> None:
        super().__init__()
        self._path, self._file = path, path.open("rb", buffering=0)
        head = self._file.read(1024) or b""
        self._head = _closed(head, path.stat().st_size)
        self.is_unclosed = self._head != head[: len(self._head)]
        self._file.seek(0)

    def __repr__(self) -> str:  # which h5py takes for its name
        return str(self._path)

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        return self._file.seek(offset, whence)

    def readinto(self, buffer: memoryview) -> int:  # type: ignore[override]
        at = self._file.tell()
        view = memoryview(buffer).cast("B")
        count = self._file.readinto(view) or 0
        own = self._head[at : at + count]
        view[: len(own)] = own
        return count

    def close(self) -> None:
        self._file.close()
        super().close()


def _closed(head: bytes, size: int) -> bytes:
    """The superblock of a closed file of that size; nothing where it says so itself, or does not match its checksum."""
    if not head.startswith(MAGIC) or len(head) <= _FLAGS or head[_VERSION] < 3 or not head[_FLAGS] & (_WRITING | _SWMR):
        return b""
    each, start = head[_SIZE_OF_OFFSETS], _FLAGS + 1
    end = start + 4 * each
    if head[end : end + 4] != struct.pack("<I", lookup3(head[:end])):
        return b""
    if not 2 <= each <= 8 or size >> 8 * each:
        return b""
    flags = bytes([head[_FLAGS] & ~(_WRITING | _SWMR)])
    places = head[start : start + 2 * each] + size.to_bytes(each, "little") + head[start + 3 * each : end]
    closed = head[:_FLAGS] + flags + places
    return closed + struct.pack("<I", lookup3(closed))


def lookup3(data: bytes) -> int:
    """HDF5's checksum of metadata: Bob Jenkins, lookup3.c, ``hashlittle`` with 0 (http://burtleburtle.net/bob/c/)."""
    a = b = c = (0xDEADBEEF + len(data)) & _MASK
    blocks = -(-len(data) // 12)
    words = struct.unpack(f"<{3 * blocks}I", data.ljust(12 * blocks, b"\0"))
    for block in range(blocks):
        a, b, c = ((one + word) & _MASK for one, word in zip((a, b, c), words[3 * block :], strict=False))
        if block < blocks - 1:
            for bits in (4, 6, 8, 16, 19, 4):
                a, b, c = b, (c + b) & _MASK, ((a - c) ^ _rotate_left(c, bits)) & _MASK
    if not data:
        return c
    for bits in (14, 11, 25, 16, 4, 14, 24):
        c, b, a = a, ((c ^ b) - _rotate_left(b, bits)) & _MASK, b
    return b


def _rotate_left(word: int, bits: int) -> int:
    return (word << bits | word >> 32 - bits) & _MASK
