"""The toolkit's own CUDA kernels on an NVIDIA GPU: compact networks, each frame in one launch (compact_fused.cu)."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from edgerecon.core.errors import EngineError, first_line
from edgerecon.core.frame import Image
from edgerecon.cuda.driver import CudaError
from edgerecon.cuda.graph import Graph
from edgerecon.cuda.kernels.compact import CompactKernel, CompactNetwork, pack_network
from edgerecon.cuda.kernels.load import Module, load
from edgerecon.cuda.memory import Buffer, Gpu, open_gpu
from edgerecon.cuda.stage_times import stage_times
from edgerecon.engines.cuda.compact_file import read_compact
from edgerecon.engines.padded import PaddedEngine
from edgerecon.modelfile.file import ModelFile

_NOTHING = np.empty((0, 0), np.float32)


def open_model(file: ModelFile, device: str | None, threads: int, precision: str) -> CudaEngine:
    """See ``edgerecon.engines.open_engine``. ``device``: "cuda" or "cuda:N"; ``threads`` is of no use to a GPU.

    The kernels are built when they are not in the cache, which takes a minute.

    Raises:
        UsageError: another device. DependencyError: PyCUDA is not installed. EngineError: no GPU or driver, no compact
        network, no compiler and nothing built, or too little memory. ModelError: the graph cannot be read.
    """
    network = pack_network(read_compact(file))  # before the GPU: what is wrong with the model is wrong everywhere
    return CudaEngine(file, precision, open_gpu(device), network)


class CudaEngine(PaddedEngine):
    """Each frame is a replay of one CUDA graph: upload, one launch, download. Recorded anew for each frame size."""

    def __init__(self, file: ModelFile, precision: str, gpu: Gpu, network: CompactNetwork) -> None:
        super().__init__(file, "cuda", precision, threads=1)  # one thread feeds the GPU
        self._gpu, self._network = gpu, network
        self._stream: Any = None
        self._constants: tuple[Buffer, ...] = ()
        self._buffers: tuple[Buffer, ...] = ()
        self._kernel: CompactKernel | None = None
        self._graph: Graph | None = None
        self._recorded: tuple[int, ...] = ()
        with gpu.current():
            self._module: Module = load("compact_fused")
            refusal = self._bring_constants()
            if refusal:
                self._unload()
                raise EngineError(f"{file.path.name} cannot be brought to the GPU: {refusal}")

    def _bring_constants(self) -> str:
        """Weights and scales to the GPU; why not, or nothing. Its exceptions, which hold buffers, end here."""
        try:
            self._stream = self._gpu.driver.Stream()
            for content in (self._network.weights.view(np.float32), self._network.scales.reshape(-1)):
                self._constants += (self._gpu.buffer(content.shape),)
                self._constants[-1].host[...] = content
                self._constants[-1].upload(self._stream)
            self._module.wait(self._stream.handle)
        except (self._gpu.driver.Error, EngineError) as error:
            return first_line(error)
        return ""

    def run_sequence(self, frames: NDArray[np.float32], out: NDArray[np.float32] | None = None) -> NDArray[np.float32]:
        """Reconstruct frames of one size, (T, H, W) in [0, 1]: T launches back to back, with one replay of one graph.

        Raises:
            EngineError: see ``Engine.run``.
        """
        if not self._open:
            raise EngineError("the engine is closed: open it again")
        if not isinstance(frames, np.ndarray) or frames.dtype != np.float32 or frames.ndim != 3 or frames.size == 0:
            raise EngineError("a sequence must be a non-empty float32 T×H×W array")
        if out is not None and (out.dtype != np.float32 or out.shape != frames.shape):
            raise EngineError(f"out must be float32 of shape {frames.shape}, not {out.dtype} of shape {out.shape}")
        try:
            if self._recorded != frames.shape:
                self._fitted = ((), 0)  # single frames have to be bound again
                self._prepare(frames.shape[0], frames.shape[1:])
            self._buffers[0].host[...] = frames[:, None]
            self._execute()
        except Exception as error:  # noqa: BLE001 - the driver's exceptions share no base with ours
            self._recorded = ()
            shape = "×".join(map(str, frames.shape))
            raise EngineError(f"cuda failed on a sequence of {shape}: {first_line(error)}") from None
        return np.clip(self._buffers[1].host[:, 0], 0.0, 1.0, out=out)

    def stage_times(self) -> dict[str, float]:
        """Milliseconds of {to_device, compute, to_host} for the last frame or sequence, run again without the graph.

        Raises:
            EngineError: no frame has been run, the engine is closed, or the GPU failed.
        """
        if self._graph is None:
            raise EngineError("run a frame first")
        return stage_times(self._gpu, self._stream, (self._upload, self._launch, self._download))

    def _bind(self, padded: tuple[int, int]) -> tuple[Image, Image]:
        self._prepare(1, padded)
        self._recorded = ()
        return self._buffers[0].host, self._buffers[1].host

    def _prepare(self, count: int, size: tuple[int, ...]) -> None:
        """Buffers and the graph for that many frames of a size."""
        with self._gpu.current():
            self._unbind()
            # Held from the start: they have to be dropped while the GPU is current, whatever fails below.
            for _ in range(2):
                self._buffers += (self._gpu.buffer((count, 1, *size)),)
            weights, scales = (constant.address for constant in self._constants)
            self._kernel = CompactKernel(self._module, self._network, weights, scales, (1, size[0], size[1]))
            self._graph = Graph(self._stream.handle, self._queue)
        self._recorded = (count, *size)

    def _queue(self) -> None:
        self._upload()
        self._launch()
        self._download()

    def _upload(self) -> None:
        self._buffers[0].upload(self._stream)

    def _launch(self) -> None:
        """Once a frame."""
        if self._kernel is None:
            raise EngineError("no frame is bound")
        # No buffer is held by a name of this function: an exception would keep it until the GPU is current no more.
        frame, out = (buffer.address for buffer in self._buffers)
        count = len(self._buffers[0].host)
        each = self._buffers[0].host.nbytes // count
        for index in range(count):
            self._kernel.launch(frame + index * each, out + index * each, self._stream.handle)

    def _download(self) -> None:
        self._buffers[1].download(self._stream)

    def _execute(self) -> None:
        if self._graph is None:
            raise EngineError("no frame is bound")
        with self._gpu.current():
            self._graph.launch()
            self._module.wait(self._stream.handle)

    def _unbind(self) -> None:
        graph, self._graph, self._kernel = self._graph, None, None
        self._buffers, self._recorded = (), ()
        self._input, self._output = _NOTHING, _NOTHING
        try:
            if graph:
                graph.close()
        except CudaError:  # the GPU has failed before, and that has been said
            pass

    def _release(self) -> None:
        with self._gpu.current():
            self._unbind()
            self._unload()

    def _unload(self) -> None:
        self._constants, self._stream = (), None
        self._module.close()
