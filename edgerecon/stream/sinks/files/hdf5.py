"""The recording as an HDF5 file that can be read while it is written and after its writer was killed."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from edgerecon.core.errors import needed
from edgerecon.stream.sinks.files.recording import Columns, RecordingSink, chunk_rows, head_of, state_head, whole_rows
from edgerecon.stream.sinks.kind import SinkKind
from edgerecon.stream.sources.hdf5_file import opened

if TYPE_CHECKING:
    import h5py

_COPIED_ROWS = 16
"""At once, when a recording is recovered."""


class Hdf5Store:
    """HDF5 in single-writer/multiple-reader mode: what was flushed stays consistent whatever happens to the process.

    Raises:
        DependencyError: h5py is absent.
    """

    def __init__(self) -> None:
        with needed("stream", "h5py"):
            import h5py  # noqa: F401
        self._file: h5py.File | None = None

    def create(self, path: Path, shape: tuple[int, ...], columns: Columns, attributes: dict[str, Any]) -> None:
        import h5py

        with self._failing():
            self._file = file = h5py.File(path, "w", libver="latest")
            file.attrs.update(attributes)
            for name in ("frames", "before"):
                file.create_dataset(name, (0, *shape), np.uint8, maxshape=(None, *shape), chunks=(1, *shape))
            for name, (dtype, more) in columns.items():
                chunks = (chunk_rows(dtype, more), *more)
                file.create_dataset(name, (0, *more), dtype, maxshape=(None, *more), chunks=chunks)
            file.flush()
            file.swmr_mode = True

    def append(self, count: int, columns: dict[str, np.ndarray]) -> None:
        assert self._file is not None
        with self._failing():
            for name, rows in columns.items():  # the stamps come last: a frame counts when it has them
                found = self._file[name]
                found.resize(count + len(rows), 0)
                found[count:] = rows
                found.flush()

    def close(self, head: dict[str, Any] | None) -> None:
        import h5py

        if head is None:
            self._let_go()
        elif self._file is not None:
            path = self._file.filename
            with self._failing():
                self._file.close()
                self._file = h5py.File(path, "r+")  # one that may be read meanwhile takes no change of its attributes
                state_head(self._file.attrs, head)
                self._file.close()

    def restore(self, cut: Path, to: Path) -> int:
        import h5py

        with opened(cut) as source, self._failing():
            self._file = whole = h5py.File(to, "w", libver="latest")
            columns = {name: found for name, found in source.items() if _grows(found)}
            count = whole_rows(columns, cut.stat().st_size)
            whole.attrs.update(source.attrs)
            for name, found in columns.items():
                shape = (count, *found.shape[1:])
                rows = whole.create_dataset(name, shape, found.dtype, maxshape=found.maxshape, chunks=found.chunks)
                for start in range(0, count, _COPIED_ROWS):
                    rows[start : start + _COPIED_ROWS] = found[start : min(start + _COPIED_ROWS, count)]
            state_head(whole.attrs, head_of(whole, whole.attrs, count))
            whole.close()
        return count

    @contextmanager
    def _failing(self) -> Iterator[None]:
        """HDF5 tells of a full disk in a paragraph: say what the system said, and let it write no more."""
        try:
            yield
        except BaseException as error:
            self._let_go()
            if not isinstance(error, OSError | RuntimeError):
                raise
            number = re.search(r"errno = (\d+)", str(error))
            if number is None:
                raise
            raise OSError(int(number[1]), os.strerror(int(number[1]))) from None

    def _let_go(self) -> None:
        """Point the file's descriptor at nothing, and close it: what HDF5 cannot write it tries again at every turn,
        and at the end of the process it crashes on that. On the disk the file stays as after a kill."""
        file, self._file = self._file, None
        if file is not None and file.id.valid:
            nothing = os.open(os.devnull, os.O_RDWR)
            os.dup2(nothing, file.id.get_vfd_handle())
            os.close(nothing)
            with suppress(OSError, RuntimeError):  # nothing cannot be extended
                file.close()


def _grows(found: Any) -> bool:
    """Whether it is an array that rows are added to."""
    return bool(getattr(found, "maxshape", None)) and found.maxshape[0] is None


SINK = SinkKind(
    name="HDF5",
    title="an HDF5 recording",
    endings=(".h5", ".hdf5"),
    open=lambda place, query: RecordingSink(Path(place), Hdf5Store()),
)
