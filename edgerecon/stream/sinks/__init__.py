"""Sinks of frames: one file per kind of output."""

from __future__ import annotations

import re
from pathlib import Path

from edgerecon.errors import UsageError
from edgerecon.stream.sinks.base import Sink, StreamInfo
from edgerecon.stream.sinks.web.address import parse

__all__ = ["Sink", "StreamInfo", "open_sink"]


def open_sink(uri: str) -> Sink:
    """Make the sink that a name or a path asks for. Files are written when the stream opens it.

    Args:
        uri: "null"; "viewer" or "metrics", each with :PORT or :HOST:PORT and ?name=…&cert=…&key=…; a path ending
            in .mp4 (before | after) or .npz.

    Raises:
        UsageError: anything else.
        SinkError: the port is taken, or the certificate cannot be used.
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
    kind = re.split("[:?]", uri, maxsplit=1)[0]
    if kind == "viewer":
        from edgerecon.stream.sinks.viewer import ViewerSink
        from edgerecon.stream.sinks.viewer.sink import PORT as VIEWER_PORT

        return ViewerSink(parse(uri, VIEWER_PORT))
    if kind == "metrics":
        from edgerecon.stream.sinks.metrics import PORT as METRICS_PORT
        from edgerecon.stream.sinks.metrics import MetricsSink

        return MetricsSink(parse(uri, METRICS_PORT))
    path = Path(uri).expanduser()
    if path.suffix.lower() == ".mp4":
        from edgerecon.stream.sinks.mp4 import Mp4Sink

        return Mp4Sink(path)
    if path.suffix.lower() == ".npz":
        from edgerecon.stream.sinks.npz import NpzSink

        return NpzSink(path)
    raise UsageError(f"unknown sink '{uri}': give a path ending in .mp4 or .npz, viewer, viewer:PORT, or null")
