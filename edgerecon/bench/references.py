"""What rows are compared with: the fp32 file's output on real frames, and held-out scenes with their truth."""

from __future__ import annotations

from contextlib import closing
from dataclasses import replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from edgerecon.bench.grid import Cell
from edgerecon.bench.worker_client import open_cell
from edgerecon.core.errors import EngineError, ModelError
from edgerecon.modelfile.file import ModelFile, read_model
from edgerecon.modelfile.variants import fp32_path
from edgerecon.quality.datasets.heldout import HeldOut, find_heldout


class References:
    """Made once for each family, in a process of its own.

    Args:
        timed: .npy of the frames that a worker opens with. real: uint8 (n, H, W). data: see ``find_heldout``.
    """

    def __init__(self, timed: Path, real: NDArray[np.uint8], timeout_s: float, data: Path | None = None) -> None:
        self._timed, self._real, self._timeout_s, self._data = timed, real, timeout_s, data
        self._made: dict[Path, NDArray[np.float32] | None] = {}
        self._scenes: dict[Path, HeldOut | None] = {}

    def fp32_outputs(self, cell: Cell) -> NDArray[np.float32] | None:
        """float32 (n, H·scale, W·scale); None when there is no fp32 file beside it, or it does not run."""
        family = fp32_path(cell.file.path)
        if family not in self._made:
            self._made[family] = self._make(cell, family)
        return self._made[family]

    def scenes(self, file: ModelFile) -> HeldOut | None:
        """Held out for a file's family; None when there are none.

        Raises:
            DataError: see ``find_heldout``.
        """
        family = fp32_path(file.path)
        if family not in self._scenes:
            self._scenes[family] = find_heldout(family, file.spec.task, self._data)
        return self._scenes[family]

    def _make(self, cell: Cell, family: Path) -> NDArray[np.float32] | None:
        try:
            file = cell.file if cell.file.path == family else read_model(family)
            exact = replace(cell, file=file, backend="onnxruntime", precision="fp32")
            remote, _ = open_cell(exact, self._timed, self._timeout_s)
            with closing(remote):
                return remote.outputs(self._real, self._timed.parent)
        except (ModelError, EngineError):
            return None
