"""Whether a stream has to keep a pace: from a recording into files nobody watches, and no frame need be lost."""

from __future__ import annotations

from collections.abc import Sequence

from edgerecon.stream.sinks.kind import kind_of
from edgerecon.stream.sources.base import Source


def is_conversion(source: Source, sinks: Sequence[str]) -> bool:
    """Whether a recording goes into files or archives, and nobody watches. ``sinks``: as ``open_sink`` takes them."""
    kinds = [kind_of(uri) for uri in sinks]
    if getattr(source, "live", False) or not any(kind is not None and (kind.endings or kind.records) for kind in kinds):
        return False
    return all(kind is not None and not kind.watched for kind in kinds)
