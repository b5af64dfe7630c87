"""Looks through a MAT file of version 5 before SciPy reads it.

SciPy takes memory for whatever sizes are stated, and a structure within a structure some ten thousand times ends the
process. The format: https://www.mathworks.com/help/pdf_doc/matlab/matfile_format.pdf
"""

from __future__ import annotations

import math
import struct
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

from edgerecon.core.errors import SourceError

SIGNALS_AT_MOST = 128 << 20
"""Bytes of an array of numbers: it is read at once."""

STRUCTURE_AT_MOST = 1 << 20
"""Bytes of a structure, with all that is in it."""

_DEEPEST = 8
_HEADER, _HEAD = 128, 4096  # bytes before the first variable, and in which a variable says what it is
_PIECE = 1 << 16
_MATRIX, _COMPRESSED = 14, 15
_CELL, _STRUCT, _CHAR = 1, 2, 4
_NUMBERS = range(6, 16)  # double to uint64


def array_shapes(path: Path, arrays: tuple[str, ...], structure: str) -> dict[str, tuple[int, ...]]:
    """Shapes of those of the variables that are there; all others are skipped.

    Args:
        arrays: names of arrays of numbers. structure: name of a structure of numbers and text.

    Raises:
        SourceError: one is larger, deeper or of another kind than channel data have, or the file is damaged.
    """
    found: dict[str, tuple[int, ...]] = {}
    try:
        with path.open("rb") as file:
            order = "<" if file.read(_HEADER)[-2:] == b"IM" else ">"
            while tag := file.read(8):
                kind, size = struct.unpack(f"{order}II", tag)
                start = file.tell()
                name = _parts(_content(file, kind, size, _HEAD), order)[2]
                if name in (*arrays, structure):
                    file.seek(start)
                    at_most = STRUCTURE_AT_MOST if name == structure else SIGNALS_AT_MOST
                    content = _content(file, kind, size, at_most + 1)
                    if len(content) > at_most:
                        raise SourceError(f"{path.name}: {name} is too large to be read whole: save it with -v7.3")
                    found[name] = _check(content, order, (_STRUCT,) if name == structure else _NUMBERS)
                file.seek(start + size)
    except (OSError, struct.error, zlib.error, ValueError) as error:
        raise SourceError(f"{path.name} is damaged, or holds no channel data of MUST: {error}") from error
    return found


def _content(file: BinaryIO, kind: int, size: int, at_most: int) -> memoryview:
    """The first ``at_most`` bytes of a variable, behind its tag."""
    if kind == _MATRIX:
        return memoryview(file.read(min(size, at_most)))
    if kind != _COMPRESSED:
        raise ValueError(f"a variable has the unknown type {kind}")
    inflater, content = zlib.decompressobj(), bytearray()
    for start in range(0, size, _PIECE):
        content += inflater.decompress(file.read(min(_PIECE, size - start)), at_most + 8 - len(content))
        if len(content) >= at_most + 8:
            break
    return memoryview(content)[8:]


def _parts(content: memoryview, order: str) -> tuple[int, tuple[int, ...], str, Iterator[memoryview]]:
    """Kind, shape, name and values of a variable."""
    values = _elements(content, order)
    flags, sizes, name = (next(values, memoryview(b"")) for _ in range(3))
    kind = struct.unpack(f"{order}I", flags[:4])[0] & 0xFF
    shape = struct.unpack(f"{order}{len(sizes) // 4}i", sizes)
    return kind, shape, bytes(name).decode("latin-1"), values


def _elements(content: memoryview, order: str) -> Iterator[memoryview]:
    """The bytes of each element."""
    at = 0
    while at + 8 <= len(content):
        kind, size = struct.unpack_from(f"{order}II", content, at)
        if kind >> 16:  # a small one lies within its tag
            yield content[at + 4 : at + 4 + min(4, kind >> 16)]
            at += 8
        else:
            yield content[at + 8 : at + 8 + size]
            at += 8 + size + -size % 8


def _check(content: memoryview, order: str, kinds: tuple[int, ...] | range, depth: int = 0) -> tuple[int, ...]:
    """The shape of a variable of one of these kinds; raises ValueError where more is stated than is there."""
    kind, shape, name, values = _parts(content, order)
    if kind not in kinds:
        raise ValueError(f"{name} is no structure" if _NUMBERS[0] not in kinds else f"{name} holds no numbers")
    if depth > _DEEPEST:
        raise ValueError("a structure lies too deep in others")
    if min(shape, default=0) < 0 or math.prod(shape) > len(content):
        raise ValueError(f"{name} states the size {shape}")
    if kind in (_CELL, _STRUCT):
        count = math.prod(shape)
        if kind == _STRUCT:
            length, names = (next(values, memoryview(b"")) for _ in range(2))
            width = struct.unpack(f"{order}i", length)[0]
            if width < 1:
                raise ValueError(f"the fields of {name} have no names")
            count *= len(names) // width
        within = list(values)
        if len(within) != count:
            raise ValueError(f"{name} lacks values")
        for part in filter(len, within):  # an empty one is nothing but its tag
            _check(part, order, (_CELL, _STRUCT, _CHAR, *_NUMBERS), depth + 1)
    return shape
