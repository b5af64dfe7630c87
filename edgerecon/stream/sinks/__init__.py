"""Sinks of frames: one file per kind of output, each with the record that says how it is asked for."""

from __future__ import annotations

from edgerecon.core.errors import UsageError
from edgerecon.stream.sinks.base import Sink, StreamInfo
from edgerecon.stream.sinks.kind import SinkKind, kind_of, known_sinks
from edgerecon.stream.sources.query import refuse_unknown

__all__ = ["Sink", "SinkKind", "StreamInfo", "open_sink"]


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
    """
    kind = kind_of(uri)
    if kind is None:
        raise UsageError(f"unknown sink '{uri}': give {known_sinks()}")
    place, query = kind.split(uri)
    if kind.options is not None:
        refuse_unknown(query, kind.options, kind.title)
    return kind.open(place, query)
