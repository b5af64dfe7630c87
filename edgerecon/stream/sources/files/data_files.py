"""The files beside a header (.mhd, .nhdr) that hold its pixels: one, those of a list, or those of a pattern."""

from __future__ import annotations

import os
import re
from collections.abc import Sequence
from pathlib import Path

from edgerecon.core.errors import SourceError

_FILES_AT_MOST = 100_000
_LIST = re.compile(r"LIST(?:[\s:]+\d+D?)?", re.IGNORECASE)
_PATTERN = re.compile(r"(?P<before>.*)%(?P<width>0?\d?)d(?P<after>\S*)\s+(?P<numbers>-?\d+(?:\s+-?\d+){1,3})")


def is_list(words: str) -> bool:
    """Whether the names of the files stand on the lines that follow."""
    return _LIST.fullmatch(words) is not None


def data_files(header: Path, words: str, listed: Sequence[str]) -> list[Path]:
    """The files that a header names.

    Args:
        words: a file's name; "LIST", perhaps with the dimension of each file; or a pattern with its first and last
            number and its step, as in ``slice%03d.raw 1 20 1``.
        listed: the lines that follow a "LIST".

    Raises:
        SourceError: see ``beside``; or a list or a pattern without files, or of more than 100 000.
    """
    if is_list(words):
        names = [line.strip() for line in listed if line.strip()]
    elif found := _PATTERN.fullmatch(words):
        names = _numbered(found)
    else:
        return [beside(header, words)]
    if not 0 < len(names) <= _FILES_AT_MOST:
        raise SourceError(f"{header.name} names {len(names)} data files: 1 to {_FILES_AT_MOST:,} are read")
    return [beside(header, name) for name in names]


def _numbered(found: re.Match[str]) -> list[str]:
    first, last, *others = (int(word) for word in found["numbers"].split())
    step = others[0] if others else 1
    numbers = range(first, last + (1 if step > 0 else -1), step) if step else range(0)
    return [f"{found['before']}{number:{found['width']}d}{found['after']}" for number in numbers[: _FILES_AT_MOST + 1]]


def beside(header: Path, name: str) -> Path:
    """A data file that a header names.

    Header and data may be symbolic links, as git-annex and DVC make them: the data are looked for beside the link and
    beside what it leads to.

    Raises:
        SourceError: the name leads out of the header's folder (a header must not make us read other files), or there
            is no such file.
    """
    folders = (Path(os.path.abspath(header)).parent, header.resolve().parent)
    places = [Path(os.path.normpath(folder / name)) for folder in folders]
    if not any(place.is_relative_to(folder) for place in places for folder in folders):
        raise SourceError(f"{header.name} refers to data outside its own folder ({name}): put them beside it")
    for place in places:
        if any(place.is_relative_to(folder) for folder in folders) and place.is_file():
            return place
    if any(place.exists() for place in places):
        raise SourceError(f"{header.name} refers to {name}, which is no file")
    raise SourceError(f"{header.name} refers to {name}, which is not beside it")
