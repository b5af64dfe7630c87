"""Takes frames and shows them to nobody: for measuring."""

from __future__ import annotations

from edgerecon.core.frame import Frame, Image
from edgerecon.stream.sinks.base import StreamInfo


class NullSink:
    name = "null"
    quick = True

    def open(self, info: StreamInfo) -> None: ...

    def present(self, before: Image, after: Frame, late: bool) -> None: ...

    def close(self) -> None: ...
