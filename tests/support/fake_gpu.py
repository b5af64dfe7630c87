"""Stand-ins for PyCUDA, the CUDA driver's graphs and TensorRT's runtime: a GPU whose memory is a dictionary.

They enforce what the real ones demand (a current context, registered addresses, no waiting while recording) and count
what is alive, so that the engine around them can be tested without a GPU. What they compute, ONNX Runtime computes.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import numpy as np

from edgerecon.cuda.memory import Gpu


class DriverError(Exception):
    """``pycuda.driver.Error``."""


class FakeGpu:
    """The whole machine; ``gpu`` is what ``open_gpu`` gives."""

    def __init__(self, name: str = "NVIDIA Fake", capability: str = "8.6") -> None:
        self.memory: dict[int, np.ndarray] = {}
        self.streams: dict[int, FakeStream] = {}
        self.graphs: dict[int, list[Callable[[], None]]] = {}
        self.kernels: dict[str, Callable[..., None]] = {}  # name → what it does with (grid, block, arguments, shared)
        self.readers: dict[str, Callable[..., Any]] = {}  # name → what to keep of its arguments, which live for a call
        self.modules: dict[int, bytes] = {}
        self.functions: dict[int, str] = {}
        self.dynamic_shared: dict[str, int] = {}
        self.driver_version = 13000
        self.attributes = {16: 4, 75: int(capability.split(".")[0]), 76: int(capability.split(".")[1]), 97: 101_376}
        self.calls: list[str] = []
        self.failing: dict[str, int] = {}
        self._local = threading.local()
        self._next = 1000
        machine = self

        class Context:
            def push(self) -> None:
                machine.stack.append(self)

            @staticmethod
            def pop() -> None:
                machine.stack.pop()

        class Event:
            """Its clock is the number of calls so far."""

            def __init__(self) -> None:
                machine.require_context("cuEventCreate")

            def record(self, stream: FakeStream) -> None:
                stream.submit("cuEventRecord", lambda: None)
                self.time = len(machine.calls)

            def time_till(self, other: Any) -> float:
                machine.require_context("cuEventElapsedTime")
                return float(other.time - self.time)

        driver = SimpleNamespace(
            Error=DriverError,
            Context=Context,
            Event=Event,
            Stream=lambda: FakeStream(self),
            pagelocked_zeros=self._pinned,
            mem_alloc=self._allocate,
            memcpy_htod_async=self._upload,
            memcpy_dtoh_async=self._download,
        )
        self.gpu = Gpu(name, capability, driver, Context())

    @property
    def stack(self) -> list[object]:
        """Contexts pushed by this thread."""
        if not hasattr(self._local, "stack"):
            self._local.stack = []
        return self._local.stack  # type: ignore[no-any-return]

    def require_context(self, call: str) -> None:
        self.calls.append(call)
        if not self.stack:
            raise DriverError(f"{call} failed: invalid device context")

    def handle(self) -> int:
        self._next += 1
        return self._next

    def _pinned(self, shape: tuple[int, ...], dtype: type) -> np.ndarray:
        self.require_context("cuMemHostAlloc")
        return np.zeros(shape, dtype)

    def _allocate(self, size: int) -> FakeAllocation:
        self.require_context("cuMemAlloc")
        return FakeAllocation(self, size)

    def _upload(self, device: FakeAllocation, host: np.ndarray, stream: FakeStream) -> None:
        stream.submit("cuMemcpyHtoDAsync", lambda: self.memory[int(device)].__setitem__(..., host.reshape(-1)))

    def _download(self, host: np.ndarray, device: FakeAllocation, stream: FakeStream) -> None:
        stream.submit("cuMemcpyDtoHAsync", lambda: host.__setitem__(..., self.memory[int(device)].reshape(host.shape)))

    def library(self) -> Any:
        """``libcuda.so.1`` as ctypes shows it, for graphs and for the toolkit's own kernels."""

        def call(name: str, work: Callable[..., int | None]) -> Callable[..., int]:
            def run(*arguments: Any) -> int:
                self.calls.append(name)
                if name in self.failing:
                    return self.failing[name]
                if not self.stack:
                    return 201
                return work(*arguments) or 0

            return run

        def begin(stream: int, mode: int) -> None:
            assert mode == 1 and self.streams[stream].recorded is None
            self.streams[stream].recorded = []

        def end(stream: int, graph: Any) -> None:
            recorded, self.streams[stream].recorded = self.streams[stream].recorded, None
            assert recorded is not None
            graph._obj.value = self.handle()
            self.graphs[graph._obj.value] = recorded

        def instantiate(runnable: Any, graph: Any, flags: int) -> None:
            runnable._obj.value = self.handle()
            self.graphs[runnable._obj.value] = self.graphs[graph.value]

        def launch(runnable: Any, stream: int) -> None:
            for work in self.graphs[runnable.value]:
                work()

        def destroy(graph: Any) -> None:
            del self.graphs[graph.value]

        def attribute(out: Any, which: int, device: Any) -> None:
            out._obj.value = self.attributes[which]

        def load(out: Any, content: Any) -> None:
            out._obj.value = self.handle()
            self.modules[out._obj.value] = content.value

        def find(out: Any, module: Any, name: bytes) -> int:
            assert module.value in self.modules
            out._obj.value = self.handle()
            self.functions[out._obj.value] = name.decode()
            return 0 if name.decode() in self.kernels else 500

        def allow_shared(function: Any, which: int, size: int) -> None:
            assert which == 8
            self.dynamic_shared[self.functions[function.value]] = size

        def launch_kernel(function: Any, *rest: Any) -> None:
            *sizes, shared, stream, pointers, extra = rest
            name = self.functions[function.value]
            assert shared <= self.dynamic_shared.get(name, 48 * 1024) and extra is None
            grid, block = tuple(sizes[:3]), tuple(sizes[3:])
            queue = self.streams[stream].submit if stream else lambda call, work: work()
            arguments = self.readers.get(name, lambda kept: kept)(pointers)
            queue("cuLaunchKernel", lambda: self.kernels[name](grid, block, arguments, shared))

        def text(status: int, out: Any) -> int:
            known = {
                2: b"out of memory",
                201: b"invalid device context",
                222: b"an unsupported toolchain",
                200: b"device kernel image is invalid",
                218: b"a PTX JIT compilation failed",
                209: b"no kernel image is available for execution on the device",
                500: b"named symbol not found",
                700: b"an illegal memory access was encountered",
                701: b"too many resources requested for launch",
                901: b"operation not permitted when stream is capturing",
            }
            out._obj.value = known[status]
            return 0

        functions = {
            "cuStreamBeginCapture_v2": begin,
            "cuStreamEndCapture": end,
            "cuGraphInstantiateWithFlags": instantiate,
            "cuGraphLaunch": launch,
            "cuGraphExecDestroy": destroy,
            "cuGraphDestroy": destroy,
            "cuDriverGetVersion": lambda out: setattr(out._obj, "value", self.driver_version),
            "cuCtxGetCurrent": lambda out: setattr(out._obj, "value", 1),
            "cuCtxGetDevice": lambda out: setattr(out._obj, "value", 0),
            "cuDeviceGetAttribute": attribute,
            "cuModuleLoadData": load,
            "cuModuleUnload": lambda module: self.modules.pop(module.value) and None,
            "cuModuleGetFunction": find,
            "cuFuncSetAttribute": allow_shared,
            "cuLaunchKernel": launch_kernel,
            "cuOccupancyMaxActiveBlocksPerMultiprocessor": lambda out, *_: setattr(out._obj, "value", 2),
            "cuStreamSynchronize": lambda stream: None,
        }
        return SimpleNamespace(**{name: call(name, work) for name, work in functions.items()}, cuGetErrorString=text)


class FakeAllocation:
    """Device memory, free when it is dropped."""

    def __init__(self, machine: FakeGpu, size: int) -> None:
        self._machine, self._address = machine, machine.handle() << 16
        machine.memory[self._address] = np.full(size // 4, np.nan, np.float32)

    def __int__(self) -> int:
        return self._address

    def __del__(self) -> None:
        self._machine.require_context("cuMemFree")
        del self._machine.memory[self._address]


class FakeStream:
    """Runs at once, or records."""

    def __init__(self, machine: FakeGpu) -> None:
        machine.require_context("cuStreamCreate")
        self._machine, self.handle = machine, machine.handle()
        self.recorded: list[Callable[[], None]] | None = None
        machine.streams[self.handle] = self

    def submit(self, call: str, work: Callable[[], None]) -> None:
        self._machine.require_context(call)
        if call in self._machine.failing:
            raise DriverError(f"{call} failed: out of memory")
        work() if self.recorded is None else self.recorded.append(work)

    def synchronize(self) -> None:
        self._machine.require_context("cuStreamSynchronize")
        if "cuStreamSynchronize" in self._machine.failing:
            raise DriverError("cuStreamSynchronize failed: an illegal memory access was encountered")
        if self.recorded is not None:
            raise DriverError("cuStreamSynchronize failed: operation not permitted when stream is capturing")


def fake_tensorrt(machine: FakeGpu, model: bytes, *, rtx: bool = False, version: str = "10.3.0") -> Any:
    """A module like ``tensorrt`` (or ``tensorrt_rtx``) whose every engine is the ONNX file ``model``."""
    import onnxruntime as ort

    class ILogger:
        Severity = SimpleNamespace(INTERNAL_ERROR=0, ERROR=1, WARNING=2, INFO=3, VERBOSE=4)

    class ExecutionContext:
        def __init__(self) -> None:
            machine.require_context("create_execution_context")
            self._session = ort.InferenceSession(model, providers=["CPUExecutionProvider"])
            self._addresses: dict[str, int] = {}
            self.shapes: dict[str, tuple[int, ...]] = {}

        def set_input_shape(self, name: str, shape: tuple[int, ...]) -> bool:
            assert name in ("frame", "state_in")
            self.shapes[name] = shape
            return "set_input_shape" not in machine.failing

        def set_tensor_address(self, name: str, address: int) -> bool:
            assert address in machine.memory
            self._addresses[name] = address
            return True

        def execute_async_v3(self, handle: int) -> bool:
            if "execute_async_v3" in machine.failing:
                module.log.log(
                    ILogger.Severity.ERROR,
                    "IExecutionContext::enqueueV3: Error Code 2: the GPU has gone (In check at /_src/a.cpp:12)",
                )
                return False
            addresses = dict(self._addresses)  # a recorded run keeps those that were set
            machine.streams[handle].submit("execute_async_v3", lambda: self._compute(addresses))
            return True

        def _compute(self, addresses: dict[str, int]) -> None:
            given = {name: machine.memory[addresses[name]].reshape(shape) for name, shape in self.shapes.items()}
            names = [output.name for output in self._session.get_outputs()]
            for name, result in zip(names, self._session.run(names, given), strict=True):
                machine.memory[addresses[name]][...] = result.reshape(-1)

    class RtxContext(ExecutionContext):
        def is_stream_capturable(self, handle: int) -> bool:
            return "is_stream_capturable" not in machine.failing

    class KernelStore:
        def __init__(self) -> None:
            self.content = b""

        def deserialize(self, content: bytes) -> bool:
            self.content = content if content.startswith(b"kernels") else b""
            module.loaded.append(content)
            return bool(self.content)

        def serialize(self) -> bytes:
            return self.content or b"kernels, compiled"

    class RuntimeConfig:
        dynamic_shapes_kernel_specialization_strategy = "lazy"

        def create_runtime_cache(self) -> KernelStore:
            return KernelStore()

        def set_runtime_cache(self, store: KernelStore) -> None:
            self.store = store

    class Engine:
        def create_runtime_config(self) -> RuntimeConfig:
            return RuntimeConfig()

        def create_execution_context(self, runtime_config: RuntimeConfig | None = None) -> ExecutionContext:
            module.configs.append(runtime_config)
            return RtxContext() if rtx else ExecutionContext()

    class Runtime:
        def __init__(self, log: Any) -> None:
            machine.require_context("Runtime")
            module.log = log

        def deserialize_cuda_engine(self, content: bytes) -> Engine | None:
            module.deserialised.append(content)
            return None if "deserialize_cuda_engine" in machine.failing else Engine()

    class Module(SimpleNamespace):
        __hash__ = object.__hash__

    module = Module(
        __name__="tensorrt_rtx" if rtx else "tensorrt",
        __version__=version,
        ILogger=ILogger,
        Runtime=Runtime,
        DynamicShapesKernelSpecializationStrategy=SimpleNamespace(EAGER="eager"),
        ComputeCapability=SimpleNamespace(__members__={"NONE": 0, "SM86": 1}, SM86=1),
        log=None,
        configs=[],
        deserialised=[],
        loaded=[],
    )
    return module
