"""A file or folder under a temporary name until it is whole."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from edgerecon.errors import SinkError


@contextmanager
def written(path: Path) -> Iterator[None]:
    """Turn what the system says about a file into one line.

    Raises:
        SinkError: the body raised OSError or ValueError (FFmpeg's errors are of these kinds).
    """
    try:
        yield
    except (OSError, ValueError) as error:
        reason = " ".join(str(getattr(error, "strerror", None) or error).split())
        raise SinkError(f"cannot write {path}: {reason}") from error


class Part:
    """Keeps ``temporary`` beside ``path``: ``finish`` gives it its final name, ``discard`` removes it.

    Its name is no other's: not that of a second sink for the same file, nor that of a process of the same number that
    was killed, as in a container that starts again.

    Raises:
        SinkError: the folder is missing or cannot be written, or ``path`` is a folder, a pipe or a device.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        with written(path):
            if path.exists() and not path.is_file():
                raise SinkError(f"cannot write {path}: it is {'a folder' if path.is_dir() else 'a pipe or a device'}")
            self.temporary = _new_file(path)

    def finish(self) -> None:
        with written(self.path):
            os.replace(self.temporary, self.path)

    def discard(self) -> None:
        if self.temporary.is_dir():
            shutil.rmtree(self.temporary, ignore_errors=True)
        else:
            self.temporary.unlink(missing_ok=True)


def _new_file(path: Path) -> Path:
    number = 0
    while True:
        name = path.with_name(f".{path.name}.{os.getpid()}{f'-{number}' if number else ''}.part")
        try:
            name.touch(exist_ok=False)
            return name
        except FileExistsError:
            number += 1
