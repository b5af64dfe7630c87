"""A file or folder under a temporary name until it is whole."""

from __future__ import annotations

import ctypes
import os
import re
import shutil
import stat
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from glob import escape
from pathlib import Path

from edgerecon.core.errors import SinkError
from edgerecon.core.files import put_in_place
from edgerecon.stream.sinks.kind import recording_endings

_PART = re.compile(r"\.(?P<name>.+)\.(?P<pid>[0-9]+)(-[0-9]+)?\.part", re.DOTALL)
_LONGEST_PID = 12
_QUERY_LIMITED_INFORMATION, _ACCESS_DENIED = 0x1000, 5  # winnt.h, winerror.h


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
            if not path.parent.is_dir():
                raise SinkError(f"cannot write {path}: there is no folder {path.parent}: make it, or give another")
            self.temporary = _new_file(path)

    def finish(self, whole: Path | None = None) -> None:
        """``whole``: what takes the name, where it is not ``temporary``."""
        with written(self.path):
            put_in_place(whole or self.temporary, self.path)

    def discard(self) -> None:
        """Remove the temporary file or folder."""
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


@dataclass(frozen=True)
class Leftover:
    """A recording that was cut off: its process ended without finishing it.

    Attributes:
        path: what lies there. name: the file that it was to become.
    """

    path: Path
    name: str


def leftovers(folder: Path, endings: tuple[str, ...] | None = None) -> list[Leftover]:
    """Files of a folder that were cut off, in the order of their names. What a process still writes is not one.

    Args:
        endings: of their names; those of recordings when None.
    """
    endings, found = recording_endings() if endings is None else endings, []
    with suppress(OSError):
        for path in sorted(folder.iterdir()):
            match = _PART.fullmatch(path.name)
            if not match or not match["name"].lower().endswith(endings) or not is_own(path):
                continue
            if not _is_written(path, match["pid"]):
                found.append(Leftover(path, match["name"]))
    return found


def refuse_second_writer(path: Path) -> None:
    """Refuse a recording that another process writes: the one that ends later would take the place of the other.

    Raises:
        SinkError: a living process has begun a file of that name.
    """
    with suppress(OSError):
        for part in path.parent.glob(f".{escape(path.name)}.*.part"):
            match = _PART.fullmatch(part.name)
            if match and match["name"] == path.name and int(match["pid"]) != os.getpid():
                if is_own(part) and _is_written(part, match["pid"]):
                    raise SinkError(
                        f"cannot write {path}: process {match['pid']} is writing it: end that one, or take another name"
                    )


def is_own(path: Path) -> bool:
    """Whether it is a file or a folder: recordings are no links, pipes or devices, which could be read without end."""
    mode = path.lstat().st_mode
    return stat.S_ISREG(mode) or stat.S_ISDIR(mode)


def _is_written(path: Path, number: str) -> bool:
    """Whether that process lives and began before the file was last written: it may be of a later one's number."""
    pid = int(number) if len(number) < _LONGEST_PID else 0
    if not pid or not _lives(pid):
        return False
    began_s = _began_s(pid)
    return began_s is None or began_s <= path.stat().st_mtime


def _lives(pid: int) -> bool:
    """Whether a process has that number; yes, too, when it may not be asked."""
    if sys.platform == "win32":  # where os.kill(pid, 0) sends Ctrl-C
        handle = ctypes.windll.kernel32.OpenProcess(_QUERY_LIMITED_INFORMATION, False, pid)
        if handle:
            ctypes.windll.kernel32.CloseHandle(handle)
        return bool(handle) or ctypes.windll.kernel32.GetLastError() == _ACCESS_DENIED
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except (PermissionError, OverflowError):  # somebody else's; no number of a process
        pass
    return True


def _began_s(pid: int) -> float | None:
    """When a process began, in the file system's time; None where the system does not tell."""
    if sys.platform != "linux":
        return None
    try:
        ticks = int(Path(f"/proc/{pid}/stat").read_text("utf-8", "replace").rpartition(")")[2].split()[19])
        booted = re.search(r"^btime (\d+)$", Path("/proc/stat").read_text("ascii", "replace"), re.MULTILINE)
    except (OSError, ValueError, IndexError):
        return None
    return int(booted[1]) + ticks / os.sysconf("SC_CLK_TCK") if booted else None
