"""Whether a stream has to keep a pace: from a recording into files nobody watches, and no frame need be lost."""

from __future__ import annotations

from collections.abc import Sequence

from edgerecon.stream.sinks.base import Sink
from edgerecon.stream.sinks.black_box import BlackBoxSink
from edgerecon.stream.sinks.files.file_sink import FileSink
from edgerecon.stream.sinks.null import NullSink
from edgerecon.stream.sources.base import Source


def is_conversion(source: Source, sinks: Sequence[Sink]) -> bool:
    """Whether a recording goes into files alone."""
    if getattr(source, "live", False) or not any(isinstance(sink, FileSink) for sink in sinks):
        return False
    return all(isinstance(sink, FileSink | BlackBoxSink | NullSink) for sink in sinks)
