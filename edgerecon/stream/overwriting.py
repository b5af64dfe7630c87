"""Refuses outputs that would overwrite what is read, or one another, before anything is opened."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from edgerecon.core.errors import UsageError
from edgerecon.stream.sinks.base import Sink
from edgerecon.stream.sinks.kind import kind_of
from edgerecon.stream.sources.base import Source
from edgerecon.stream.sources.query import split_query
from edgerecon.stream.uri import file_path

_HEADER_BYTES = 1_000_000
_NUMBER = re.compile(r"%[-+ #0]*\d*d")


@dataclass(frozen=True)
class _Place:
    """A file or folder, as it was named. ``folder``: whether its user makes and deletes files in it."""

    text: str
    path: Path
    folder: bool = False


def refuse_overwriting(sources: Sequence[str], sinks: Sequence[str], others: Sequence[Path] = ()) -> None:
    """Check every output against every source, and against the other outputs.

    Spellings do not matter: relative paths, links of both kinds, ``file://``, another case on a disk that ignores it.
    The data files that a header names (MetaImage, NRRD) and all that a source folder holds count as the source.

    Args:
        sources, sinks: as ``open_source`` and ``open_sink`` take them.
        others: further files that are written, as a report.

    Raises:
        UsageError: two of them are the same.
    """
    for uri in sinks:
        if uri != "null" and sinks.count(uri) > 1:
            raise UsageError(f"{sinks.count(uri)} sinks are {uri}: give each its own")
    read = [place for uri in sources for place in _read_by(uri)]
    read += [place for uri in sinks if (place := _reference_of(uri))]
    written = [place for uri in sinks if (place := _written_by(uri))]
    written += [_Place(str(path), path) for path in others if not _is_special(path)]
    _refuse(read, written)


def refuse_opened_overwriting(source: Source, sinks: Sequence[Sink]) -> None:
    """The same for a source and sinks that were made already, by what these say of themselves.

    Raises:
        UsageError: two of them are the same.
    """

    def places(attribute: str, folder: bool = False) -> list[_Place]:
        found = [(sink.name, getattr(sink, attribute, None)) for sink in sinks]
        return [_Place(name, path, folder) for name, path in found if isinstance(path, Path)]

    if written := places("path") + places("folder", folder=True):
        _refuse([*_read_by(getattr(source, "uri", "")), *places("refers_to")], written)


def _refuse(read: Sequence[_Place], written: Sequence[_Place]) -> None:
    for number, place in enumerate(written):
        for source in read:
            if _is_same(place.path, source.path) or _lies_in(place, source) or _lies_in(source, place):
                raise UsageError(f"{place.text} would overwrite the source {source.text}: write to another place")
        for other in written[:number]:
            if _is_same(place.path, other.path, new=True) or _lies_in(place, other) or _lies_in(other, place):
                raise UsageError(f"{other.text} and {place.text} are written to one place: give each its own")


def _read_by(uri: str) -> Iterator[_Place]:
    """All files of a source; none of a live one."""
    if "://" in uri and not uri.startswith("file://"):
        return
    text, _ = split_query(uri)
    path = _path_of(text) if text else None
    if path is None:
        return
    yield _Place(uri, path, path.is_dir())
    if path.suffix.lower() in (".mhd", ".nhdr") and path.is_file():
        for part in _named_in(path):
            yield _Place(f"{uri} ({part.name})", part)


def _written_by(uri: str) -> _Place | None:
    kind = kind_of(uri)
    if kind is not None and kind.folder:
        folder = _path_of(uri.partition(":")[2])
        return _Place(uri, folder, folder=True) if folder else None
    if kind is None or not kind.endings:
        return None
    path = _path_of(split_query(uri)[0])
    return _Place(uri, path) if path else None


def _reference_of(uri: str) -> _Place | None:
    """The file that a DICOM sink refers to."""
    source = split_query(uri)[1].get("source")
    path = _path_of(source) if source else None
    return _Place(str(source), path) if path else None


def _path_of(text: str) -> Path | None:
    """None for what is no path; opening it says why."""
    try:
        path = file_path(text)
        path.exists()
    except (ValueError, UsageError):
        return None
    return path


def _named_in(header: Path) -> Iterator[Path]:
    """Files beside a header whose name stands in it: behind a key, on a line of its own, or as a pattern of numbers."""
    with header.open("rb") as file:
        lines = file.read(_HEADER_BYTES).decode("utf-8", "replace").splitlines()
    for line in lines:
        for text in {line.strip(), *(value.strip() for value in re.split("[=:]", line, maxsplit=1)[1:])}:
            if not text or "\0" in text:
                continue
            pattern = _NUMBER.sub("*", text.split()[0])
            if pattern != text.split()[0] and not os.path.isabs(pattern):
                yield from header.parent.glob(pattern)
            elif len(text) < 1024 and (header.parent / text).is_file():
                yield header.parent / text


def _is_same(one: Path, other: Path, new: bool = False) -> bool:
    """``new``: whether files that are not there yet are compared too, even by names that differ in case alone."""
    try:
        return os.path.samefile(one, other)
    except OSError:
        if not new:
            return False
        return str(one.resolve()).casefold() == str(other.resolve()).casefold()


def _lies_in(place: _Place, folder: _Place) -> bool:
    if not folder.folder:
        return False
    return any(_is_same(parent, folder.path, new=True) for parent in place.path.resolve().parents)


def _is_special(path: Path) -> bool:
    return str(path) == "-" or (path.exists() and not path.is_file())
