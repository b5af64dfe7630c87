"""NRRD, as 3D Slicer writes it: https://teem.sourceforge.net/nrrd/format.html."""

from __future__ import annotations

import math
import re
from pathlib import Path

import numpy as np

from edgerecon.errors import SourceError
from edgerecon.stream.sources.flat import FlatSource, Layout, open_at
from edgerecon.stream.sources.metaimage import beside, spacing_of

TYPES = {
    "uchar": "u1", "unsigned char": "u1", "uint8": "u1", "uint8_t": "u1", "signed char": "i1", "int8": "i1",
    "ushort": "u2", "unsigned short": "u2", "uint16": "u2", "uint16_t": "u2", "short": "i2", "int16": "i2",
    "uint": "u4", "unsigned int": "u4", "uint32": "u4", "int": "i4", "int32": "i4", "float": "f4", "double": "f8",
}  # fmt: skip


def open_nrrd(path: Path) -> FlatSource:
    """Open an NRRD, grey or colour, raw or gzip, attached or with its data beside the header; its last axes are frames.

    Raises:
        SourceError: not an NRRD, of an unknown kind, its frames are not its last axes, or its data lie outside the
        header's folder.
    """
    fields, after = _read_header(path)
    try:
        sizes = [int(text) for text in fields["sizes"].split()]
        dtype = np.dtype((">" if fields.get("endian") == "big" else "<") + TYPES[fields["type"]])
        packed = {"raw": False, "gzip": True, "gz": True}[fields["encoding"]]
    except (KeyError, ValueError) as error:
        raise SourceError(f"{path.name} is not an NRRD that can be read: {error} is missing or unknown") from error
    colour = _colour(path.name, fields.get("kinds", "").lower().split(), sizes)
    if len(sizes) < 2 + colour:
        raise SourceError(f"{path.name} has {len(sizes)} dimension: an image has two, a recording three")
    width, height, *others = sizes[colour:]
    name = fields.get("data file") or fields.get("datafile")
    data, offset = (beside(path, name), 0) if name else (path, after)
    layout = Layout(math.prod(others), (height, width, *sizes[:colour]), dtype)
    spacing = spacing_of(_spacing(fields)[colour : colour + 2])
    return FlatSource(path.name, layout, lambda: open_at(data, offset, packed), spacing_mm=spacing)


def _colour(name: str, kinds: list[str], sizes: list[int]) -> int:
    """1 when the first axis holds the channels of a pixel, else 0.

    Kinds are words of the NRRD format, section 5: PLUS writes "RGB-color domain domain list". Without them, four axes
    of which the first has the length 3 or 4 are colour: nobody scans three columns.
    """
    first = kinds[0] if kinds else ""
    if first in ("list", "time"):
        raise SourceError(f"{name} has its frames on the first axis: save it with them on the last (kind: list)")
    if first in ("", "???", "none"):
        return int(len(sizes) == 4 and sizes[0] in (3, 4))
    return int(first not in ("domain", "space"))


def _read_header(path: Path) -> tuple[dict[str, str], int]:
    fields: dict[str, str] = {}
    with path.open("rb") as file:
        file.readline(16)
        for _ in range(10_000):
            line = file.readline(1 << 16).decode("latin-1")
            if not line.strip():
                break
            key, colon, value = line.partition(":")
            if colon and not line.startswith("#"):
                fields[key.strip().lower()] = value.lstrip("=").strip()
        return fields, file.tell()


def _spacing(fields: dict[str, str]) -> list[float]:
    """Of each axis: its ``spacings``, or the lengths of the ``space directions``; NaN or [] where it has none."""
    try:
        if "spacings" in fields:
            return [float(text) for text in fields["spacings"].split()]
        vectors = re.findall(r"none|\(([^)]*)\)", fields.get("space directions", ""))
        return [math.hypot(*map(float, vector.split(","))) if vector else math.nan for vector in vectors]
    except ValueError:
        return []
