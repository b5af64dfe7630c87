"""Classical filters before and after the model of a stream: one record a filter, OpenCV does the work."""

from __future__ import annotations

from edgerecon.stream.filters.filter import StreamFilter, open_filters, stream_filters

__all__ = ["StreamFilter", "open_filters", "stream_filters"]
