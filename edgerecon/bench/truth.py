"""What a family's fp32 file makes of the real frames on ONNX Runtime: what the other rows are compared with."""

from __future__ import annotations

from contextlib import closing
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from edgerecon.bench.remote import Remote
from edgerecon.bench.ways import whole
from edgerecon.errors import EngineError


class Truth:
    """Made once for each family, in a process of its own.

    Args:
        folder: holds real.npy and timed.npy.
    """

    def __init__(self, folder: Path, timeout_s: float) -> None:
        self._folder, self._timeout_s = folder, timeout_s
        self._made: dict[Path, NDArray[np.float32] | None] = {}

    def of(self, path: Path) -> NDArray[np.float32] | None:
        """float32 (n, H·scale, W·scale); None when there is no fp32 file beside it, or it does not run."""
        family = whole(path)
        if family not in self._made:
            self._made[family] = self._make(family) if family.is_file() else None
        return self._made[family]

    def _make(self, path: Path) -> NDArray[np.float32] | None:
        out = self._folder / "truth.npy"
        with closing(Remote(path.stem, self._timeout_s)) as remote:
            try:
                remote.open(model=str(path), backend="onnxruntime", precision="fp32", threads=None,
                            frames=str(self._folder / "timed.npy"))  # fmt: skip
                remote.ask("outputs", frames=str(self._folder / "real.npy"), out=str(out))
            except EngineError:
                return None
        return np.asarray(np.load(out, allow_pickle=False))
