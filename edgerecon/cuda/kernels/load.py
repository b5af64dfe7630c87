"""Built kernels on a GPU: loaded into the context that is current, and launched on any stream of it.

The context may be PyCUDA's (``edgerecon.cuda.memory``) or torch's; both are the GPU's primary one. Loading and
launching go through the driver itself, since PyCUDA launches only on streams that it made.
"""

from __future__ import annotations

import ctypes
import logging
from collections.abc import Sequence
from typing import Any

from edgerecon.core.errors import EngineError
from edgerecon.cuda import driver as cuda
from edgerecon.cuda.driver import CudaError
from edgerecon.cuda.kernels.compile import CAPABILITIES, PTX
from edgerecon.cuda.kernels.store import Stored, obtain

_MULTIPROCESSORS, _MAJOR, _MINOR, _MAX_DYNAMIC_SHARED = 16, 75, 76, 97  # CUdevice_attribute
_FUNCTION_DYNAMIC_SHARED = 8  # CUfunction_attribute
_STATIC_SHARED_LIMIT = 48 * 1024  # what a block gets without asking for more
_UNFIT = (cuda.INVALID_IMAGE, cuda.NO_BINARY, cuda.INVALID_PTX, cuda.UNSUPPORTED_PTX)
_FATAL = frozenset(range(700, 720)) - {cuda.TOO_MANY_RESOURCES}  # the context is lost

Triple = tuple[int, int, int]
_log = logging.getLogger(__name__)


class Module:
    """The kernels of one .cu file. Wants the context it was loaded into to be current, always.

    Attributes:
        name: of the file. capability: of the GPU, e.g. 90. multiprocessors: of the GPU.
        shared_limit: bytes of shared memory that a block of this GPU may have.
        ptx: the driver compiled the kernels, since the binary has no machine code for this GPU.
    """

    def __init__(self, stored: Stored) -> None:
        self.name = stored.name
        self.capability, self.multiprocessors, self.shared_limit = _current_gpu()
        source = code_for(self.capability)
        if source is None:
            raise EngineError(
                f"the GPU's capability {_spelt(self.capability)} is below {_spelt(CAPABILITIES[0])}: "
                f"kernel {self.name} does not run on it"
            )
        self.ptx = source.startswith("compute")
        if self.ptx:
            _log.warning(
                "kernel %s has no machine code for capability %s: the driver compiles it from PTX of %s",
                self.name,
                _spelt(self.capability),
                source,
            )
        self._handle: Any = ctypes.c_void_p()
        self._last = "nothing was launched"
        try:
            cuda.call("cuModuleLoadData", ctypes.byref(self._handle), ctypes.c_char_p(stored.content))
        except CudaError as error:
            raise EngineError(_why_not_loaded(error, stored)) from None

    def function(self, kernel: str, dynamic_shared: int = 0) -> Function:
        """A kernel by its name in the binary (``extern "C"``).

        Args:
            dynamic_shared: bytes of shared memory that a block is launched with, beside its static ones.

        Raises:
            EngineError: no such kernel, or a block of this GPU has less shared memory.
        """
        handle = ctypes.c_void_p()
        if dynamic_shared > self.shared_limit:
            raise EngineError(
                f"kernel {kernel} takes {dynamic_shared} bytes of shared memory a block, "
                f"this GPU has {self.shared_limit}"
            )
        try:
            cuda.call("cuModuleGetFunction", ctypes.byref(handle), self._handle, kernel.encode())
            if dynamic_shared > _STATIC_SHARED_LIMIT:
                cuda.call("cuFuncSetAttribute", handle, _FUNCTION_DYNAMIC_SHARED, dynamic_shared)
        except CudaError as error:
            if error.status == cuda.NOT_FOUND:
                raise EngineError(f"kernels/cuda/{self.name}.cu has no kernel '{kernel}'") from None
            raise EngineError(f"kernel {kernel}: {error}") from None
        return Function(self, kernel, handle, dynamic_shared)

    def wait(self, stream: int = 0) -> None:
        """Until a stream has done everything. A kernel that failed while running shows here.

        Raises:
            EngineError: names what was launched last, and its shapes.
        """
        try:
            cuda.call("cuStreamSynchronize", stream)
        except CudaError as error:
            raise EngineError(_explained(error, self._last)) from None

    def close(self) -> None:
        """Unload; its functions cannot be launched afterwards."""
        handle, self._handle = self._handle, None
        try:
            if handle:
                cuda.call("cuModuleUnload", handle)
        except CudaError as error:  # the context has gone, and the module with it
            _log.info("%s", error)


class Function:
    """One kernel; see ``Module.function``."""

    def __init__(self, module: Module, name: str, handle: ctypes.c_void_p, dynamic_shared: int) -> None:
        self.name = name
        self._module, self._handle, self._shared = module, handle, dynamic_shared

    def launch(self, grid: Triple, block: Triple, arguments: Sequence[Any], stream: int, shapes: str) -> None:
        """Queue the kernel.

        Args:
            grid: blocks; block: threads; (x, y, z).
            arguments: ctypes values in the order of the kernel's parameters, ``c_void_p`` for addresses on the GPU.
            stream: handle (CUstream). shapes: of what it works on, for the message of an error, "1×1×512×512 float32".

        Raises:
            EngineError: the driver refused; it names the kernel and the shapes. An earlier kernel's failure also
                shows here.
        """
        module = self._module
        module._last = f"kernel {self.name} on {shapes}"
        pointers = (ctypes.c_void_p * max(1, len(arguments)))(*(ctypes.addressof(value) for value in arguments))
        pointers.values = arguments  # type: ignore[attr-defined]  # they live as long as their addresses
        try:
            cuda.call("cuLaunchKernel", self._handle, *grid, *block, self._shared, stream, pointers, None)
        except CudaError as error:
            raise EngineError(f"{_explained(error, module._last)} (grid {grid}, block {block})") from None

    def blocks_per_multiprocessor(self, threads: int) -> int:
        """How many blocks of so many threads one multiprocessor holds at once: the size of a persistent grid.

        Raises:
            EngineError: the driver refused.
        """
        found = ctypes.c_int()
        try:
            cuda.call(
                "cuOccupancyMaxActiveBlocksPerMultiprocessor", ctypes.byref(found), self._handle, threads, self._shared
            )
        except CudaError as error:
            raise EngineError(f"kernel {self.name}: {error}") from None
        return found.value


def load(name: str) -> Module:
    """Build kernels/cuda/NAME.cu when it is not built, and load it into the context that is current.

    Raises:
        UsageError: no such kernel. EngineError: no compiler, no driver, no current context, a GPU that is too old, a
            driver older than the toolkit, or too little memory.
    """
    return Module(obtain(name))


def enter(device: int) -> None:
    """Make a GPU's primary context current in this thread, if none is: the threads of others come without one.

    Raises:
        EngineError: no driver, no such GPU, or too little memory.
    """
    context = ctypes.c_void_p()
    try:
        cuda.call("cuCtxGetCurrent", ctypes.byref(context))
        if not context.value:
            cuda.call("cuDevicePrimaryCtxRetain", ctypes.byref(context), device)
            cuda.call("cuCtxSetCurrent", context)
    except CudaError as error:
        raise EngineError(_explained(error, f"opening GPU {device}")) from None


def code_for(capability: int) -> str | None:
    """What of a fat binary runs on a GPU: "sm_86" (machine code), "compute_75" (PTX), or None.

    Machine code runs on GPUs of the same major capability and of the same or a later minor one; PTX on all later ones.
    """
    machine = [number for number in CAPABILITIES if number <= capability and number // 10 == capability // 10]
    if machine:
        return f"sm_{max(machine)}"
    later = [number for number in PTX if number <= capability]
    return f"compute_{max(later)}" if later else None


def _current_gpu() -> tuple[int, int, int]:
    """Capability, multiprocessors, and the most shared memory of a block, of the GPU whose context is current."""
    device, value = ctypes.c_int(), ctypes.c_int()
    try:
        cuda.call("cuCtxGetDevice", ctypes.byref(device))
        found = []
        for attribute in (_MAJOR, _MINOR, _MULTIPROCESSORS, _MAX_DYNAMIC_SHARED):
            cuda.call("cuDeviceGetAttribute", ctypes.byref(value), attribute, device)
            found.append(value.value)
    except CudaError as error:
        raise EngineError(f"no GPU is open: {error}") from None
    return found[0] * 10 + found[1], found[2], found[3]


def _why_not_loaded(error: CudaError, stored: Stored) -> str:
    driver = ctypes.c_int()
    try:
        cuda.call("cuDriverGetVersion", ctypes.byref(driver))
    except CudaError as unknown:
        return str(unknown)
    newest = (driver.value // 1000, driver.value % 1000 // 10)
    toolkit = tuple(int(part) for part in stored.toolkit.split(".")[:2])
    if error.status in _UNFIT and newest < toolkit:
        return (
            f"the driver knows CUDA {newest[0]}.{newest[1]} and kernel {stored.name} was built with "
            f"{stored.toolkit}: update the driver, or build with a toolkit that is not newer"
        )
    return _explained(error, f"loading kernel {stored.name}")


def _explained(error: CudaError, what: str) -> str:
    if error.status == cuda.OUT_OF_MEMORY:
        return f"{what}: the GPU's memory is full: free some, or take smaller or fewer frames"
    if error.status in _FATAL:
        return f"{what}: {error}; the GPU's context is lost: start the process again"
    return f"{what}: {error}"


def _spelt(capability: int) -> str:
    return f"{capability // 10}.{capability % 10}"
