"""PyTorch: the reference. It runs the ONNX graph itself, one operator after the other, exactly as the file says.

Nothing is fused, reordered or left to a compiler, and float32 stays float32 (no TF32), so that its result is what the
file means. It is not made to be fast, and torch allocates what lies between the operators anew for every frame.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from edgerecon.core.errors import EngineError, UsageError
from edgerecon.core.frame import Image
from edgerecon.engines.padded import PaddedEngine
from edgerecon.modelfile.file import ModelFile

if TYPE_CHECKING:
    from torch import Tensor

    from edgerecon.engines.pytorch.graph import TorchGraph


def open_model(file: ModelFile, device: str | None, threads: int, precision: str) -> PyTorchEngine:
    """See ``edgerecon.engines.open_engine``.

    Args:
        device: "cpu" (default), "cuda" or "cuda:N".

    Raises:
        UsageError: another device. ModelError: the file is corrupt, or holds operators that the reference does not
        have; they are named. EngineError: no such GPU here.
    """
    device = device or "cpu"
    if not re.fullmatch(r"cpu|cuda(:\d+)?", device):
        raise UsageError(f"backend pytorch runs on device 'cpu', 'cuda' or 'cuda:N', not '{device}'")
    return PyTorchEngine(file, device, threads, precision)


class PyTorchEngine(PaddedEngine):
    """See ``TorchGraph``."""

    def __init__(self, file: ModelFile, device: str, threads: int, precision: str) -> None:
        import torch

        super().__init__(file, "pytorch", precision, threads)
        self._ports: list[tuple[dict[str, Tensor], ...]] = []
        if device != "cpu" and int(device.partition(":")[2] or 0) >= torch.cuda.device_count():
            raise EngineError(f"torch finds no device '{device}' here: use cpu")
        from edgerecon.engines.pytorch.graph import TorchGraph

        self._torch = torch
        self._graph: TorchGraph | None = TorchGraph(file, device)

    def _bind(self, padded: tuple[int, int]) -> tuple[Image, Image]:
        arrays = self._host_arrays(padded)
        as_torch = self._torch.from_numpy
        self._ports = [
            tuple({name: as_torch(array) for name, array in side.items()} for side in turn)
            for turn in self._turns(*arrays)
        ]
        return arrays

    def _execute(self) -> None:
        with self._torch.inference_mode(), self._settings():
            assert self._graph is not None
            device = self._graph.device
            inputs, outputs = self._ports[self._turn]
            found = self._graph.run({name: value.to(device) for name, value in inputs.items()}, outputs)
            for name, place in outputs.items():
                if found[name].shape != place.shape:
                    raise ValueError(f"the graph gives {[*found[name].shape]}, its metadata says {[*place.shape]}")
                place.copy_(found[name])

    @contextmanager
    def _settings(self) -> Iterator[None]:
        """This engine's threads and plain float32; both are torch's for the whole process, so they are given back."""
        torch = self._torch
        before = torch.get_num_threads()
        torch.set_num_threads(self.spec.threads)
        try:
            with torch.backends.cudnn.flags(enabled=True, benchmark=False, deterministic=True, allow_tf32=False):
                yield
        finally:
            torch.set_num_threads(before)

    def _release(self) -> None:
        self._graph = None
        self._ports = []
