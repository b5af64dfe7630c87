"""The recording as a Zarr group (version 3), one chunk a frame."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from edgerecon.core.errors import needed
from edgerecon.stream.sinks.files.recording import Columns, RecordingSink, chunk_rows, head_of, state_head
from edgerecon.stream.sinks.kind import SinkKind

if TYPE_CHECKING:
    from zarr import Group


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
        self._group = group = zarr.open_group(path, mode="w", zarr_format=3, attributes=attributes)
        for name in ("frames", "before"):
            group.create_array(name, shape=(0, *shape), chunks=(1, *shape), dtype="uint8", compressors=None)
        for name, (dtype, more) in columns.items():
            chunks = (chunk_rows(dtype, more), *more)
            group.create_array(name, shape=(0, *more), chunks=chunks, dtype=dtype, compressors=None)

    def append(self, count: int, columns: dict[str, np.ndarray]) -> None:
        assert self._group is not None
        for name, rows in columns.items():  # the stamps come last: a frame counts when it has them
            self._group[name].append(rows)  # type: ignore[union-attr]

    def close(self, head: dict[str, Any] | None) -> None:
        if head is not None and self._group is not None:
            state_head(self._group.attrs, head)

    def restore(self, cut: Path, to: Path) -> int:
        import zarr

        to.unlink(missing_ok=True)
        shutil.copytree(cut, to)
        group = zarr.open_group(to, mode="r+")
        columns = dict(group.arrays())
        count = min(found.shape[0] for found in columns.values())
        for found in columns.values():
            found.resize((count, *found.shape[1:]))
        state_head(group.attrs, head_of(columns, group.attrs, count))
        return count


SINK = SinkKind(
    name="Zarr",
    title="a Zarr recording",
    endings=(".zarr",),
    open=lambda place, query: RecordingSink(Path(place), ZarrStore()),
)
