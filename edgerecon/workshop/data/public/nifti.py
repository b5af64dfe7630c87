"""NIfTI-1 (.nii, .nii.gz), as much of it as images need: https://nifti.nimh.nih.gov/nifti-1."""

from __future__ import annotations

import gzip
import math
import struct
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edgerecon.core.errors import DataError
from edgerecon.core.frame import MAX_PIXELS

TYPES = {2: "u1", 4: "i2", 8: "i4", 16: "f4", 64: "f8", 256: "i1", 512: "u2", 768: "u4"}
_HEADER = 348
_FRAMES_AT_MOST = 10_000


def read_nifti(path: Path) -> NDArray[Any]:
    """Values (N, H, W), axes of one turned into N: the file's first axis is W, its second H, the others are frames.

    Raises:
        DataError: not NIfTI-1, a type of several values a pixel, or shorter than it says.
    """
    with gzip.open(path) if path.suffix == ".gz" else path.open("rb") as file:
        header = file.read(_HEADER)
        letter = next((each for each in "<>" if header[:4] == struct.pack(f"{each}i", _HEADER)), None)
        if letter is None or len(header) < _HEADER or header[344:348] not in (b"n+1\0", b"ni1\0"):
            raise DataError(f"{path} is not a NIfTI-1 file")
        rank, *sizes = struct.unpack_from(f"{letter}8h", header, 40)
        (code,) = struct.unpack_from(f"{letter}h", header, 70)
        offset, slope, intercept = struct.unpack_from(f"{letter}3f", header, 108)
        sizes = sizes[: max(rank, 0)]
        if code not in TYPES or not 2 <= rank <= 7 or min(sizes) < 1:
            raise DataError(f"{path}: NIfTI type {code} of shape {sizes} is not read")
        count = math.prod(sizes)
        if sizes[0] * sizes[1] > MAX_PIXELS or count > sizes[0] * sizes[1] * _FRAMES_AT_MOST:
            raise DataError(f"{path} declares {sizes} pixels, more than are read")
        dtype = np.dtype(letter + TYPES[code])
        file.read(max(0, int(offset) - _HEADER))
        content = file.read(count * dtype.itemsize)
    if len(content) < count * dtype.itemsize:
        raise DataError(f"{path} ends early: it is truncated")
    values = np.frombuffer(content, dtype).reshape(-1, sizes[1], sizes[0])
    if slope not in (0.0, 1.0) or intercept:
        return np.asarray(values * np.float32(slope or 1.0) + np.float32(intercept), np.float32)
    return values.astype(dtype.newbyteorder("="))
