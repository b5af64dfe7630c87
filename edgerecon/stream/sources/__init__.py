"""Sources of frames: one file per kind of recording, each with the record that says how it is recognised."""

from __future__ import annotations

import time
from pathlib import Path

from edgerecon.core.errors import EdgereconError, SourceError, UsageError, first_line, printable
from edgerecon.stream.sources.base import Capture, Source
from edgerecon.stream.sources.kind import (
    SourceKind,
    is_live,
    kind_of_address,
    kind_of_file,
    known_recordings,
    schemes,
    source_kinds,
)
from edgerecon.stream.sources.query import Query, parse_query, refuse_unknown, split_query
from edgerecon.stream.uri import file_path, split_uri

__all__ = ["Capture", "Source", "SourceKind", "check_source", "open_source"]

_TRIED_S = 4  # how long a readable frame is looked for in a recording that begins with damaged ones


def open_source(uri: str) -> Source:
    """Open a recording by what it holds, or by its ending where the content does not tell; or a live source.

    Args:
        uri: a path, with options as in ``channel.uff?range=50``; a file:// address; "sample" for the echocardiography
            cine that ships inside pydicom; or a live source's address: ``igtl://HOST[:PORT][/DEVICE]``, ``shm://NAME``,
            ``sim://[?size=WIDTHxHEIGHT&fps=N]``, ``v4l2:///dev/videoN[?size=WIDTHxHEIGHT&fps=N]``, ``rtsp://…`` or
            ``udp://[@]HOST:PORT``. Other packages may add kinds, see ``SourceKind``. No frame of a live source is
            taken.

    Raises:
        SourceError: missing, empty, of an unknown kind, larger than ``edgerecon.core.frame.MAX_PIXELS``, or without one
            readable frame; nothing is at the address. The message is one line.
        UsageError: an option that this kind does not have, or an address that makes no sense.
        DependencyError: a package that this kind needs is absent.

    Examples:
        >>> source = open_source("sample")
        >>> source.length, next(source.frames()).image.shape
        (30, (240, 320, 3))
        >>> source.close()
    """
    if not uri:
        raise SourceError(f"the source has an empty name: give a file ({known_recordings()})")  # else it is this folder
    kind, place, query = _asked_for(uri)
    if kind.options is not None:
        refuse_unknown(query, kind.options, kind.title)
    try:
        source = kind.open(place, query)
    except EdgereconError:
        raise
    except OSError as error:
        raise SourceError(f"cannot open {uri}: {error.strerror or first_line(error)}") from error
    except Exception as error:  # what decoders and archives raise on damage has no end of kinds
        raise SourceError(f"cannot open {uri}, it is damaged: {first_line(error)}") from error
    source.uri = uri  # type: ignore[attr-defined]  # optional, see ``Source``
    if place not in kind.words and not is_live(uri):
        _refuse_unreadable(source)
        source.name = printable(source.name)
    return source


def check_source(uri: str) -> None:
    """Refuse a name that nothing can have, before anything is opened.

    Raises:
        UsageError: it holds a character of code 0; or a live source's port is out of range.
    """
    if "\0" in uri:
        raise UsageError(f"'{uri}' is no name of a source: it holds a character of code 0")
    if is_live(uri):
        split_uri(uri)


def _asked_for(uri: str) -> tuple[SourceKind, str, Query]:
    """The kind of a source, its place as the kind's ``open`` takes it, and its options."""
    word = next((kind for kind in source_kinds().values() if uri in kind.words), None)
    if word is not None:
        return word, uri, {}
    live = kind_of_address(uri)
    if live is not None:
        place, _, query = (uri, "", "") if live.options is None else uri.partition("?")
        return live, place, parse_query(query)
    scheme, is_address, _ = uri.partition("://")
    if is_address and scheme != "file":
        raise SourceError(f"no source is known by {scheme}://: give a file, or one of {'://, '.join(schemes())}://")
    text, options = split_query(uri)
    path = _path(text)
    try:
        return kind_of_file(path), str(path.absolute()), options  # else a library takes 10:30.mp4 for a protocol
    except OSError as error:
        raise SourceError(f"cannot open {path}: {error.strerror or error}") from error


def _path(text: str) -> Path:
    try:
        return file_path(text)
    except ValueError as error:  # ~ and a character of code 0
        raise SourceError(f"'{text}' is no name of a file: {error}") from error


def _refuse_unreadable(source: Source) -> None:
    fault, start = None, time.monotonic()
    for capture in source.frames():
        if capture.image is not None:
            return
        fault = fault or capture.fault
        if time.monotonic() - start > _TRIED_S:
            fault = f"none in {_TRIED_S} s, and {fault}"
            break
    source.close()
    raise SourceError(f"{source.name} holds no readable frame" + (f": {fault}" if fault else ""))
