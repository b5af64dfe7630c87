"""NumPy arrays: .npy, or .npz with `frames` (and optionally `fps` and `spacing_mm`)."""

from __future__ import annotations

import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import IO

import numpy as np
from numpy.lib import format as npy

from edgerecon.errors import SourceError
from edgerecon.stream.sources.flat import FlatSource, Layout


def open_array(path: Path) -> FlatSource:
    """Open T×H×W, H×W or T×H×W×3 frames; pickled objects are never loaded.

    Frames are read one at a time from the file, compressed or not. An .npz may hold ``fps`` and ``spacing_mm``
    (row, column).

    Raises:
        SourceError: not a NumPy file, or no array of such a shape in it.
    """
    if zipfile.is_zipfile(path):
        return _open_npz(path)
    with path.open("rb") as file:
        if file.read(len(npy.MAGIC_PREFIX)) != npy.MAGIC_PREFIX:
            raise SourceError(f"{path.name} is not a NumPy file, or it is truncated")
    return _flat(path.name, lambda: path.open("rb"))


def _open_npz(path: Path) -> FlatSource:
    def open_member(name: str) -> IO[bytes]:
        # The archive's own file stays open until the member is closed.
        with zipfile.ZipFile(path) as archive:
            return archive.open(name)

    try:
        with zipfile.ZipFile(path) as archive:
            members = [name for name in archive.namelist() if name.endswith(".npy")]
        shapes = {name: _header(open_member(name))[0] for name in members}
    except (zipfile.BadZipFile, ValueError, EOFError, NotImplementedError, RuntimeError) as error:
        raise SourceError(f"{path.name} is not an .npz file, or it is damaged: {error}") from error
    images = [name for name, shape in shapes.items() if len(shape) >= 2]
    if "frames.npy" not in images and len(images) != 1:
        found = ", ".join(name.removesuffix(".npy") for name in images) or "no array of two or more dimensions"
        raise SourceError(f"{path.name} must hold its frames under the key 'frames'; it holds {found}")
    chosen = "frames.npy" if "frames.npy" in images else images[0]
    fps = _numbers(open_member, "fps.npy", shapes, 1)
    spacing = _numbers(open_member, "spacing_mm.npy", shapes, 2)
    return _flat(
        path.name,
        lambda: open_member(chosen),
        period_s=1 / fps[0] if fps else None,
        spacing_mm=(spacing[0], spacing[1]) if spacing else None,
    )


def _flat(
    name: str,
    open_npy: Callable[[], IO[bytes]],
    period_s: float | None = None,
    spacing_mm: tuple[float, float] | None = None,
) -> FlatSource:
    try:
        shape, fortran, dtype = _header(open_npy())
    except (ValueError, EOFError, zipfile.BadZipFile) as error:
        raise SourceError(f"{name} is not a NumPy array, or it is damaged: {error}") from error
    if fortran and len(shape) > 1:
        raise SourceError(f"{name} is in column-major order: save it again with np.ascontiguousarray")
    if len(shape) == 2:
        shape = (1, *shape)
    if len(shape) not in (3, 4):
        raise SourceError(f"{name} has the shape {shape}: frames are T×H×W, H×W or T×H×W×3")

    def open_bytes() -> IO[bytes]:
        stream = open_npy()
        _read_header(stream)
        return stream

    return FlatSource(name, Layout(shape[0], shape[1:], dtype), open_bytes, period_s, spacing_mm)


def _header(stream: IO[bytes]) -> tuple[tuple[int, ...], bool, np.dtype]:
    with stream:
        return _read_header(stream)


def _read_header(stream: IO[bytes]) -> tuple[tuple[int, ...], bool, np.dtype]:
    version = npy.read_magic(stream)
    return npy.read_array_header_1_0(stream) if version == (1, 0) else npy.read_array_header_2_0(stream)


def _numbers(
    open_member: Callable[[str], IO[bytes]], name: str, shapes: dict[str, tuple[int, ...]], count: int
) -> list[float]:
    """Positive numbers from a small array; empty when it is absent or makes no sense."""
    if np.prod(shapes.get(name, (0,))) != count:
        return []
    try:
        with open_member(name) as stream:
            values = np.asarray(npy.read_array(stream, allow_pickle=False), np.float64).ravel()
    except (ValueError, TypeError, EOFError, zipfile.BadZipFile):
        return []
    return values.tolist() if np.all(np.isfinite(values) & (values > 0)) else []
