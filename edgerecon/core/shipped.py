"""Finds what ships beside the code (export/, kernels/, devices/) in a checkout and in an installed wheel alike."""

from __future__ import annotations

from pathlib import Path

_PACKAGE = Path(__file__).resolve().parents[1]


def resource_dir(room: str) -> Path:
    """Folder of one shipped room.

    Args:
        room: "export", "kernels" or "devices".

    Raises:
        FileNotFoundError: the installation lacks the room (a broken wheel).
    """
    for candidate in (_PACKAGE / "_shipped" / room, _PACKAGE.parent / room):
        if candidate.is_dir():
            return candidate
    raise FileNotFoundError(f"the shipped folder '{room}/' is missing: reinstall edgerecon")
