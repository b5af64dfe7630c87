"""What rows are compared with: the fp32 file's output on real frames, and held-out scenes with their truth."""

from __future__ import annotations

from contextlib import closing
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from edgerecon.bench.worker_client import WorkerClient
from edgerecon.core.errors import EngineError
from edgerecon.modelfile.variants import whole
from edgerecon.quality.datasets.heldout import HeldOut, find_heldout


class References:
    """Made once for each family, in a process of its own.

    Args:
        folder: holds real.npy and timed.npy. data: see ``find_heldout``.
    """

    def __init__(self, folder: Path, timeout_s: float, data: Path | None = None) -> None:
        self._folder, self._timeout_s, self._data = folder, timeout_s, data
        self._made: dict[Path, NDArray[np.float32] | None] = {}
        self._scenes: dict[Path, HeldOut | None] = {}

    def fp32_outputs(self, path: Path) -> NDArray[np.float32] | None:
        """float32 (n, H·scale, W·scale); None when there is no fp32 file beside it, or it does not run."""
        family = whole(path)
        if family not in self._made:
            self._made[family] = self._make(family) if family.is_file() else None
        return self._made[family]

    def scenes(self, path: Path, task: str) -> HeldOut | None:
        """Held out for a file's family; None when there are none.

        Raises:
            DataError: see ``find_heldout``.
        """
        family = whole(path)
        if family not in self._scenes:
            self._scenes[family] = find_heldout(family, task, self._data)
        return self._scenes[family]

    def _make(self, path: Path) -> NDArray[np.float32] | None:
        out = self._folder / "truth.npy"
        with closing(WorkerClient(path.stem, self._timeout_s)) as remote:
            try:
                remote.open(
                    model=str(path),
                    backend="onnxruntime",
                    precision="fp32",
                    threads=None,
                    frames=str(self._folder / "timed.npy"),
                )
                remote.ask("outputs", frames=str(self._folder / "real.npy"), out=str(out))
            except EngineError:
                return None
        return np.asarray(np.load(out, allow_pickle=False))
