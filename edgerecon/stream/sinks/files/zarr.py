"""The recording as a Zarr group (version 3), one chunk a frame."""

from __future__ import annotations

import asyncio
import errno
import math
import os
import shutil
import stat
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from edgerecon.core.errors import SinkError, needed
from edgerecon.core.frame import MAX_PIXELS
from edgerecon.stream.sinks.files.recording import Columns, RecordingSink, chunk_rows, head_of, state_head, whole_rows
from edgerecon.stream.sinks.kind import SinkKind

if TYPE_CHECKING:
    from zarr import Array, Group
    from zarr.abc.store import Store
    from zarr.core.buffer import Buffer


_CHUNK_AT_MOST = 3 * MAX_PIXELS
"""Bytes: one frame in colour."""


class ZarrStore:
    """A folder: whole chunks are written first, then the metadata that counts them.

    Raises:
        DependencyError: zarr is absent.
    """

    def __init__(self) -> None:
        with needed("zarr", "zarr"):
            import zarr  # noqa: F401
        self._group: Group | None = None

    def create(self, path: Path, shape: tuple[int, ...], columns: Columns, attributes: dict[str, Any]) -> None:
        import zarr

        path.unlink(missing_ok=True)  # where ``Part`` tried whether it may write
        self._group = group = zarr.open_group(_folder(path), mode="w", zarr_format=3, attributes=attributes)
        for name in ("frames", "before"):
            group.create_array(name, shape=(0, *shape), chunks=(1, *shape), dtype="uint8", compressors=None)
        for name, (dtype, more) in columns.items():
            chunks = (chunk_rows(dtype, more), *more)
            group.create_array(name, shape=(0, *more), chunks=chunks, dtype=dtype, compressors=None)

    def append(self, count: int, columns: dict[str, np.ndarray]) -> None:
        assert self._group is not None
        try:
            for name, rows in columns.items():  # the stamps come last: a frame counts when it has them
                self._group[name].append(rows)  # type: ignore[union-attr]
        except KeyError:
            raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT)) from None

    def close(self, head: dict[str, Any] | None) -> None:
        if head is not None and self._group is not None:
            state_head(self._group.attrs, head)

    def restore(self, cut: Path, to: Path) -> int:
        import zarr

        files = [path for path in cut.rglob("*") if not path.is_dir() or path.is_symlink()]
        if not all(stat.S_ISREG(path.lstat().st_mode) for path in files):
            raise SinkError(f"{cut.name} holds links or pipes, which no recording has")
        to.unlink(missing_ok=True)
        for path in files:
            target = to / path.relative_to(cut)
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(path, target)
        group = zarr.open_group(to, mode="r+")
        columns = dict(group.arrays())
        _refuse_foreign(cut, columns)
        count = whole_rows(columns, sum(path.stat().st_size for path in files))
        for found in columns.values():
            found.resize((count, *found.shape[1:]))
        state_head(group.attrs, head_of(columns, group.attrs, count))
        return count


def _refuse_foreign(cut: Path, columns: dict[str, Array]) -> None:
    """Chunks of a recording are small and uncompressed: reading another could take any memory."""
    for name, found in columns.items():
        stored = math.prod(found.chunks) * found.dtype.itemsize
        if found.compressors or found.filters or found.shards or stored > _CHUNK_AT_MOST:
            raise SinkError(f"{cut.name} was not written by edgerecon: '{name}' is stored in another way")


def _folder(path: Path) -> Store:
    """Chunks as files, one after the other, and none after one that failed: zarr goes on with the others behind the
    caller, who removes the folder. Nor is one written once the folder was moved: zarr would make another one."""
    from zarr.storage import LocalStore

    class Folder(LocalStore):
        _turn = asyncio.Lock()
        _failure: Exception | None = None
        _made: os.stat_result | None = None

        async def set(self, key: str, value: Buffer) -> None:
            async with self._turn:
                if self._failure is not None:
                    raise self._failure
                try:
                    self._refuse_another_folder()
                    await super().set(key, value)
                    self._made = self._made or path.stat()
                except Exception as error:
                    self._failure = error
                    raise

        def _refuse_another_folder(self) -> None:
            if self._made and not os.path.samestat(path.stat(), self._made):
                shutil.rmtree(path, ignore_errors=True)  # zarr made it while the folder was moved
                raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT))

    return Folder(path)


SINK = SinkKind(
    name="Zarr",
    title="a Zarr recording",
    endings=(".zarr",),
    open=lambda place, query: RecordingSink(Path(place), ZarrStore()),
)
