"""A file that is there whole or not at all, whatever interrupts its writing."""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path

from edgerecon.errors import EdgereconError


def write(path: Path, content: bytes) -> None:
    """Write beside the file, then rename: POSIX replaces the old one in a single step.

    Raises:
        EdgereconError: the folder cannot be written, or the disk is full.
    """
    partial = path.with_name(f".{path.name}.partial")
    try:
        partial.write_bytes(content)
        os.replace(partial, path)
    except OSError as error:
        with suppress(OSError):
            partial.unlink()
        raise EdgereconError(f"cannot write {path}: {error.strerror or error}") from None
