"""What an .npz says of each frame beside its pixels: when it was taken, and where it lay."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack
from itertools import repeat
from typing import IO, Any

import numpy as np

from edgerecon.stream.protocols.pose_columns import COLUMNS, pose_of_row
from edgerecon.stream.sources.base import Capture
from edgerecon.stream.sources.flat import FlatSource

Shape = tuple[int, ...]
_TIMES = "timestamps"


class ColumnsSource:
    """Another source's frames with the time and the pose of each.

    Args:
        source: of the pixels. open_rows: gives the bytes of a column from its first row on.
        headers: shape and type of each array that there is; those that do not fit the frames are left out.
    """

    live = False

    def __init__(
        self, source: FlatSource, headers: Mapping[str, tuple[Shape, np.dtype]], open_rows: Callable[[str], IO[bytes]]
    ) -> None:
        self._source, self._open_rows = source, open_rows
        self.name, self.period_s, self.spacing_mm = source.name, source.period_s, source.spacing_mm
        self.length = source.length

        def fits(name: str, kind: str, more: Shape) -> bool:
            return name in headers and headers[name] == ((self.length, *more), np.dtype(kind))

        self._timed = fits(_TIMES, "f8", ())
        self._posed = all(fits(name, *column) for name, column in COLUMNS.items())

    def frames(self) -> Iterator[Capture]:
        columns: dict[str, tuple[str, Shape]] = {_TIMES: ("f8", ())} if self._timed else {}
        columns |= COLUMNS if self._posed else {}
        with ExitStack() as stack:
            rows = {name: self._rows(stack, name, *column) for name, column in columns.items()}
            for capture in self._source.frames():
                row = {name: next(values) for name, values in rows.items()}
                if any(value is None for value in row.values()):
                    row = {}  # the file is damaged there
                time_s = row.pop(_TIMES, None)
                capture.time_s = float(time_s) if time_s is not None and np.isfinite(time_s) else None
                if row and capture.image is not None:
                    capture.pose = pose_of_row(row, capture.image.shape)
                yield capture

    def _rows(self, stack: ExitStack, name: str, kind: str, more: Shape) -> Iterator[Any]:
        """Row by row; None behind the last that can be read."""
        stream, row = stack.enter_context(self._open_rows(name)), np.dtype((kind, more))
        try:
            while len(data := stream.read(row.itemsize)) == row.itemsize:
                yield np.frombuffer(data, row)[0]
        except Exception:  # noqa: BLE001 - a damaged zip or zlib stream fails in many ways
            pass
        yield from repeat(None)

    def close(self) -> None:
        self._source.close()
