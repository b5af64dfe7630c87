"""Where a trace goes: into a file, or to a collector of OpenTelemetry."""

from __future__ import annotations

from pathlib import Path

from edgerecon.core.errors import needed
from edgerecon.stream.loop.trace import FileTrace, Trace
from edgerecon.stream.protocols.otlp import EXTRA, is_collector


def open_trace(place: str, source: str) -> Trace:
    """The trace at a path or at otlp://HOST[:PORT]. ``source``: whose frames these are, for the collector.

    Raises:
        SinkError: the file cannot be written. UsageError: no such address. DependencyError: OpenTelemetry is absent.
    """
    if not is_collector(place):
        return FileTrace(place)
    with needed(EXTRA, "opentelemetry-sdk"):
        from edgerecon.stream.loop.otlp_trace import OtlpTrace
    return OtlpTrace(place, source)


def trace_file(place: str | None) -> Path | None:
    """The file that a trace is written to, if it is one."""
    return None if place is None or is_collector(place) else Path(place)
