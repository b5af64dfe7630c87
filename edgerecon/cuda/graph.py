"""CUDA graphs: queued work, recorded once and replayed with a single call (CUDA C++ Programming Guide, "CUDA Graphs").

PyCUDA has no graphs (2026.1): they are recorded through the driver itself, on the streams that PyCUDA makes.
"""

from __future__ import annotations

import ctypes
from collections.abc import Callable
from contextlib import suppress

from edgerecon.cuda.driver import CudaError, call

# CUstreamCaptureMode: what other threads do meanwhile, capture from a video card say, neither fails nor is recorded.
_THREAD_LOCAL = 1

_pointer = ctypes.c_void_p
__all__ = ["CudaError", "Graph"]


class Graph:
    """Work recorded from a stream. Wants the stream's context to be current.

    Args:
        stream: its handle, a CUstream. work: queues everything on that stream and waits for nothing.

    Raises:
        CudaError: something in ``work`` cannot be recorded. What ``work`` itself raises passes through.
    """

    def __init__(self, stream: int, work: Callable[[], None]) -> None:
        self._stream = stream
        recorded, runnable = _pointer(), _pointer()
        call("cuStreamBeginCapture_v2", stream, _THREAD_LOCAL)
        try:
            work()
        except BaseException:
            # A stream left recording is of no use to anybody; its own complaint would hide the cause.
            with suppress(CudaError):
                call("cuStreamEndCapture", stream, ctypes.byref(recorded))
                call("cuGraphDestroy", recorded)
            raise
        call("cuStreamEndCapture", stream, ctypes.byref(recorded))
        try:
            call("cuGraphInstantiateWithFlags", ctypes.byref(runnable), recorded, 0)
        finally:
            call("cuGraphDestroy", recorded)
        self._runnable = runnable

    def launch(self) -> None:
        """Queue all of the work on the stream.

        Raises:
            CudaError: the driver refused it.
        """
        call("cuGraphLaunch", self._runnable, self._stream)

    def close(self) -> None:
        """Release the graph; it cannot be launched afterwards.

        Raises:
            CudaError: the driver refused it.
        """
        call("cuGraphExecDestroy", self._runnable)
