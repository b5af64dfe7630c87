"""A sink that works behind the stream: slow encoders never hold up what is shown."""

from __future__ import annotations

import threading
from collections import deque
from contextlib import suppress
from dataclasses import replace
from functools import partial
from queue import Empty, Full, Queue

import numpy as np

from edgerecon.core.frame import Frame, Image
from edgerecon.stream.accounting.counters import Counters
from edgerecon.stream.process.guarded import GuardedThread
from edgerecon.stream.process.scheduling import lower_priority
from edgerecon.stream.sinks.base import Sink, StreamInfo, abandon

_RETURNS_WITHIN_S = 1.0

_Item = tuple[Image, Frame, bool]
_Buffers = tuple[Image, Image]


class DeferredSink:
    """Hands copies of the frames to another sink on a thread of its own, at low priority where threads have one.

    When ``depth`` frames wait, further ones are left out of the other sink, and counted. The copies lie in buffers that
    are used again. What the other sink raises is raised by the next ``present``, or by ``close``.

    Args:
        sink: opened in the stream's thread, then used from the other thread only.
        depth: frames that may wait; each holds two float32 images.

    Attributes:
        skipped: frames left out because the other sink was too slow.
    """

    def __init__(self, sink: Sink, depth: int = 16) -> None:
        self.name = sink.name
        self.skipped = 0
        self._sink = sink
        self._depth = depth
        self._queue: Queue[_Item | None] = Queue(depth)
        self._free: deque[_Buffers] = deque()
        self._counters: Counters | None = None
        self._error: BaseException | None = None
        self._abandoned = threading.Event()
        self._thread: GuardedThread | None = None

    @property
    def reopens(self) -> bool:
        """See ``Sink``, as the next."""
        return getattr(self._sink, "reopens", False)

    @property
    def close_s(self) -> float | None:
        return getattr(self._sink, "close_s", None)

    def open(self, info: StreamInfo) -> None:
        self._queue, self._error = Queue(self._depth), None
        self._abandoned = abandoned = threading.Event()
        self._sink.open(info)
        if abandoned.is_set():
            return  # it hung, and was given up
        self._counters = info.counters
        work = partial(self._work, self._queue, abandoned)
        self._thread = GuardedThread(f"deferred {self.name}", work, self._failed)
        self._thread.start()

    def present(self, before: Image, after: Frame, late: bool) -> None:
        self._raise()
        if self._queue.full():  # checked first, to spare the copies
            self.skipped += 1
            if self._counters is not None:
                self._counters.skip(self.name)
            return
        own_before, own_after = self._buffers(before, after.pixels)
        self._queue.put_nowait((own_before, replace(after, pixels=own_after), late))

    def close(self) -> None:
        """Present what waits, then close the other sink, unless it has failed."""
        thread, self._thread = self._thread, None
        if thread is None:
            return
        if self._error is None:
            self._queue.put(None)  # when it fails meanwhile, there is room
        thread.join()
        self._raise()
        self._sink.close()

    def abandon(self) -> None:
        """Leave out what waits. A call of the other sink that hangs is given a moment to return."""
        thread, self._thread = self._thread, None
        self._abandoned.set()
        with suppress(Full):  # then it looks at the event before it comes to the end
            self._queue.put_nowait(None)
        if thread is not None:
            thread.join(_RETURNS_WITHIN_S)
        abandon(self._sink)

    def _failed(self, error: BaseException) -> None:
        self._error = error
        with suppress(Empty):
            while True:
                self._queue.get_nowait()

    def _raise(self) -> None:
        if self._error is not None:
            raise self._error

    def _buffers(self, before: Image, pixels: Image) -> _Buffers:
        """Copies of both images, in buffers of an earlier frame when they fit."""
        while self._free:
            free = self._free.popleft()
            if free[0].shape == before.shape and free[1].shape == pixels.shape:
                np.copyto(free[0], before)
                np.copyto(free[1], pixels)
                return free
        return before.copy(), pixels.copy()

    def _work(self, queue: Queue[_Item | None], abandoned: threading.Event) -> None:
        lower_priority()
        while (item := queue.get()) is not None and not abandoned.is_set():
            self._sink.present(*item)
            self._free.append((item[0], item[1].pixels))
