"""Rules for files that Windows has and Linux has not, as an audit hook: what breaks one is refused.

Windows neither renames nor deletes a file that is open or mapped, puts nothing in the place of one that is, flushes
only what may be written, allows no ``< > : " | ? *`` in a name, and has neither ``/proc`` nor ``/sys`` nor ``/dev``.
"""

from __future__ import annotations

import ctypes
import errno
import os
import sys
import threading
from contextlib import suppress
from types import SimpleNamespace
from typing import Any

RESERVED = frozenset('<>:"|?*')
ABSENT = ("/proc/", "/sys/", "/dev/")
_thread = threading.local()
"""Whether this thread looks at ``/proc`` itself: each sink has a thread of its own."""


def emulate() -> None:
    """From now on, in this process."""
    fsync = os.fsync

    def flush(handle: int) -> None:
        with suppress_rules():
            flags = next(line for line in _lines(f"/proc/self/fdinfo/{handle}") if line.startswith("flags:"))
        if int(flags.split()[1], 8) & os.O_ACCMODE == os.O_RDONLY:
            raise OSError(errno.EBADF, "flushed, and open for reading only")
        fsync(handle)

    os.fsync = flush  # type: ignore[assignment]
    ctypes.windll = SimpleNamespace(kernel32=_Kernel32)  # type: ignore[attr-defined]
    sys.addaudithook(_judge)


class _Kernel32:
    """Which processes there are."""

    @staticmethod
    def OpenProcess(access: int, inherit: bool, pid: int) -> int:
        with suppress_rules():
            return int(os.path.exists(f"/proc/{pid}"))

    @staticmethod
    def CloseHandle(handle: int) -> None: ...

    @staticmethod
    def GetLastError() -> int:
        return 87  # ERROR_INVALID_PARAMETER: no such process


class suppress_rules:
    """While this thread looks at ``/proc`` itself."""

    def __enter__(self) -> None:
        _thread.looks = True

    def __exit__(self, *_: object) -> None:
        _thread.looks = False


def _judge(event: str, arguments: tuple[Any, ...]) -> None:
    if getattr(_thread, "looks", False):
        return
    if event == "open" and isinstance(arguments[0], str | bytes | os.PathLike):
        path = os.fsdecode(arguments[0])
        if path.startswith(ABSENT):
            raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), path)
        if _writes(arguments):
            _refuse_name(path)
    elif event == "os.mkdir":
        _refuse_name(os.fsdecode(arguments[0]))
    elif event == "os.rename":
        source, target = os.fsdecode(arguments[0]), os.fsdecode(arguments[1])
        _refuse_name(target)
        for path in (source, target):
            _refuse_open(path)
    elif event in ("os.remove", "os.rmdir"):
        _refuse_open(os.fsdecode(arguments[0]))


def _writes(arguments: tuple[Any, ...]) -> bool:
    mode, flags = arguments[1], arguments[2]
    return any(letter in (mode or "") for letter in "wax+") or bool(isinstance(flags, int) and flags & os.O_CREAT)


def _refuse_name(path: str) -> None:
    if RESERVED & set(os.path.basename(path)):
        raise OSError(errno.EINVAL, "no name of a file on Windows", path)


def _refuse_open(path: str) -> None:
    real = os.path.realpath(path)
    with suppress_rules():
        held = set(_open_files()) | {line.split(None, 5)[-1].rstrip("\n") for line in _lines("/proc/self/maps")}
    if any(one == real or one.startswith(f"{real}/") for one in held):
        raise PermissionError(errno.EACCES, "renamed or deleted, and open in this process", path)


def _open_files() -> list[str]:
    found = []
    for handle in os.listdir("/proc/self/fd"):
        with suppress(OSError):
            found.append(os.readlink(f"/proc/self/fd/{handle}"))
    return found


def _lines(path: str) -> list[str]:
    with open(path, encoding="utf-8") as file:
        return file.readlines()
