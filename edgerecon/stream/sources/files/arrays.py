"""NumPy arrays: .npy, or .npz with `frames` (and optionally `fps` and `spacing_mm`)."""

from __future__ import annotations

import io
import math
import os
import zipfile
import zlib
from pathlib import Path
from tokenize import TokenError
from typing import IO

import numpy as np
from numpy.lib import format as npy
from numpy.typing import NDArray

from edgerecon.core.errors import SourceError, first_line
from edgerecon.stream.sources.base import Source
from edgerecon.stream.sources.files.array_columns import ColumnsSource
from edgerecon.stream.sources.flat import FlatSource, OpenBytes, layout_of
from edgerecon.stream.sources.frame_rate import period_of_rate
from edgerecon.stream.sources.kind import SourceKind
from edgerecon.stream.sources.pixel_spacing import taken_spacing_mm

_HEADER_AT_MOST = 10_000  # bytes: NumPy's own limit, which it checks after it has read them all
_DIRECTORY_AT_MOST = 1 << 20  # bytes of an archive that list what it holds
_DAMAGE = (zipfile.BadZipFile, zlib.error, ValueError, EOFError)
_METHODS = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)  # what NumPy writes; others are inflated without a bound


def open_array(path: Path) -> Source:
    """Open T×H×W, H×W, T×H×W×3 or H×W×3 frames; pickled objects are never loaded.

    Frames are read one at a time from the file, compressed or not. An .npz may hold ``fps`` and ``spacing_mm``
    (row, column), and of each frame ``timestamps`` (s) and the columns of a pose, as the .npz sink writes them.

    Raises:
        SourceError: not a NumPy file, or no array of such a shape in it.
    """
    with path.open("rb") as file:
        beginning = file.read(len(npy.MAGIC_PREFIX))
    if beginning.startswith(b"PK"):
        return _open_npz(path)
    if beginning != npy.MAGIC_PREFIX:
        raise SourceError(f"{path.name} is not a NumPy file, or it is truncated")
    return _flat(path.name, lambda: path.open("rb"))


class _Archive:
    """The arrays in an .npz, by name without ``.npy``: the shape and type that each declares.

    Raises:
        SourceError: it is damaged, or nothing that NumPy writes.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        try:
            with _Small(path) as file, zipfile.ZipFile(file) as archive:
                members = [info for info in archive.infolist() if info.filename.endswith(".npy")]
                if any(info.compress_type not in _METHODS for info in members):
                    raise ValueError("it is compressed in a way that NumPy does not write")
                self.headers = {info.filename.removesuffix(".npy"): _header(archive.open(info)) for info in members}
        except (*_DAMAGE, NotImplementedError, RuntimeError) as error:
            raise SourceError(f"{path.name} is not an .npz file, or it is damaged: {first_line(error)}") from error

    def open(self, name: str) -> IO[bytes]:
        with zipfile.ZipFile(self._path) as archive:  # the archive's own file stays open until the member is closed
            return archive.open(f"{name}.npy")

    def number(self, name: str) -> float | None:
        """One number, NaN where it is none; None when it is absent."""
        if name not in self.headers:
            return None
        found = self._values(name, 1)
        return float(found[0]) if found is not None else math.nan

    def numbers(self, name: str, count: int) -> list[float]:
        """Numbers from a small array, NaN where they are none or not as many; empty when it is absent."""
        if name not in self.headers:
            return []
        values = self._values(name, count)
        return values.tolist() if values is not None else [math.nan] * count

    def _values(self, name: str, count: int) -> NDArray[np.float64] | None:
        shape, _, dtype = self.headers.get(name, ((0,), False, np.dtype("f8")))
        if int(np.prod(shape, dtype=object)) != count or dtype.kind not in "uif":
            return None
        try:
            with self.open(name) as stream:
                return np.asarray(npy.read_array(stream, allow_pickle=False), np.float64).ravel()
        except (*_DAMAGE, TypeError):
            return None


class _Small(io.FileIO):
    """A file of which no large piece is read at once: ``zipfile`` reads the whole list of what an archive holds."""

    def read(self, size: int | None = -1, /) -> bytes:
        if size is None or size < 0:
            size = os.fstat(self.fileno()).st_size - self.tell()
        if size > _DIRECTORY_AT_MOST:
            raise ValueError(f"its directory is larger than {_DIRECTORY_AT_MOST >> 20} MB")
        return super().read(size)


def _open_npz(path: Path) -> Source:
    archive = _Archive(path)
    images = [name for name, (shape, _, _) in archive.headers.items() if len(shape) >= 2]
    if "frames" not in images and len(images) != 1:
        found = ", ".join(images) or "no array of two or more dimensions"
        raise SourceError(f"{path.name} must hold its frames under the key 'frames'; it holds {found}")
    chosen = "frames" if "frames" in images else images[0]
    source = _flat(
        path.name,
        lambda: archive.open(chosen),
        period_s=period_of_rate(path.name, archive.number("fps")),
        spacing_mm=taken_spacing_mm(path.name, archive.numbers("spacing_mm", 2)),
    )
    columns = {name: (shape, dtype) for name, (shape, fortran, dtype) in archive.headers.items() if not fortran}

    def open_rows(name: str) -> IO[bytes]:
        stream = archive.open(name)
        _read_header(stream)
        return stream

    return ColumnsSource(source, columns, open_rows)


def _flat(
    name: str,
    open_npy: OpenBytes,
    period_s: float | None = None,
    spacing_mm: tuple[float, float] | None = None,
) -> FlatSource:
    try:
        shape, fortran, dtype = _header(open_npy())
    except _DAMAGE as error:
        raise SourceError(f"{name} is not a NumPy array, or it is damaged: {first_line(error)}") from error
    if fortran and len(shape) > 1:
        raise SourceError(f"{name} is in column-major order: save it again with np.ascontiguousarray")

    def open_bytes() -> IO[bytes]:
        stream = open_npy()
        _read_header(stream)
        return stream

    return FlatSource(name, layout_of(name, shape, dtype), [open_bytes], period_s, spacing_mm)


def _header(stream: IO[bytes]) -> tuple[tuple[int, ...], bool, np.dtype]:
    with stream:
        return _read_header(stream)


def _read_header(stream: IO[bytes]) -> tuple[tuple[int, ...], bool, np.dtype]:
    """Shape, whether it is column-major, and type; the stream then stands at the first value.

    Raises:
        ValueError: not such a header, or longer than NumPy itself takes. EOFError: it ends before.
    """
    version = npy.read_magic(stream)
    counter = stream.read(2 if version == (1, 0) else 4)
    length = int.from_bytes(counter, "little")
    if length > _HEADER_AT_MOST:
        raise ValueError(f"its header of {length} bytes is longer than NumPy's {_HEADER_AT_MOST}")
    header = io.BytesIO(counter + stream.read(length))
    read = npy.read_array_header_1_0 if version == (1, 0) else npy.read_array_header_2_0
    try:
        return read(header)
    except (SyntaxError, TokenError, RecursionError, MemoryError) as error:  # parentheses without end
        raise ValueError("its header makes no sense") from error


SOURCE = SourceKind(
    name="NumPy",
    title="a NumPy file",
    magic=(b"\x93NUMPY", b"PK\x03\x04"),
    endings=(".npy", ".npz"),
    open=lambda place, query: open_array(Path(place)),
)
