"""Sinks of frames: one file per kind of output."""

from __future__ import annotations

import re
from os.path import expanduser  # Path.expanduser raises for "~somebody" who is nobody
from pathlib import Path
from urllib.parse import unquote, urlsplit

from edgerecon.core.errors import UsageError
from edgerecon.stream.sinks.base import Sink, StreamInfo
from edgerecon.stream.sinks.files.file_sink import FileSink
from edgerecon.stream.sinks.web.address import parse
from edgerecon.stream.sources.query import Query, refuse_unknown, split_query

__all__ = ["Sink", "StreamInfo", "open_sink"]


def open_sink(uri: str) -> Sink:
    """Make the sink that a name or a path asks for. Files are written when the stream opens it.

    Args:
        uri: "null"; "viewer" or "metrics", each with :PORT or :HOST:PORT and ?name=…&cert=…&key=…; a path ending
            in .mp4 (before | after), .h5, .zarr, .npz, .mha, .nrrd or .dcm (with ?kind=…&source=…&patient=…);
            black-box:DIR; igtl://[HOST][:PORT][?version=1] to serve OpenIGTLink; shm://NAME.

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
        from edgerecon.stream.sinks.metrics.metrics import PORT as METRICS_PORT
        from edgerecon.stream.sinks.metrics.metrics import MetricsSink

        return MetricsSink(parse(uri, METRICS_PORT))
    if uri.startswith("black-box:"):
        from edgerecon.stream.sinks.black_box import BlackBoxSink

        return BlackBoxSink(_path(uri.removeprefix("black-box:")))
    text, query = split_query(uri)
    return recording_sink(_path(text), query, uri)


def _path(text: str) -> Path:
    """Absolute: else a library takes 10:30.mp4 for a protocol."""
    try:
        return Path(expanduser(unquote(urlsplit(text).path) if text.startswith("file://") else text)).absolute()
    except ValueError as error:  # ~ and a character of code 0
        raise UsageError(f"'{text}' is no name of a file: {error}") from error


def recording_sink(path: Path, query: Query, uri: str | None = None) -> FileSink:
    """The sink of a file, by its suffix.

    Raises:
        UsageError: no recording ends so (the message quotes ``uri``), or an option is unknown.
        DependencyError: an optional package is absent.
    """
    suffix = path.suffix.lower()
    if suffix == ".dcm":
        from edgerecon.stream.sinks.files.dicom import DicomSink

        return DicomSink(path, query)
    refuse_unknown(query, (), f"a recording like {path.name}")
    if suffix == ".mp4":
        from edgerecon.stream.sinks.files.mp4 import Mp4Sink

        return Mp4Sink(path)
    if suffix == ".npz":
        from edgerecon.stream.sinks.files.npz import NpzSink

        return NpzSink(path)
    if suffix in (".mha", ".nrrd"):
        from edgerecon.stream.sinks.files.sequence import MetaImageSink, NrrdSink

        return MetaImageSink(path) if suffix == ".mha" else NrrdSink(path)
    from edgerecon.stream.sinks.files.recording import RecordingSink

    if suffix in (".h5", ".hdf5"):
        from edgerecon.stream.sinks.files.hdf5 import Hdf5Store

        return RecordingSink(path, Hdf5Store())
    if suffix == ".zarr":
        from edgerecon.stream.sinks.files.zarr import ZarrStore

        return RecordingSink(path, ZarrStore())
    raise UsageError(
        f"unknown sink '{uri or path}': give a path ending in .mp4, .h5, .zarr, .npz, .mha, .nrrd or .dcm, "
        "black-box:DIR, viewer[:HOST:PORT], metrics[:HOST:PORT], igtl://:PORT, shm://NAME or null"
    )
