"""Shown frames as a ring in shared memory, for another process (see ``edgerecon.stream.protocols.shared_ring``)."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import cv2
import numpy as np

from edgerecon.core.errors import SinkError
from edgerecon.core.frame import Frame, Image
from edgerecon.stream.protocols.shared_ring import RingWriter, refuse_taken, ring_path
from edgerecon.stream.sinks.base import StreamInfo
from edgerecon.stream.sinks.kind import SinkKind

_UINT8 = np.dtype("<u1")


class ShmSink:
    """Writes every frame as uint8, converted straight into the shared memory. Readers never hold it back.

    The ring is made with the first frame, made anew when a larger frame comes, and removed at the end.

    Raises:
        UsageError: not a name, or not on Linux.
    """

    quick, reopens = True, True

    def __init__(self, name: str) -> None:
        self.name = f"shm://{name}"
        self._path = ring_path(name)
        self._ring: RingWriter | None = None

    def open(self, info: StreamInfo) -> None:
        with self._made():
            refuse_taken(self._path)

    def present(self, before: Image, after: Frame, late: bool) -> None:
        size = after.pixels.size
        if self._ring is None or self._ring.frame_bytes < size:
            self._renew(size)
        assert self._ring is not None
        pixels = self._ring.begin(after.pixels.shape, _UINT8)
        cv2.convertScaleAbs(after.pixels, dst=pixels, alpha=255.0)
        self._ring.commit(after.captured_ns, after.spacing_mm)

    def close(self) -> None:
        ring, self._ring = self._ring, None
        if ring is not None:
            ring.close()

    def _renew(self, frame_bytes: int) -> None:
        with self._made():
            renewed = RingWriter(self._path, frame_bytes, before=self._ring)
        if self._ring is not None:
            self._ring.close()
        self._ring = renewed

    @contextmanager
    def _made(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            raise SinkError(f"cannot make {self._path}: {error.strerror or error}") from error


SINK = SinkKind(
    name="shared memory",
    title="a ring in shared memory",
    schemes=("shm",),
    addresses=("shm://NAME",),
    watched=True,
    open=lambda place, query: ShmSink(place[len("shm://") :]),
    check=lambda place, query: ring_path(place[len("shm://") :]),
)
