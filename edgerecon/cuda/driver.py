"""The CUDA driver through ctypes, for what PyCUDA (2026.1) lacks: graphs, and launches on streams that others made.

Like all foreign calls of ctypes they let other threads run. The numbers are CUresult's (CUDA Driver API, "Data types").
"""

from __future__ import annotations

import ctypes
from functools import lru_cache
from typing import Any

OUT_OF_MEMORY, INVALID_VALUE, INVALID_IMAGE, INVALID_CONTEXT, NO_BINARY = 2, 1, 200, 201, 209
INVALID_PTX, UNSUPPORTED_PTX, NOT_FOUND, TOO_MANY_RESOURCES = 218, 222, 500, 701

_pointer, _unsigned = ctypes.c_void_p, ctypes.c_uint
_to_int, _to_pointer = ctypes.POINTER(ctypes.c_int), ctypes.POINTER(ctypes.c_void_p)
_SIGNATURES: dict[str, list[Any]] = {
    "cuStreamBeginCapture_v2": [_pointer, ctypes.c_int],
    "cuStreamEndCapture": [_pointer, _to_pointer],
    "cuGraphInstantiateWithFlags": [_to_pointer, _pointer, ctypes.c_ulonglong],
    "cuGraphLaunch": [_pointer, _pointer],
    "cuGraphExecDestroy": [_pointer],
    "cuGraphDestroy": [_pointer],
    "cuDriverGetVersion": [_to_int],
    "cuCtxGetCurrent": [_to_pointer],
    "cuCtxSetCurrent": [_pointer],
    "cuDevicePrimaryCtxRetain": [_to_pointer, ctypes.c_int],
    "cuCtxGetDevice": [_to_int],
    "cuDeviceGetAttribute": [_to_int, ctypes.c_int, ctypes.c_int],
    "cuModuleLoadData": [_to_pointer, _pointer],
    "cuModuleGetFunction": [_to_pointer, _pointer, ctypes.c_char_p],
    "cuModuleUnload": [_pointer],
    "cuFuncSetAttribute": [_pointer, ctypes.c_int, ctypes.c_int],
    "cuOccupancyMaxActiveBlocksPerMultiprocessor": [_to_int, _pointer, ctypes.c_int, ctypes.c_size_t],
    "cuLaunchKernel": [_pointer, *[_unsigned] * 7, _pointer, _to_pointer, _pointer],
    "cuStreamSynchronize": [_pointer],
    "cuGetErrorString": [ctypes.c_int, ctypes.POINTER(ctypes.c_char_p)],
}


class CudaError(RuntimeError):
    """A call of the CUDA driver failed; the message names it.

    Attributes:
        status: CUresult; 0 when there is no driver to call.
    """

    def __init__(self, message: str, status: int = 0) -> None:
        super().__init__(message)
        self.status = status


def call(name: str, *arguments: Any) -> None:
    """Call a function of the driver.

    Raises:
        CudaError: there is no driver, or it refused.
    """
    status = getattr(_library(), name)(*arguments)
    if status:
        text = ctypes.c_char_p()
        known = _library().cuGetErrorString(status, ctypes.byref(text)) == 0 and text.value
        raise CudaError(f"{name} failed: {known.decode() if known else f'CUDA error {status}'}", status)


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
