"""Which files are opened by Python within a block, by the interpreter's own trace."""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path

_counts: list[Counter[str]] = []


@contextmanager
def opened_files() -> Iterator[Counter[str]]:
    """Name of the file → how often it was opened, filled in while the block runs."""
    _hook()
    counted: Counter[str] = Counter()
    _counts.append(counted)
    try:
        yield counted
    finally:
        _counts.remove(counted)


@cache
def _hook() -> None:
    """Once: nothing removes an audit hook, and without a block it does nothing."""

    def count(event: str, arguments: tuple[object, ...]) -> None:
        if _counts and event == "open":
            for counted in _counts:
                counted[Path(str(arguments[0])).name] += 1

    sys.addaudithook(count)
