"""Takes frames and shows them to nobody: for measuring."""

from __future__ import annotations

from edgerecon.core.frame import Frame, Image
from edgerecon.stream.sinks.base import StreamInfo
from edgerecon.stream.sinks.kind import SinkKind


class NullSink:
    name = "null"
    quick = True

    def open(self, info: StreamInfo) -> None: ...

    def present(self, before: Image, after: Frame, late: bool) -> None: ...

    def close(self) -> None: ...


SINK = SinkKind(
    name="null",
    title="the null sink",
    words=("null",),
    addresses=("null",),
    shared=True,
    open=lambda place, query: NullSink(),
)
