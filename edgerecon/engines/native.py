"""Our own kernels on the CPU (kernels/cpu): Winograd's F(4×4), fused by rings of rows."""

from __future__ import annotations

import copy

from edgerecon.core.errors import UsageError
from edgerecon.core.frame import GreyLevels, Image
from edgerecon.cpu.graph_layers import read_layers
from edgerecon.cpu.library import NOT_BUILT, REMEDY, Runner, load_library
from edgerecon.cpu.store import find_built
from edgerecon.engines.backend import Backend
from edgerecon.engines.padded import PaddedEngine
from edgerecon.modelfile.file import ModelFile


def open_model(file: ModelFile, device: str | None, threads: int, precision: str) -> NativeEngine:
    """See ``edgerecon.engines.open_engine``.

    Raises:
        UsageError: a device other than "cpu". ModelError: an operator that has no kernel; it is named. EngineError: the
            kernels are not built, or do not load.
    """
    if device not in (None, "cpu"):
        raise UsageError(f"backend native runs on device 'cpu', not '{device}'")
    return NativeEngine(file, threads, precision)


class NativeEngine(PaddedEngine):
    """A network's packed weights, and a runner for the size of the frames.

    Pixels outside [0, 1] are clipped and NaN counts as 0 before the network sees them.
    """

    def __init__(self, file: ModelFile, threads: int, precision: str) -> None:
        super().__init__(file, "native", precision, threads)
        self._network = load_library().open(read_layers(file))
        self._runner: Runner | None = None
        self._arrays: tuple[Image, Image] | None = None

    @property
    def takes_bytes(self) -> bool:
        """See ``edgerecon.engines.base.ByteEngine``."""
        model = self.spec.model
        return model.channels == 1 and model.scale == 1

    def run_bytes(
        self,
        seen: GreyLevels,
        out: GreyLevels,
        *,
        frame: GreyLevels | None = None,
        tissue: GreyLevels | None = None,
        strength: float = 1.0,
    ) -> None:
        """See ``edgerecon.engines.base.ByteEngine.run_bytes``; the levels are those that ``run`` gives, rounded."""
        with self._fit_to(seen):
            assert self._runner
            self._runner.run_bytes(seen, out, frame=frame, tissue=tissue, strength=strength, margin=self.margin)

    def duplicate(self) -> NativeEngine:
        """Another engine on the same weights, with buffers and threads of its own; both may run at the same time."""
        twin = copy.copy(self)
        twin._fitted, twin._runner, twin._arrays = ((), 0), None, None
        return twin

    def _bind(self, padded: tuple[int, int]) -> tuple[Image, Image]:
        self._runner = None
        self._runner = self._network.bind(*padded, self.spec.threads)
        self._arrays = self._host_arrays(padded)
        return self._arrays

    def _execute(self) -> None:
        assert self._runner and self._arrays
        self._runner.run(*self._arrays)

    def _release(self) -> None:
        self._runner, self._arrays = None, None


BACKEND = Backend(
    name="native",
    title="edgerecon CPU kernels",
    kind="cpu",
    runs=("fp32", "int16"),
    rank=5,
    proves=True,
    open=open_model,
    probe=lambda: "" if find_built() else NOT_BUILT,
    remedy=REMEDY,
)
