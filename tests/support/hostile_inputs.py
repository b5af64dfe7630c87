"""Small inputs made by code that tools of this kind have crashed, hung or filled the memory on."""

from __future__ import annotations

import os
from pathlib import Path

DIGITS = "9" * 5000
"""An integer that Python refuses to read, since it would take quadratic time (CVE-2020-10735)."""

TEXTS = (
    "",
    "a\0b",
    "x" * 5000,
    "[::1",
    "http://[::1",
    "igtl://[::1",
    "rtsp://[::1/",
    "\udcff\udcfe",
    "a\nb\x1b[2J",
    "²",
    "9.²",
    DIGITS,
    f"a:{DIGITS}",
    "a?b=\0",
    "/dev/zero",
    "%00",
)
"""Names, addresses and numbers in words."""

NUMBERS = ("", "nan", "inf", "-inf", "-1", "1e400", "²", DIGITS, "0x10", "1_000")


def files(folder: Path) -> list[Path]:
    """Files of any kind under names that choose a reader by their ending, and a FIFO that nobody writes to."""
    folder.mkdir(parents=True, exist_ok=True)
    contents = {
        "empty": b"",
        "deep.json": b"[" * 100_000,
        "deep.toml": b"a = " + b"[" * 100_000,
        "digits.json": b'{"schema": ' + DIGITS.encode() + b"}",
        "digits.toml": b"a = " + DIGITS.encode(),
        "latin1.toml": b"a = '\xe4'",
        "text.onnx": b"<html>404 not found</html>",
        "zeros.tar.gz": bytes(64),
        "noise.pt": bytes(range(256)) * 8,
    }
    made = []
    for name, content in contents.items():
        (folder / name).write_bytes(content)
        made.append(folder / name)
    for name in ("fifo", "fifo.onnx", "fifo.toml"):
        if not (folder / name).exists():
            os.mkfifo(folder / name)
        made.append(folder / name)
    (folder / "folder.onnx").mkdir(exist_ok=True)
    return [*made, folder / "folder.onnx"]


def two_formats(onnx: bytes, identifier: bytes) -> bytes:
    """An ONNX file with a FlatBuffers identifier at offset 4, where runtimes look for it: both readers accept it.

    The first field, producer_name (2, with a length), holds the identifier; a later one of the same number replaces it.
    """
    assert len(identifier) == 4
    return b"\x12\x06xx" + identifier + onnx
