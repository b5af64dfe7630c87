"""What every peer's script shares: a worker of `edgerecon bench` that opens another runtime.

The frames, the conversions before and after, the clock and the turns are the same for all; only `run` differs.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from edgerecon.bench.worker import Worker, main
from edgerecon.core.frame import Image
from edgerecon.engines.base import Engine, EngineSpec
from edgerecon.modelfile.spec import ModelSpec

Run = Callable[[np.ndarray], np.ndarray]
"""float32 1×1×H×W → the same shape."""


class PeerEngine:
    """A runtime's function behind the interface of ours; the clip to [0, 1] is part of it, as it is of ours."""

    def __init__(self, name: str, threads: int, run: Run) -> None:
        self.spec = EngineSpec(ModelSpec(name, "despeckle", 1, 1, ""), name, "fp32", threads)
        self._run = run

    def run(self, frame: Image, out: Image | None = None) -> Image:
        found = np.asarray(self._run(frame[None, None])).reshape(frame.shape)
        return np.clip(found, 0.0, 1.0, out=out)

    def reset(self) -> None: ...

    def close(self) -> None: ...


def serve(name: str, open_model: Callable[[str, int], Run]) -> None:
    """Answer the bench with the engine that ``open_model(path of the .onnx, threads)`` gives."""

    class PeerWorker(Worker):
        def engine(self, model: str, backend: str, precision: str, threads: int | None) -> Engine:
            return PeerEngine(name, threads or 1, open_model(model, threads or 1))

    main(PeerWorker())
