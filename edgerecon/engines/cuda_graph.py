"""CUDA graphs: queued work, recorded once and replayed with a single call (CUDA C++ Programming Guide, "CUDA Graphs").

PyCUDA has no graphs (2026.1). The six functions of the driver that they take are called through ctypes, which every
Python has, on the streams that PyCUDA makes. Like all foreign calls of ctypes they let other threads run.
"""

from __future__ import annotations

import ctypes
from collections.abc import Callable
from functools import lru_cache
from typing import Any

# CUstreamCaptureMode: what other threads do meanwhile, capture from a video card say, neither fails nor is recorded.
_THREAD_LOCAL = 1

_pointer = ctypes.c_void_p
_SIGNATURES: dict[str, list[Any]] = {
    "cuStreamBeginCapture_v2": [_pointer, ctypes.c_int],
    "cuStreamEndCapture": [_pointer, ctypes.POINTER(_pointer)],
    "cuGraphInstantiateWithFlags": [ctypes.POINTER(_pointer), _pointer, ctypes.c_ulonglong],
    "cuGraphLaunch": [_pointer, _pointer],
    "cuGraphExecDestroy": [_pointer],
    "cuGraphDestroy": [_pointer],
    "cuGetErrorString": [ctypes.c_int, ctypes.POINTER(ctypes.c_char_p)],
}


class CudaError(RuntimeError):
    """A call of the CUDA driver failed; the message names it."""


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
        _call("cuStreamBeginCapture_v2", stream, _THREAD_LOCAL)
        try:
            work()
        except BaseException:
            # A stream left recording is of no use to anybody; its own complaint would hide the cause.
            _library().cuStreamEndCapture(stream, ctypes.byref(recorded))
            raise
        _call("cuStreamEndCapture", stream, ctypes.byref(recorded))
        try:
            _call("cuGraphInstantiateWithFlags", ctypes.byref(runnable), recorded, 0)
        finally:
            _call("cuGraphDestroy", recorded)
        self._runnable = runnable

    def launch(self) -> None:
        """Queue all of the work on the stream.

        Raises:
            CudaError: the driver refused it.
        """
        _call("cuGraphLaunch", self._runnable, self._stream)

    def close(self) -> None:
        """Release the graph; it cannot be launched afterwards.

        Raises:
            CudaError: the driver refused it.
        """
        _call("cuGraphExecDestroy", self._runnable)


def _call(name: str, *arguments: Any) -> None:
    status = getattr(_library(), name)(*arguments)
    if status:
        text = ctypes.c_char_p()
        known = _library().cuGetErrorString(status, ctypes.byref(text)) == 0 and text.value
        raise CudaError(f"{name} failed: {known.decode() if known else f'CUDA error {status}'}")


@lru_cache(maxsize=1)
def _library() -> Any:
    try:
        library = ctypes.CDLL("libcuda.so.1")
    except OSError as error:
        raise CudaError(f"the driver's library cannot be loaded: {error}") from None
    for name, types in _SIGNATURES.items():
        function = getattr(library, name)
        function.argtypes, function.restype = types, ctypes.c_int
    return library
