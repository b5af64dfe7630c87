"""The shown frames as an .npz file."""

from __future__ import annotations

import os
from pathlib import Path
from typing import IO

import numpy as np

from edgerecon.frame import Frame, Image, to_uint8
from edgerecon.stream.sinks.base import StreamInfo
from edgerecon.stream.sinks.panel import fit
from edgerecon.stream.sinks.part import Part, written


class NpzSink:
    """Writes ``frames`` (uint8 T×H×W), ``fps`` and, when known, ``spacing_mm`` (row, column).

    Memory is bounded: frames are spooled to a file beside the result and copied into it, from a memory map, at the
    end (which needs the disk space twice for that moment). Frames of another size than the first are letterboxed.
    No file is left when no frame came.
    """

    def __init__(self, path: Path) -> None:
        self.name = str(path)
        self._path = path
        self._part: Part | None = None
        self._spool: IO[bytes] | None = None
        self._count = 0
        self._panel: Image | None = None
        self._bytes: np.ndarray | None = None

    def open(self, info: StreamInfo) -> None:
        self._extras: dict[str, object] = {"fps": 1 / info.period_s}
        if info.spacing_mm is not None:
            self._extras["spacing_mm"] = info.spacing_mm
        self._part = Part(self._path)
        self._spool_path = self._part.temporary.with_suffix(".spool")
        with written(self._path):
            self._spool = self._spool_path.open("wb")

    def present(self, before: Image, after: Frame, late: bool) -> None:
        if self._panel is None:
            self._panel = np.empty(after.pixels.shape, np.float32)
            self._bytes = np.empty(after.pixels.shape, np.uint8)
        fit(after.pixels, self._panel)
        self._bytes = to_uint8(self._panel, self._bytes)
        assert self._spool is not None
        with written(self._path):
            self._spool.write(self._bytes.data)
        self._count += 1

    def close(self) -> None:
        part, self._part = self._part, None
        if part is None:
            return
        try:
            if self._spool is not None:
                with written(self._path):
                    self._spool.close()
            if self._panel is not None and self._count:
                self._pack(part, self._panel.shape)
                part.finish()
        finally:
            part.discard()
            self._spool_path.unlink(missing_ok=True)

    def _pack(self, part: Part, shape: tuple[int, ...]) -> None:
        with written(self._path), part.temporary.open("wb") as file:
            frames = np.memmap(self._spool_path, np.uint8, "r", shape=(self._count, *shape))
            np.savez(file, frames=frames, **self._extras)  # type: ignore[arg-type]
            file.flush()
            os.fsync(file.fileno())
