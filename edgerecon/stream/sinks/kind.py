"""What a sink says of itself: one record at the end of its file, from which every list of sinks is made."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from edgerecon.core.errors import UsageError
from edgerecon.core.records import Records
from edgerecon.stream.sinks.base import Sink
from edgerecon.stream.sources.query import Query, parse_query, split_query
from edgerecon.stream.uri import file_path

GROUP = "edgerecon.sinks"
"""Entry points of other packages: ``name = "module:SINK"``."""

FOLDERS = ("edgerecon.stream.sinks.files", "edgerecon.stream.sinks")


@dataclass(frozen=True)
class SinkKind:
    """One kind of sink: a recording's format, or a place where frames are shown.

    Attributes:
        name: as lists spell it. title: with its article, as sentences spell it.
        open: (place, options) → sink. The place is the absolute path of a recording, or an address without its options.
            Raises UsageError, SinkError, DependencyError.
        check: (place, options); raises UsageError where ``open`` would, and opens nothing. None: nothing to check but
            the options and what every address has.
        endings: of the recordings' names, in small letters.
        words: that an address begins with, up to ``:`` or ``?``, such as "viewer". schemes: of addresses.
        addresses: how an address is written, for people.
        options: what may follow ``?``. None: what follows belongs to the address, and ``open`` gets it as it is.
        records: whether it keeps every frame, as a file does, at an address.
        folder: whether the address names a folder in which the sink makes and deletes files.
        shared: whether several streams may name one address. watched: whether somebody follows the frames as they come,
            so that the stream keeps a pace.
    """

    name: str
    title: str
    open: Callable[[str, Query], Sink]
    check: Callable[[str, Query], object] | None = None
    endings: tuple[str, ...] = ()
    words: tuple[str, ...] = ()
    schemes: tuple[str, ...] = ()
    addresses: tuple[str, ...] = ()
    options: tuple[str, ...] | None = ()
    records: bool = False
    folder: bool = False
    shared: bool = False
    watched: bool = False

    def split(self, uri: str) -> tuple[str, Query]:
        """Place and options, as ``open`` takes them.

        Raises:
            UsageError: not a name of a file.
        """
        if self.endings:
            text, query = split_query(uri)
            return str(path_of(text)), query
        place, _, options = (uri, "", "") if self.options is None else uri.partition("?")
        return place, parse_query(options)


@cache
def sink_kinds() -> Mapping[str, SinkKind]:
    """Every kind of sink by name: those of this package, then those of other packages."""
    return Records(SinkKind, "SINK", FOLDERS, GROUP)


def kind_of(uri: str) -> SinkKind | None:
    """The kind of a sink, by the word or scheme that its address begins with, or by the ending of a path."""
    kinds, word = sink_kinds().values(), word_of(uri)
    named = next((kind for kind in kinds if word in kind.words), None)
    if named is not None:
        return named
    if "://" in uri and word != "file":
        return next((kind for kind in kinds if word.lower() in kind.schemes), None)
    ending = Path(split_query(uri)[0]).suffix.lower()
    return next((kind for kind in kinds if ending in kind.endings), None)


def word_of(uri: str) -> str:
    """What comes before the port of a sink's address, e.g. "viewer"; all of a path."""
    return re.split("[:?]", uri, maxsplit=1)[0]


def recording_endings() -> tuple[str, ...]:
    """How the names of recordings end."""
    return tuple(ending for kind in sink_kinds().values() for ending in kind.endings)


def known_sinks() -> str:
    """What ``open_sink`` takes, for messages and help."""
    addresses = sorted(address for kind in sink_kinds().values() for address in kind.addresses)
    return f"a path ending in {', '.join(sorted(recording_endings()))}, or {', '.join(addresses)}"


def path_of(text: str) -> Path:
    """The absolute path of a file or folder: a library takes the relative 10:30.mp4 for a protocol.

    Raises:
        UsageError: it is no name of a file.
    """
    try:
        return file_path(text).absolute()
    except ValueError as error:  # ~ and a character of code 0
        raise UsageError(f"'{text}' is no name of a file: {error}") from error
