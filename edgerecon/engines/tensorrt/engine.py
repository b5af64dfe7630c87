"""TensorRT on an NVIDIA GPU: TensorRT 10 and 11, and TensorRT-RTX."""

from __future__ import annotations

import logging
from typing import Any

import numpy as np

from edgerecon.core.errors import EngineError
from edgerecon.core.frame import Image
from edgerecon.cuda.graph import CudaError, Graph
from edgerecon.cuda.memory import Buffer, Gpu, open_gpu
from edgerecon.cuda.stage_times import stage_times
from edgerecon.engines.padded import PaddedEngine
from edgerecon.engines.tensorrt.build import engine_facts, host_targets, obtain
from edgerecon.engines.tensorrt.builder import RTX, load_runtime, logger
from edgerecon.engines.tensorrt.engine_file import EngineFacts, Shapes, candidates, read_engine
from edgerecon.engines.tensorrt.rtx_kernels import KernelCache
from edgerecon.modelfile.file import ModelFile
from edgerecon.modelfile.ports import INPUT, OUTPUT, STATE_IN, STATE_OUT

_log = logging.getLogger(__name__)
_NOTHING = np.empty((0, 0), np.float32)


def open_model(file: ModelFile, device: str | None, threads: int, precision: str) -> TensorRtEngine:
    """See ``edgerecon.engines.open_engine``. ``device``: "cuda" or "cuda:N"; ``threads`` is of no use to a GPU.

    An engine of the model that fits this GPU and runtime is taken from beside the model or from the cache, the newest
    first and whatever its shapes; without one it is built, which takes seconds on a PC and minutes on a small Jetson.

    Raises:
        UsageError: another device; an int8 file with unsigned activations. DependencyError: PyCUDA or TensorRT is not
        installed. EngineError: no GPU, or none that the installed TensorRT supports; the build failed.
        ModelError: TensorRT refuses the file; operators that it does not have are named.
    """
    gpu = open_gpu(device)
    facts, engine = _ready(file, gpu) or obtain(file, host_targets(gpu)[0], Shapes())[:2]
    return TensorRtEngine(file, precision, gpu, facts, engine)


def _ready(file: ModelFile, gpu: Gpu) -> tuple[EngineFacts, bytes] | None:
    """An engine that fits and is there; why those that are there were refused is logged when none fits."""
    refusals = []
    for target in host_targets(gpu):
        expected = engine_facts(file, target, Shapes())
        for path in candidates(file.path):
            try:
                return read_engine(path, expected, any_shapes=True)
            except EngineError as error:
                refusals.append(str(error))
    for refusal in refusals:
        _log.warning("%s", refusal)
    return None


class TensorRtEngine(PaddedEngine):
    """One execution context; each frame is a replay of one CUDA graph: upload, inference, download.

    A temporal model's state never leaves the GPU; a graph for each of its two turns reads one buffer and writes the
    other. The graphs are recorded anew for each frame size. The primary context is made current in whichever thread
    calls.

    Attributes:
        facts: of the engine that runs.
    """

    def __init__(self, file: ModelFile, precision: str, gpu: Gpu, facts: EngineFacts, engine: bytes) -> None:
        super().__init__(file, "tensorrt", precision, threads=1)  # one thread feeds the GPU
        self.facts = facts
        self._gpu = gpu
        self._buffers: tuple[Buffer, ...] = ()
        self._graphs: list[Graph | None] = []
        self._kernels: KernelCache | None = None
        trt = load_runtime(facts.runtime)
        self._log = logger(trt)
        self._log.errors.clear()
        with gpu.current():
            self._runtime: Any = trt.Runtime(self._log)
            self._engine: Any = self._runtime.deserialize_cuda_engine(engine)
            self._require(self._engine is not None, "deserialize_cuda_engine")
            self._context: Any = self._new_context(trt, engine)
            self._require(self._context is not None, "create_execution_context")
            self._stream: Any = gpu.driver.Stream()

    def _new_context(self, trt: Any, engine: bytes) -> Any:
        if self.facts.runtime != RTX:
            return self._engine.create_execution_context()
        config = self._engine.create_runtime_config()
        # Kernels for the size of the frames, waited for: those compiled in the background would come after the graph
        # is recorded, which would replay the slow ones for ever.
        strategies = trt.DynamicShapesKernelSpecializationStrategy
        config.dynamic_shapes_kernel_specialization_strategy = strategies.EAGER
        self._kernels = KernelCache(config, engine)
        return self._engine.create_execution_context(runtime_config=config)

    def _bind(self, padded: tuple[int, int]) -> tuple[Image, Image]:
        with self._gpu.current():
            self._unbind()
            self._require_size(padded)
            # Held from the start: they have to be dropped while the GPU is current, whatever fails below.
            for shape in self._shapes(padded):
                self._buffers += (self._gpu.buffer(shape),)
            source, result, *states = self._buffers
            shapes = {INPUT: source.host.shape} | ({STATE_IN: states[0].host.shape} if states else {})
            for name, shape in shapes.items():
                self._require(self._context.set_input_shape(name, shape), "set_input_shape")
            for turn in range(2 if states else 1):
                self._turn = turn
                self._queue()  # the first run of a size sets things up, and cannot be recorded
                self._stream.synchronize()
                if self._kernels:
                    self._kernels.keep()
                self._graphs.append(self._record())
            self._turn = 0
            self._zero()
        return source.host, result.host

    def _execute(self) -> None:
        with self._gpu.current():
            if graph := self._graphs[self._turn]:
                graph.launch()
            else:
                self._queue()
            self._stream.synchronize()

    def _forget(self) -> None:
        with self._gpu.current():
            self._zero()

    def _zero(self) -> None:
        """The host's side of a state is never written: uploaded, it is zero."""
        for state in self._buffers[2:]:
            state.upload(self._stream)
        self._stream.synchronize()

    def stage_times(self) -> dict[str, float]:
        """Milliseconds of {to_device, compute, to_host} for the last frame, run again without the graph.

        Raises:
            EngineError: no frame has been run, the engine is closed, or the GPU failed.
        """
        if not self._buffers:
            raise EngineError("run a frame first")
        return stage_times(self._gpu, self._stream, (self._upload, self._infer, self._download))

    def _upload(self) -> None:
        self._buffers[0].upload(self._stream)

    def _download(self) -> None:
        self._buffers[1].download(self._stream)

    def _queue(self) -> None:
        self._upload()
        self._infer()
        self._download()

    def _infer(self) -> None:
        source, result, *states = self._buffers
        places = {INPUT: source, OUTPUT: result}
        if states:
            places |= {STATE_IN: states[self._turn], STATE_OUT: states[1 - self._turn]}
        for name, buffer in places.items():
            self._require(self._context.set_tensor_address(name, buffer.address), "set_tensor_address")
        self._require(self._context.execute_async_v3(self._stream.handle), "execute_async_v3")

    def _record(self) -> Graph | None:
        """The frame's work as a graph; None when it cannot be one, and is queued piece by piece."""
        try:
            capturable = getattr(self._context, "is_stream_capturable", None)  # RTX alone knows beforehand
            if capturable is None or capturable(self._stream.handle):
                return Graph(self._stream.handle, self._queue)
            reason = "TensorRT-RTX cannot record this engine"
        except (CudaError, EngineError) as error:
            reason = str(error)
        _log.warning("%s runs without a CUDA graph: %s", self.spec.model.name, reason)
        return None

    def _require_size(self, padded: tuple[int, int]) -> None:
        shapes = self.facts.shapes
        if not all(low <= side <= high for low, side, high in zip(shapes.min, padded, shapes.max, strict=True)):
            raise EngineError(f"the engine takes frames of {shapes}: build another with  edgerecon build")

    def _require(self, done: bool, call: str) -> None:
        if not done:
            raise EngineError(f"{call} failed: {self._log.reason()}")

    def _unbind(self) -> None:
        graphs, self._graphs = self._graphs, []
        self._buffers, self._input, self._output = (), _NOTHING, _NOTHING
        try:
            for graph in filter(None, graphs):
                graph.close()
        except CudaError as error:  # the GPU has failed before, and that has been said
            _log.info("%s", error)

    def _release(self) -> None:
        with self._gpu.current():
            self._unbind()
            self._context = self._kernels = self._engine = self._runtime = self._stream = None
