"""Sinks of frames: one file per kind of output."""

from __future__ import annotations

from pathlib import Path

from edgerecon.errors import UsageError
from edgerecon.stream.sinks.base import Sink, StreamInfo

__all__ = ["Sink", "StreamInfo", "open_sink"]

VIEWER_PORT = 8765


def open_sink(uri: str) -> Sink:
    """Make the sink that a name or a path asks for. Files are written when the stream opens it.

    Args:
        uri: "null", "viewer" or "viewer:PORT" (loopback only), a path ending in .mp4 (before | after) or .npz.

    Raises:
        UsageError: anything else.
        SinkError: the viewer's port is taken.
        DependencyError: an optional package is absent.
    """
    if uri == "null":
        from edgerecon.stream.sinks.null import NullSink

        return NullSink()
    if uri.startswith("igtl://"):
        from edgerecon.stream.sinks.igtl import open_igtl

        return open_igtl(uri)
    if uri.startswith("shm://"):
        from edgerecon.stream.sinks.shm import ShmSink

        return ShmSink(uri.removeprefix("shm://"))
    if uri == "viewer" or uri.startswith("viewer:"):
        from edgerecon.stream.sinks.viewer import ViewerSink

        return ViewerSink(_port(uri))
    path = Path(uri).expanduser()
    if path.suffix.lower() == ".mp4":
        from edgerecon.stream.sinks.mp4 import Mp4Sink

        return Mp4Sink(path)
    if path.suffix.lower() == ".npz":
        from edgerecon.stream.sinks.npz import NpzSink

        return NpzSink(path)
    raise UsageError(f"unknown sink '{uri}': give a path ending in .mp4 or .npz, viewer, viewer:PORT, or null")


def _port(uri: str) -> int:
    text = uri.partition(":")[2]
    if text and not (text.isascii() and text.isdigit() and int(text) < 65536):
        raise UsageError(f"'{text}' is not a port: give viewer:PORT with a number from 1 to 65535")
    return int(text or 0) or VIEWER_PORT
