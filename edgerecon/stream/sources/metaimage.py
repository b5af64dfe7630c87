"""MetaImage (.mha, .mhd), as ITK and PLUS write it: https://itk.org/Wiki/ITK/MetaIO/Documentation."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np

from edgerecon.errors import SourceError
from edgerecon.stream.sources.flat import FlatSource, Layout, open_at

TYPES = {
    "MET_UCHAR": "u1", "MET_CHAR": "i1", "MET_USHORT": "u2", "MET_SHORT": "i2", "MET_UINT": "u4", "MET_INT": "i4",
    "MET_ULONG_LONG": "u8", "MET_LONG_LONG": "i8", "MET_FLOAT": "f4", "MET_DOUBLE": "f8",
}  # fmt: skip
_HEADER_AT_MOST = 16 << 20  # PLUS writes some 1 kB of transforms a frame into it


def open_metaimage(path: Path, rf: bool = False) -> FlatSource:
    """Open a MetaImage: its last axes are frames; compressed or not, LOCAL or with its data beside the header.

    The spacing is unknown when it is 1 on every axis (what writers put that do not know it). The period is the median
    step of PLUS's frame timestamps, where there are any. With ``rf`` the rows are beamformed RF lines, shown as B-mode.

    Raises:
        SourceError: not a MetaImage, of an unknown kind, or its data lie outside the header's folder.
    """
    header, after = read_header(path)
    try:
        sizes = [int(text) for text in header["DimSize"].split()]
        letter = ">" if _is(header, "BinaryDataByteOrderMSB") or _is(header, "ElementByteOrderMSB") else "<"
        dtype = np.dtype(letter + TYPES[header["ElementType"]])
        channels = int(header.get("ElementNumberOfChannels", "1"))
        skip = int(header.get("HeaderSize", "0"))
        file = header["ElementDataFile"]
        spacing = [float(text) for text in header.get("ElementSpacing", "").split()]
    except (KeyError, ValueError) as error:
        raise SourceError(f"{path.name} is not a MetaImage that can be read: {error} is missing or unknown") from error
    if len(sizes) < 2:
        raise SourceError(f"{path.name} has {len(sizes)} dimension: an image has two, a recording three")
    shape = (sizes[1], sizes[0]) if channels == 1 else (sizes[1], sizes[0], channels)
    layout = Layout(math.prod(sizes[2:]), shape, dtype)
    layout.check(path.name)
    packed = _is(header, "CompressedData")
    data = path if file.upper() == "LOCAL" else beside(path, file)
    offset = after if data is path else max(skip, 0)
    if skip == -1 and not packed:  # "the data are the last bytes of the file"
        offset = max(0, data.stat().st_size - layout.count * math.prod(shape) * dtype.itemsize)
    return FlatSource(
        path.name,
        layout,
        lambda: open_at(data, offset, packed),
        _period(header),
        spacing_of(spacing[:2]),
        rf=rf,
    )


def read_header(path: Path) -> tuple[dict[str, str], int]:
    """`Key = value` lines up to ElementDataFile, and where the data begin in a LOCAL file."""
    header: dict[str, str] = {}
    with path.open("rb") as file:
        while "ElementDataFile" not in header and file.tell() < _HEADER_AT_MOST:
            key, equals, value = file.readline(1 << 16).decode("latin-1").partition("=")
            if not equals:
                raise SourceError(f"{path.name} is not a MetaImage, or its header is truncated")
            header[key.strip()] = value.strip()
        return header, file.tell()


def beside(header: Path, name: str) -> Path:
    """The data file that a header names.

    Raises:
        SourceError: it lies outside the header's folder (a header must not make us read other files), or is missing.
    """
    folder = header.resolve().parent
    data = (folder / name).resolve()
    if not data.is_relative_to(folder):
        raise SourceError(f"{header.name} refers to data outside its own folder ({name}): put them beside it")
    if not data.is_file():
        raise SourceError(f"{header.name} refers to {name}, which is not beside it")
    return data


def spacing_of(column_row: list[float]) -> tuple[float, float] | None:
    """(row, column) in mm from x and y spacing; None when absent, impossible, or 1 and 1 (unset)."""
    if len(column_row) != 2 or not all(math.isfinite(step) and step > 0 for step in column_row):
        return None
    return None if column_row == [1.0, 1.0] else (column_row[1], column_row[0])


def _is(header: dict[str, str], key: str) -> bool:
    return header.get(key, "").lower() == "true"


def _period(header: dict[str, str]) -> float | None:
    times = [value for key, value in header.items() if key.startswith("Seq_Frame") and key.endswith("_Timestamp")]
    try:
        steps = np.diff([float(time) for time in times])
    except ValueError:
        return None
    step = float(np.median(steps)) if len(steps) else 0.0
    return step if math.isfinite(step) and step > 0 else None
