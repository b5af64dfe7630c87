"""Watches what a program asks of the disk, for the order of it decides what a loss of power leaves."""

from __future__ import annotations

import os
from pathlib import Path

import pytest


def calls_to_the_disk(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Grows by "flush NAME" and "rename OLD" with each ``os.fsync`` and ``os.replace`` from now on."""
    done: list[str] = []
    flush, rename = os.fsync, os.replace

    def fsync(handle: int) -> None:
        done.append(f"flush {Path(os.readlink(f'/proc/self/fd/{handle}')).name}")
        flush(handle)

    def replace(old: Path, new: Path) -> None:
        done.append(f"rename {Path(old).name}")
        rename(old, new)

    monkeypatch.setattr(os, "fsync", fsync)
    monkeypatch.setattr(os, "replace", replace)
    return done
