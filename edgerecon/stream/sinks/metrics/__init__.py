"""Counters of the stream for Prometheus, and its health."""

from edgerecon.stream.sinks.metrics.metrics import SINK, MetricsSink

__all__ = ["SINK", "MetricsSink"]
