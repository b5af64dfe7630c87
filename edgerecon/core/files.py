"""Files that are there whole or not at all, whatever interrupts their writing, and that are read within a limit."""

from __future__ import annotations

import errno
import os
import stat
import sys
from contextlib import suppress
from pathlib import Path

from edgerecon.core.errors import EdgereconError


def write(path: Path, content: bytes) -> None:
    """Write beside the file, then rename: POSIX replaces the old one in a single step, and a loss of power leaves one.

    A device or a pipe (/dev/null, /dev/stdout) is written to: a rename would put a file in its place.

    Raises:
        EdgereconError: the folder cannot be written, the disk is full, or no file can have that name.
    """
    try:
        if path.exists() and not path.is_file() and not path.is_dir():
            path.write_bytes(content)
            return
        partial = path.with_name(f".{path.name}.partial")
        try:
            partial.write_bytes(content)
            put_in_place(partial, path)
        finally:
            with suppress(OSError):
                partial.unlink()
    except (OSError, ValueError) as error:
        raise EdgereconError(f"cannot write {path}: {getattr(error, 'strerror', None) or error}") from None


def put_in_place(temporary: Path, path: Path) -> None:
    """Give a file or folder its final name, once all of it is on the disk: after a loss of power it is there whole.

    Raises:
        OSError: the disk is full or fails, or the folder cannot be written.
    """
    for part in (temporary, *(sorted(temporary.rglob("*")) if temporary.is_dir() else ())):
        flush(part)
    os.replace(temporary, path)
    sync_folder(path.parent)


def sync_folder(folder: Path) -> None:
    """Make the names in a folder survive a loss of power, where its file system can."""
    try:
        flush(folder)
    except OSError as error:
        if error.errno not in (errno.EINVAL, errno.ENOTSUP):
            raise


def flush(path: Path) -> None:
    """Wait until a file or folder is on the disk.

    Raises:
        OSError: the disk is full or fails.
    """
    if sys.platform == "win32":  # where folders cannot be opened, and only what may be written is flushed
        if path.is_dir():
            return
        handle = os.open(path, os.O_RDWR)
    else:
        handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


_READ = os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0)  # each system has one of them


def read(path: Path, limit: int) -> bytes:
    """The content of a plain file of at most ``limit`` bytes.

    A FIFO is not waited for, and /dev/zero is not read: the opened file itself is asked what it is.

    Raises:
        OSError: it is absent or unreadable, no plain file (EINVAL) or larger (EFBIG). ValueError: the name holds NUL.
    """
    with open(os.open(path, _READ), "rb") as file:
        facts = os.fstat(file.fileno())
        if stat.S_ISDIR(facts.st_mode):
            raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR))
        if not stat.S_ISREG(facts.st_mode):
            raise OSError(errno.EINVAL, "it is no plain file")
        content = file.read(limit + 1) if facts.st_size <= limit else b""
        if facts.st_size > limit or len(content) > limit:
            size = max(facts.st_size, len(content))
            raise OSError(errno.EFBIG, f"it has {size >> 20} MB, the limit is {limit >> 20} MB")
    return content
