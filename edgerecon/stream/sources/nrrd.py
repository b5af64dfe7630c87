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
    """Open a scalar NRRD, raw or gzip, attached or with its data beside the header; its last axes are frames.

    Raises:
        SourceError: not an NRRD, of an unknown kind, or its data lie outside the header's folder.
    """
    fields, after = _read_header(path)
    try:
        sizes = [int(text) for text in fields["sizes"].split()]
        dtype = np.dtype((">" if fields.get("endian") == "big" else "<") + TYPES[fields["type"]])
        packed = {"raw": False, "gzip": True, "gz": True}[fields["encoding"]]
    except (KeyError, ValueError) as error:
        raise SourceError(f"{path.name} is not an NRRD that can be read: {error} is missing or unknown") from error
    if len(sizes) < 2:
        raise SourceError(f"{path.name} has {len(sizes)} dimension: an image has two, a recording three")
    name = fields.get("data file") or fields.get("datafile")
    data, offset = (beside(path, name), 0) if name else (path, after)
    layout = Layout(math.prod(sizes[2:]), (sizes[1], sizes[0]), dtype)
    return FlatSource(path.name, layout, lambda: open_at(data, offset, packed), spacing_mm=_spacing(fields))


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


def _spacing(fields: dict[str, str]) -> tuple[float, float] | None:
    """Per-axis `spacings`, or the lengths of the `space directions`."""
    try:
        if "spacings" in fields:
            steps = [float(text) for text in fields["spacings"].split()]
        else:
            vectors = re.findall(r"\(([^)]*)\)", fields.get("space directions", ""))
            steps = [math.hypot(*map(float, vector.split(","))) for vector in vectors]
    except ValueError:
        return None
    return spacing_of(steps[:2])
