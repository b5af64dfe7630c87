"""A lossless recording as arrays, before and after, with each frame's stamps: HDF5 and Zarr share this layout.

    frames       uint8 (T, H, W)   as shown
    before       uint8 (T, H, W)   as captured
    sequence     int64 (T)         counts captures from 0; a step above 1 is a frame that was not shown
    captured_ns  int64 (T)         monotonic clock of the recording machine
    raw          uint8 (T)         1: could not be processed, and was shown as captured
    late         uint8 (T)         1: came behind its deadline

Attributes: format, source, model, backend, precision, period_s, deadline_ms, spacing_mm (row, column; when known),
started (ISO 8601, UTC).
"""

from __future__ import annotations

import threading
from datetime import datetime, timezone
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from edgerecon.errors import SinkError
from edgerecon.frame import Frame, Image, Status
from edgerecon.stream.sinks.base import StreamInfo
from edgerecon.stream.sinks.panel import fit_uint8
from edgerecon.stream.sinks.part import Part, written

FORMAT = "edgerecon-recording-1"
STAMPS = {"sequence": "i8", "captured_ns": "i8", "raw": "u1", "late": "u1"}

_EVERY_S = 0.4
"""Frames wait in memory no longer than this before they are written, whether others follow or not."""

_WAITING_BYTES = 32_000_000


class Store(Protocol):
    """Arrays in a file or folder that grow along their first axis."""

    def create(self, path: Path, shape: tuple[int, int], attributes: dict[str, Any]) -> None:
        """Make ``frames`` and ``before`` (0, H, W) and the stamps (0)."""
        ...

    def append(self, count: int, columns: dict[str, np.ndarray]) -> None:
        """Put rows behind the ``count`` that there are, so that a process killed right after has lost none of them."""
        ...

    def close(self) -> None: ...


class Batch:
    """Room for the frames that wait, allocated once."""

    def __init__(self, length: int, shape: tuple[int, int]) -> None:
        self.count = 0
        self.columns: dict[str, np.ndarray] = {
            "frames": np.empty((length, *shape), np.uint8),
            "before": np.empty((length, *shape), np.uint8),
            **{name: np.empty(length, dtype) for name, dtype in STAMPS.items()},
        }

    @property
    def full(self) -> bool:
        return self.count == len(self.columns["frames"])


class RecordingSink:
    """Hands frames to a store on a thread of its own, in batches of at most 0.4 s.

    The first frame sets the size; later sizes are letterboxed. The result has its final name when it is finished; until
    then, and after a crash or when the disk is full, it is beside it as ``.NAME.PID.part`` and can be read. No file is
    left without frames.
    """

    def __init__(self, path: Path, store: Store) -> None:
        self.name = str(path)
        self._path, self._store = path, store
        self._part: Part | None = None
        self._filling: Batch | None = None
        self._changed = threading.Condition()
        self._thread: threading.Thread | None = None
        self._ended = False
        self._error: Exception | None = None

    def open(self, info: StreamInfo) -> None:
        self._attributes: dict[str, Any] = {
            "format": FORMAT, "source": info.source, "model": info.model, "backend": info.backend,
            "precision": info.precision, "period_s": info.period_s, "deadline_ms": info.deadline_ms,
            "started": datetime.now(timezone.utc).isoformat(timespec="milliseconds"),
        }  # fmt: skip
        if info.spacing_mm is not None:
            self._attributes["spacing_mm"] = list(info.spacing_mm)
        self._part = Part(self._path)

    def present(self, before: Image, after: Frame, late: bool) -> None:
        if self._filling is None:
            self._start(after.pixels.shape)
        with self._changed:
            while self._filling is not None and self._filling.full and self._error is None:
                self._changed.wait()  # the disk is slower than the stream
            self._raise()
            assert self._filling is not None
            at, columns = self._filling.count, self._filling.columns
            for name, image in (("frames", after.pixels), ("before", before)):
                fit_uint8(image, self._panel, columns[name][at])
            columns["sequence"][at], columns["captured_ns"][at] = after.sequence, after.captured_ns
            columns["raw"][at], columns["late"][at] = after.status is Status.RAW, late
            self._filling.count += 1
            if self._filling.full:
                self._changed.notify_all()

    def close(self) -> None:
        part, self._part = self._part, None
        if part is None:
            return
        if self._thread is None:
            part.discard()
            return
        with self._changed:
            self._ended = True
            self._changed.notify_all()
        self._thread.join()
        with written(self._path):
            self._store.close()
        self._raise()
        part.finish()

    def _start(self, shape: tuple[int, ...]) -> None:
        assert self._part is not None
        size = shape[0], shape[1]
        with written(self._path):
            self._store.create(self._part.temporary, size, self._attributes)
        self._kept = self._part.temporary.name
        self._panel = np.empty(size, np.float32)
        length = max(2, min(256, _WAITING_BYTES // (4 * size[0] * size[1])))
        self._filling, self._spare = Batch(length, size), Batch(length, size)
        self._thread = threading.Thread(target=self._write, name=f"record {self.name}", daemon=True)
        self._thread.start()

    def _write(self) -> None:
        total = 0
        try:
            with written(self._path):
                while (batch := self._take()) is not None:
                    self._store.append(total, {key: rows[: batch.count] for key, rows in batch.columns.items()})
                    total += batch.count
        except Exception as error:  # noqa: BLE001 - raised again in the stream's thread
            with self._changed:
                self._error = SinkError(f"{error}; what was recorded until then is in {self._kept}")
                self._changed.notify_all()

    def _take(self) -> Batch | None:
        """The frames that wait, after a while or when there is no room for more; None at the end."""
        with self._changed:
            assert self._filling is not None
            if not self._ended and not self._filling.full:
                self._changed.wait(_EVERY_S)
            if self._ended and not self._filling.count:
                return None
            taken, self._filling = self._filling, self._spare
            self._spare, self._filling.count = taken, 0
            self._changed.notify_all()
            return taken

    def _raise(self) -> None:
        if self._error is not None:
            raise self._error
