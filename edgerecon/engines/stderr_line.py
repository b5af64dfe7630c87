"""Leaves out a line that a library writes on stderr by itself and offers no setting against."""

from __future__ import annotations

import os
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress

_STDERR = 2


@contextmanager
def without_line(words: bytes) -> Iterator[None]:
    """Leave out lines that hold ``words``. All others follow when the body has ended, whatever ends it.

    It is the process's own stderr, of all threads: the body should take a moment.
    """
    try:
        said = tempfile.TemporaryFile()
    except OSError:  # the disk is full: the line is shown
        yield
        return
    with said:
        try:
            kept = os.dup(_STDERR)
        except OSError:  # there is no stderr
            yield
            return
        if sys.stderr is not None:
            sys.stderr.flush()
        os.dup2(said.fileno(), _STDERR)
        try:
            yield
        finally:
            os.dup2(kept, _STDERR)
            os.close(kept)
            said.seek(0)
            with suppress(OSError):
                os.write(_STDERR, b"".join(line for line in said if words not in line))
