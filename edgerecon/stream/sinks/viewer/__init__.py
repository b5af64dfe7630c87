"""The live viewer: before and after in a browser on this machine, with the stream's latency and counters."""

from edgerecon.stream.sinks.viewer.sink import SINK, ViewerSink

__all__ = ["SINK", "ViewerSink"]
