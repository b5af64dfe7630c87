"""Linux's sensors are small files, any of which may be absent, unreadable or empty: none of that is an error."""

from __future__ import annotations

from pathlib import Path

ROOT = Path("/")
"""What ``sys``, ``etc`` and ``var`` lie in."""


def text(path: Path) -> str:
    """What it holds; "" when it cannot be read."""
    try:
        return path.read_text(encoding="ascii", errors="replace").strip()
    except OSError:
        return ""


def integer(path: Path) -> int | None:
    """None when it cannot be read, or holds no whole number."""
    try:
        return int(text(path))
    except ValueError:
        return None


def found(pattern: str) -> list[Path]:
    """Below ``ROOT``, in order."""
    return sorted(ROOT.glob(pattern))
