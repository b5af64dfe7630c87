"""A lossless recording as arrays, before and after, with each frame's stamps: HDF5 and Zarr share this layout.

    frames       uint8 (T, H, W)   as shown; (T, H, W, 3) where the first frame has colour
    before       uint8 (T, H, W)   as captured; likewise
    sequence     int64 (T)         counts captures from 0; a step above 1 is a frame that was not shown
    captured_ns  int64 (T)         monotonic clock of the recording machine
    timestamps   float64 (T)       seconds since the first frame: as a recording states them, as a live source gave them
    frame_spacing_mm  float64 (T, 2)  row, column; NaN when unknown
    raw          uint8 (T)         1: could not be processed, and was shown as captured
    late         uint8 (T)         1: came behind its deadline

Where the first frame has a pose, the columns of ``edgerecon.stream.protocols.pose_columns`` stand beside them.

Attributes: format, source, model, backend, precision, period_s, deadline_ms, spacing_mm (row, column; when known and
the same for all frames), started (ISO 8601, UTC).
"""

from __future__ import annotations

import math
import threading
from collections.abc import Mapping, MutableMapping
from contextlib import suppress
from datetime import datetime, timezone
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from edgerecon.core.errors import SinkError
from edgerecon.core.frame import Frame, Image
from edgerecon.stream.process.guarded import GuardedThread
from edgerecon.stream.protocols import pose_columns
from edgerecon.stream.sinks.files.file_sink import FileSink
from edgerecon.stream.sinks.files.panel import Canvas
from edgerecon.stream.sinks.files.stamps import Spacing, Stamp, Stamps, measured_period_s, recorded_pose

FORMAT = "edgerecon-recording-1"
Columns = dict[str, tuple[str, tuple[int, ...]]]
"""Type and shape of a row, by name."""

STAMPS: Columns = {
    "sequence": ("i8", ()),
    "captured_ns": ("i8", ()),
    "timestamps": ("f8", ()),
    "frame_spacing_mm": ("f8", (2,)),
    "raw": ("u1", ()),
    "late": ("u1", ()),
}
"""Those that every recording has beside the images. They are written last: a frame counts when it has them."""

_CHUNK_ROWS, _CHUNK_BYTES = 4096, 65536

_EVERY_S = 0.4
"""Frames wait in memory no longer than this before they are written, whether others follow or not."""

_WAITING_BYTES = 32_000_000


class Store(Protocol):
    """Arrays in a file or folder that grow along their first axis."""

    def create(self, path: Path, shape: tuple[int, ...], columns: Columns, attributes: dict[str, Any]) -> None:
        """Make ``frames`` and ``before`` (0, H, W) or (0, H, W, 3), and the columns (0)."""
        ...

    def append(self, count: int, columns: dict[str, np.ndarray]) -> None:
        """Put rows behind the ``count`` that there are, so that a process killed right after has lost none of them."""
        ...

    def close(self, head: dict[str, Any] | None) -> None:
        """End the file. ``head``: attributes that take the place of those of the same group (see ``head``); None when
        it failed, and only has to be let go."""
        ...

    def restore(self, cut: Path, to: Path) -> int:
        """Copy what a killed process left: of all columns as many rows as the shortest has. Returns their number."""
        ...


class Batch:
    """Room for the frames that wait, allocated once."""

    def __init__(self, length: int, shape: tuple[int, ...], columns: Columns) -> None:
        self.count = 0
        self.columns: dict[str, np.ndarray] = {
            "frames": np.empty((length, *shape), np.uint8),
            "before": np.empty((length, *shape), np.uint8),
            **{name: np.empty((length, *more), dtype) for name, (dtype, more) in columns.items()},
        }

    @property
    def full(self) -> bool:
        """Whether no further frame fits."""
        return self.count == len(self.columns["frames"])


class RecordingSink(FileSink):
    """Hands frames to a store on a thread of its own, in batches of at most 0.4 s.

    The first frame sets the size; later sizes are letterboxed. Under its temporary name it can be read while it is
    written, after a crash and when the disk is full.
    """

    def __init__(self, path: Path, store: Store) -> None:
        super().__init__(path)
        self._store = store
        self._filling: Batch | None = None
        self._changed = threading.Condition()
        self._thread: GuardedThread | None = None
        self._ended = False
        self._kept = 0

    def _begin(self) -> None:
        self._stamps = Stamps(self.info)

    def _write(self, before: Image, after: Frame, late: bool) -> None:
        if self._filling is None:
            self._start(after)
        with self._changed:
            while self._filling is not None and self._filling.full and not self._has_failed:
                self._changed.wait()  # the disk is slower than the stream
            self._raise()
            assert self._filling is not None
            at, columns = self._filling.count, self._filling.columns
            for name, image, colour in (("frames", after.pixels, after.drawn), ("before", before, after.colour)):
                self._canvas.draw(image, colour, columns[name][at])
            stamp = Stamp.of(after, late, self.info, self._canvas.size)
            self._stamps.add(stamp)
            row = _row(stamp, self._first_ns)
            if self._posed:
                row |= pose_columns.row_of(recorded_pose(after, self._canvas.size), self._canvas.size)
            for name, value in row.items():
                columns[name][at] = value
            self._filling.count += 1
            if self._filling.full:
                self._changed.notify_all()

    def _finish(self) -> Path:
        self._join()
        self._raise()
        self._store.close(head(self._stamps.period_s, self._stamps.spacing_mm))
        return self.part.temporary

    def _restore(self, cut: Path, to: Path) -> int:
        return self._store.restore(cut, to)

    def _let_go(self) -> None:
        self._join()
        with suppress(OSError, ValueError):
            self._store.close(None)

    def _join(self) -> None:
        with self._changed:
            self._ended = True
            self._changed.notify_all()
        if self._thread is not None:
            self._thread.join()

    def _start(self, first: Frame) -> None:
        info, self._canvas = self.info, Canvas(first)
        shape = self._canvas.shape
        self._first_ns = info.time_ns(first)
        attributes = {name: getattr(info, name) for name in ("source", "model", "backend", "precision", "deadline_ms")}
        attributes |= {"format": FORMAT, "started": datetime.now(timezone.utc).isoformat(timespec="milliseconds")}
        attributes |= head(info.period_s, first.spacing_mm or info.spacing_mm)
        self._posed = first.pose is not None
        columns = (pose_columns.COLUMNS if self._posed else {}) | STAMPS
        self._store.create(self.part.temporary, shape, columns, attributes)
        length = max(2, min(256, _WAITING_BYTES // (4 * math.prod(shape))))
        self._filling, self._spare = Batch(length, shape, columns), Batch(length, shape, columns)
        self._thread = GuardedThread(f"record {self.name}", self._write_batches, self._failed_behind)
        self._thread.start()

    def _write_batches(self) -> None:
        while (batch := self._take()) is not None:
            self._store.append(self._kept, {key: rows[: batch.count] for key, rows in batch.columns.items()})
            self._kept += batch.count

    def _failed_behind(self, error: BaseException) -> None:
        with self._changed:
            self._changed.notify_all()

    @property
    def _has_failed(self) -> bool:
        return self._thread is not None and self._thread.failure is not None

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
        if self._thread is None or self._thread.failure is None:
            return
        self.count = self._kept
        if isinstance(self._thread.failure, OSError | ValueError):
            raise self._thread.failure  # what a disk does
        self._thread.check(SinkError)


def chunk_rows(dtype: str, more: tuple[int, ...]) -> int:
    """How many rows of a column are stored together."""
    return max(1, min(_CHUNK_ROWS, _CHUNK_BYTES // (np.dtype(dtype).itemsize * math.prod(more))))


def head(period_s: float, spacing_mm: Spacing | None) -> dict[str, Any]:
    """The attributes that are known for sure at the end only."""
    return {"period_s": period_s} | ({"spacing_mm": list(spacing_mm)} if spacing_mm else {})


def state_head(attributes: MutableMapping[str, Any], stated: dict[str, Any]) -> None:
    """Put what ``head`` gives in the place of what was stated when the recording began."""
    for name in ("period_s", "spacing_mm"):
        attributes.pop(name, None)
    attributes.update(stated)


def whole_rows(columns: Mapping[str, Any], stored: int) -> int:
    """How many frames have all that belongs to one, where ``stored`` bytes hold the recording: they are not compressed,
    so that no more can be there.

    Raises:
        SinkError: there are no frames.
    """
    if not {"frames", "before"} <= columns.keys():
        raise SinkError("it holds no frames")
    frame_bytes = 2 * max(1, math.prod(columns["frames"].shape[1:]))
    return min(stored // frame_bytes, *(found.shape[0] for found in columns.values()))


def head_of(columns: Mapping[str, Any], attributes: Mapping[str, Any], count: int) -> dict[str, Any]:
    """The same from the columns of ``count`` rows, for a recording that nobody finished."""
    if "timestamps" not in columns:  # of an earlier version
        return {name: attributes[name] for name in ("period_s", "spacing_mm") if name in attributes}
    times_ns = np.asarray(columns["timestamps"][:count]) * 1e9
    period_s = measured_period_s(times_ns, columns["sequence"][:count], float(attributes["period_s"]))
    spacings = np.asarray(columns["frame_spacing_mm"][:count])
    same = count > 0 and bool(np.all(spacings == spacings[0]))  # NaN is not
    return head(period_s, (float(spacings[0, 0]), float(spacings[0, 1])) if same else None)


def _row(stamp: Stamp, first_ns: int) -> dict[str, object]:
    """One row of the columns of ``STAMPS``."""
    return {
        "sequence": stamp.sequence,
        "captured_ns": stamp.captured_ns,
        "timestamps": (stamp.time_ns - first_ns) / 1e9,
        "frame_spacing_mm": stamp.spacing_mm or (np.nan, np.nan),
        "raw": stamp.raw,
        "late": stamp.late,
    }
