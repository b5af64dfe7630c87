"""The shown frames as an .npz file."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np

from edgerecon.frame import Frame, Image
from edgerecon.stream.sinks.base import StreamInfo
from edgerecon.stream.sinks.part import Part, written
from edgerecon.stream.sinks.spool import Spool


class NpzSink:
    """Writes ``frames`` (uint8 T×H×W), ``fps`` and, when known, ``spacing_mm`` (row, column).

    Frames wait in a ``Spool`` and are copied from a memory map at the end. No file is left when no frame came.
    """

    def __init__(self, path: Path) -> None:
        self.name = str(path)
        self._path = path
        self._part: Part | None = None
        self._spool: Spool | None = None

    def open(self, info: StreamInfo) -> None:
        self._extras: dict[str, object] = {"fps": 1 / info.period_s}
        if info.spacing_mm is not None:
            self._extras["spacing_mm"] = info.spacing_mm
        self._part = Part(self._path)
        self._spool = Spool(self._part)

    def present(self, before: Image, after: Frame, late: bool) -> None:
        assert self._spool is not None
        self._spool.add(after.pixels)

    def close(self) -> None:
        part, spool, self._part = self._part, self._spool, None
        if part is None:
            return
        try:
            if spool is not None:
                spool.close()
                if spool.shape is not None and spool.count:
                    self._pack(part, spool, spool.shape)
                    part.finish()
        finally:
            part.discard()
            if spool is not None:
                spool.discard()

    def _pack(self, part: Part, spool: Spool, shape: tuple[int, int]) -> None:
        with written(self._path), part.temporary.open("wb") as file:
            frames = np.memmap(spool.path, np.uint8, "r", shape=(spool.count, *shape))
            np.savez(file, frames=frames, **self._extras)  # type: ignore[arg-type]
            file.flush()
            os.fsync(file.fileno())
