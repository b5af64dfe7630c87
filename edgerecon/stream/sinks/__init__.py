"""Sinks of frames: one file per kind of output, each with the record that says how it is asked for."""

from __future__ import annotations

from edgerecon.core.errors import UsageError
from edgerecon.stream.sinks.base import Sink, StreamInfo
from edgerecon.stream.sinks.kind import SinkKind, kind_of, known_sinks
from edgerecon.stream.sources.query import Query, refuse_unknown
from edgerecon.stream.uri import split_uri

__all__ = ["Sink", "SinkKind", "StreamInfo", "check_sink", "open_sink"]


def open_sink(uri: str) -> Sink:
    """Make the sink that a name or a path asks for. Files are written when the stream opens it.

    Args:
        uri: "null"; "viewer" or "metrics", each with :PORT or :HOST:PORT and ?name=…&cert=…&key=…; a path ending
            in .mp4 (before | after), .h5, .zarr, .npz, .mha, .nrrd or .dcm (with ?kind=…&source=…&patient=…);
            ``black-box:DIR``; ``igtl://[HOST][:PORT][?version=1]`` to serve OpenIGTLink; ``shm://NAME``. Other
            packages may add kinds, see ``SinkKind``.

    Raises:
        UsageError: anything else, or an option that this kind does not have.
        SinkError: the port is taken, or the certificate cannot be used.
        DependencyError: an optional package is absent.

    Examples:
        >>> open_sink("null").name
        'null'
    """
    kind, place, query = _asked_for(uri)
    return kind.open(place, query)


def check_sink(uri: str) -> None:
    """Refuse what ``open_sink`` would refuse, as far as nothing has to be opened to know it.

    Raises:
        UsageError: see ``open_sink``; or the name holds a character of code 0, which no file's may.
    """
    kind, place, query = _asked_for(uri)
    if "\0" in uri:
        raise UsageError(f"'{uri}' is no name: it holds a character of code 0")
    if "://" in place and not kind.endings:
        split_uri(place)
    if kind.check is not None:
        kind.check(place, query)


def _asked_for(uri: str) -> tuple[SinkKind, str, Query]:
    """The kind of a sink, its place as the kind's ``open`` takes it, and its options."""
    kind = kind_of(uri)
    if kind is None:
        raise UsageError(f"unknown sink '{uri}': give {known_sinks()}")
    place, query = kind.split(uri)
    if kind.options is not None:
        refuse_unknown(query, kind.options, kind.title)
    return kind, place, query
