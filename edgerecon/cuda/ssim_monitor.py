"""SSIM of a stream, frame by frame, on an NVIDIA GPU and without torch: kernels/cuda/ssim.cu through PyCUDA."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from edgerecon.core.errors import EngineError, UsageError
from edgerecon.cuda.driver import CudaError
from edgerecon.cuda.graph import Graph
from edgerecon.cuda.kernels.load import load
from edgerecon.cuda.kernels.ssim import Border, Images, Ssim
from edgerecon.cuda.memory import Buffer, open_gpu


class SsimMonitor:
    """Mean SSIM of two frames (H, W) of one size; ``edgerecon.quality.measures.full_reference.ssim`` without borders.

    A frame is one replay of a CUDA graph: both uploads, two kernels, the download of one number. float32 inside.

    Args:
        shape: (H, W) of the frames. border: "valid", or "same" (zeros beyond the frame). device: "cuda" or "cuda:N".

    Raises:
        UsageError: another border or device, or frames too small. DependencyError: PyCUDA is not installed.
        EngineError: no GPU, no compiler and nothing built, or too little GPU memory.
    """

    def __init__(self, shape: tuple[int, int], border: Border = "valid", device: str | None = None) -> None:
        self._images = Images((1, 1, *shape), False, border)
        self._gpu = open_gpu(device)
        self._buffers: tuple[Buffer, ...] = ()
        self._graph: Graph | None = None
        with self._gpu.current():
            self._module = load("ssim")
            try:
                self._kernels = Ssim(self._module)
                self._stream = self._gpu.driver.Stream()
                # Held from the start: they have to be dropped while the GPU is current, whatever fails below.
                for size in (shape, shape, (self._kernels.totals(self._images),), (1,)):
                    self._buffers += (self._gpu.buffer(size),)
                self._graph = Graph(self._stream.handle, self._queue)
            except (CudaError, self._gpu.driver.Error) as error:
                self._release()
                raise EngineError(f"the SSIM monitor of {self._images} cannot be set up: {error}") from None
            except EngineError:
                self._release()
                raise

    def compare(self, image: ArrayLike, target: ArrayLike) -> float:
        """Mean SSIM in [−1, 1] of two frames (H, W) in [0, 1].

        Raises:
            UsageError: frames of another size. EngineError: the GPU failed, or the monitor is closed.
        """
        if self._graph is None:
            raise EngineError("the SSIM monitor is closed")
        for buffer, frame in zip(self._buffers, (image, target), strict=False):
            pixels = np.asarray(frame, np.float32)
            if pixels.shape != buffer.host.shape:
                raise UsageError(f"this SSIM monitor takes frames of {buffer.host.shape}, not {pixels.shape}")
            buffer.host[...] = pixels
        with self._gpu.current():
            try:
                self._graph.launch()
            except CudaError as error:
                raise EngineError(f"SSIM of {self._images}: {error}") from None
            self._module.wait(self._stream.handle)
        return float(self._buffers[-1].host[0])

    def close(self) -> None:
        """Give the GPU's memory back."""
        with self._gpu.current():
            self._release()

    def _queue(self) -> None:
        # No buffer is held by a name of this frame: an exception would keep it until the GPU is current no more.
        stream, (a, b, totals, mean) = self._stream, (buffer.address for buffer in self._buffers)
        self._buffers[0].upload(stream)
        self._buffers[1].upload(stream)
        self._kernels.forward(self._images, a, b, totals=totals, stream=stream.handle)
        self._kernels.mean(self._images, totals, mean, stream=stream.handle)
        self._buffers[-1].download(stream)

    def _release(self) -> None:
        graph, self._graph, self._buffers = self._graph, None, ()
        try:
            if graph:
                graph.close()
        except CudaError:  # the context has gone, and the graph with it
            pass
        self._module.close()
