"""A ring of frames in shared memory, /dev/shm/NAME, that one process writes and others read without a copy.

Layout, little-endian, every field at a multiple of its size; a C program can write it (see docs/stream/scanners.md):

    ring    0  char[8]  "EDGERNG1", written last when the ring is made
            8  u32      slots, at least 4
           16  u64      bytes of one slot: 64 + the largest frame, a multiple of 64
           24  u64      written: frames so far; frame n lies in slot n % slots
           32  u64      ended: 1 when the writer has closed the ring
           64           the slots
    slot    0  u64      stamp: 2n + 1 while frame n is written, 2n + 2 when it is there
            8  u64      captured: CLOCK_MONOTONIC in ns, or 0
           16  u32 × 4  height, width, channels (1, 3 RGB, 4 RGBA), type (1: uint8, 2: uint16, 3: float32 in [0, 1])
           32  f64 × 2  mm per row and per column, or 0
           64           pixels, row by row

The stamp makes it a seqlock: a reader that finds another stamp after its copy has copied two frames at once. A ring of
another size is made under another name and renamed over the old one. A writer that truncates its file instead takes the
memory away from under its readers: they look at the file's size before each access, since the access would end them.
"""

from __future__ import annotations

import errno
import math
import mmap
import os
import re
import sys
import threading
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edgerecon.core.errors import UsageError
from edgerecon.core.frame import MAX_PIXELS, plausible_spacing

MAGIC = b"EDGERNG1"
TYPES: dict[int, np.dtype[Any]] = {1: np.dtype("<u1"), 2: np.dtype("<u2"), 3: np.dtype("<f4")}
_HEAD = 64
_SLOTS, _SLOT_BYTES, _WRITTEN, _ENDED = 8, 16, 24, 32
_CAPTURED, _SHAPE, _SPACING = 8, 16, 32
_FOLDER = Path("/dev/shm")
_LINUX_ONLY = "shared-memory rings need Linux (/dev/shm)"


def ring_path(name: str) -> Path:
    """Where a ring lies.

    Raises:
        UsageError: not a name, or a system without /dev/shm.
    """
    if not re.fullmatch(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,100}", name):
        raise UsageError(f"'{name}' is no name of a ring: give shm://NAME of letters, digits, '.', '-' and '_'")
    if sys.platform != "linux":
        raise UsageError(_LINUX_ONLY)
    return _FOLDER / name


@dataclass(frozen=True)
class RingFrame:
    """One frame in a ring. ``pixels`` is the shared memory itself: copy, then ask ``torn``.

    Attributes:
        pixels: (H, W) or (H, W, channels). captured_ns: of the writer's clock, or 0. spacing_mm: (row, column).
    """

    pixels: NDArray[Any]
    captured_ns: int
    spacing_mm: tuple[float, float] | None
    _words: NDArray[np.uint64]
    _stamp: int
    _ring: Ring

    def torn(self) -> bool:
        """Whether the writer has begun to overwrite it, or has taken the memory away."""
        if self._ring.changed:
            return True
        with self._ring.fence:
            return int(self._words[0]) != self._stamp


class Ring:
    """The memory of a ring, mapped.

    Raises:
        ValueError: it is none, or damaged. FileNotFoundError, OSError: it is not there.
    """

    def __init__(self, path: Path, writable: bool = False) -> None:
        with path.open("r+b" if writable else "rb") as file:
            self.identity = _identity(os.fstat(file.fileno()))
            memory = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_WRITE if writable else mmap.ACCESS_READ)
        self._memory, self._bytes = memory, np.frombuffer(memory, np.uint8)
        # Taking and giving back a lock orders memory on every processor, as reading a number does not.
        self.fence = threading.Lock()
        if self._bytes.size < _HEAD or self._bytes[:8].tobytes() != MAGIC:
            raise ValueError("it is no ring of frames")
        self.slots = int(self._bytes[_SLOTS : _SLOTS + 4].view("<u4")[0])
        self._slot_bytes = self._word(_SLOT_BYTES)
        if self.slots < 4 or self._slot_bytes < _HEAD or self._slot_bytes % 64:
            raise ValueError("its header is damaged")
        if _HEAD + self.slots * self._slot_bytes > self._bytes.size:
            raise ValueError("it is smaller than its header says")
        self._head, self._counted, self._gone = self._bytes[:_WRITTEN].tobytes(), 0, False

    @property
    def changed(self) -> bool:
        """Whether its writer has shrunk the file or written another header: what was mapped is no longer this ring, nor
        will it be again."""
        if not self._gone:
            self._gone = self._memory.size() < self._bytes.size or self._bytes[:_WRITTEN].tobytes() != self._head
        return self._gone

    @property
    def written(self) -> int:
        """Frames so far; 0 where it has ``changed``.

        A count whose newest frame is not there is damaged: the one before it stands.
        """
        if self.changed:
            return 0
        with self.fence:
            count = self._word(_WRITTEN)
            if count == 0 or int(self._slot(count - 1)[:8].view("<u8")[0]) >= 2 * count:
                self._counted = count
        return self._counted

    @property
    def ended(self) -> bool:
        """Whether the writer has ended, or the file is no longer the ring that was opened."""
        return self.changed or self._word(_ENDED) != 0

    def is_at(self, path: Path) -> bool:
        """Whether the name still leads to this memory."""
        try:
            return _identity(path.stat()) == self.identity
        except OSError:
            return False

    def frame(self, number: int) -> RingFrame | None:
        """Frame ``number``, or None when it has been overwritten.

        Raises:
            ValueError: what the slot says cannot be, or the ring has ``changed``.
        """
        if self.changed:
            raise ValueError("the writer changed the ring while it was read")
        slot = self._slot(number)
        words, stamp = slot[:16].view("<u8"), 2 * number + 2
        if int(words[0]) != stamp:
            return None
        with self.fence:
            captured_ns = int(words[1])
        height, width, channels, kind = (int(value) for value in slot[_SHAPE : _SHAPE + 16].view("<u4"))
        row, column = (float(value) for value in slot[_SPACING : _SPACING + 16].view("<f8"))
        if not (0 < height * width <= MAX_PIXELS and channels in (1, 3, 4) and kind in TYPES):
            raise ValueError(f"a frame of {width}×{height}×{channels} pixels of type {kind}")
        shape = (height, width) if channels == 1 else (height, width, channels)
        size = math.prod(shape) * TYPES[kind].itemsize
        if size > self._slot_bytes - _HEAD:
            raise ValueError(f"a frame of {width}×{height}×{channels} pixels is larger than its slot")
        pixels = slot[_HEAD : _HEAD + size].view(TYPES[kind]).reshape(shape)
        return RingFrame(pixels, captured_ns, plausible_spacing((row, column)), words, stamp, self)

    def _slot(self, number: int) -> NDArray[np.uint8]:
        start = _HEAD + (number % self.slots) * self._slot_bytes
        return self._bytes[start : start + self._slot_bytes]

    def _word(self, offset: int) -> int:
        return int(self._bytes[offset : offset + 8].view("<u8")[0])


class RingWriter(Ring):
    """Makes a ring, in place of any of that name whose writer is gone. Frames are at most ``frame_bytes`` large.

    Args:
        before: the writer's own ring, to be replaced by a larger one.

    Raises:
        OSError: no room, no right to, or something else has that name.
    """

    def __init__(self, path: Path, frame_bytes: int, slots: int = 8, before: RingWriter | None = None) -> None:
        if before is None or not before.is_at(path):
            refuse_taken(path)
        slot_bytes = _HEAD + -(-frame_bytes // 64) * 64
        handle = _made(path, slots, slot_bytes)
        super().__init__(path, writable=True)
        self.frame_bytes = slot_bytes - _HEAD
        self._path, self._handle = path, handle
        self._next = 0

    def begin(self, shape: tuple[int, ...], dtype: np.dtype) -> NDArray[Any]:
        """Open the next slot. Returns its pixels, to be written before ``commit``."""
        slot = self._slot(self._next)
        slot[:8].view("<u8")[0] = 2 * self._next + 1
        kind = next(code for code, known in TYPES.items() if known == dtype)
        with self.fence:
            slot[_SHAPE : _SHAPE + 16].view("<u4")[:] = (*shape[:2], shape[2] if len(shape) == 3 else 1, kind)
        return slot[_HEAD : _HEAD + math.prod(shape) * dtype.itemsize].view(dtype).reshape(shape)

    def commit(self, captured_ns: int, spacing_mm: tuple[float, float] | None) -> None:
        """Hand the slot to the readers."""
        slot = self._slot(self._next)
        slot[_CAPTURED : _CAPTURED + 8].view("<u8")[0] = captured_ns
        slot[_SPACING : _SPACING + 16].view("<f8")[:] = spacing_mm or (0.0, 0.0)
        with self.fence:
            slot[:8].view("<u8")[0] = 2 * self._next + 2
        self._next += 1
        with self.fence:
            self._bytes[_WRITTEN : _WRITTEN + 8].view("<u8")[0] = self._next

    def close(self) -> None:
        self._bytes[_ENDED : _ENDED + 8].view("<u8")[0] = 1
        if self.is_at(self._path):
            self._path.unlink(missing_ok=True)
        os.close(self._handle)


def _made(path: Path, slots: int, slot_bytes: int) -> int:
    """Make an empty ring of that name, whole from the start. Returns its handle, which holds the writer's lock."""
    if sys.platform != "linux":
        raise UsageError(_LINUX_ONLY)
    import fcntl  # not on every system

    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    handle = os.open(temporary, os.O_RDWR | os.O_CREAT | os.O_TRUNC, 0o600)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX)  # until it is closed: the system gives it back when the writer is killed
        os.posix_fallocate(handle, 0, _HEAD + slots * slot_bytes)  # memory that is short is known now
        os.pwrite(handle, MAGIC + slots.to_bytes(8, "little") + slot_bytes.to_bytes(8, "little"), 0)
        os.replace(temporary, path)
    except OSError:
        os.close(handle)
        temporary.unlink(missing_ok=True)
        raise
    return handle


def refuse_taken(path: Path) -> None:
    """Raises OSError when a living writer of ours, or another program, has that name."""
    if sys.platform != "linux":
        raise UsageError(_LINUX_ONLY)
    import fcntl

    try:
        with path.open("rb") as file:
            if file.read(len(MAGIC)) not in (MAGIC, b""):
                raise FileExistsError(errno.EEXIST, "another program's memory has that name")
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except FileNotFoundError:
        return
    except BlockingIOError:
        raise FileExistsError(errno.EEXIST, "another stream writes it: choose another name") from None


def _identity(status: os.stat_result) -> tuple[int, int]:
    return status.st_dev, status.st_ino
