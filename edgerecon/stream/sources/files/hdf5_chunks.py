"""Values of HDF5 datasets, unpacked chunk by chunk within the size that is declared, and each chunk once.

HDF5 itself inflates a chunk of a few kilobytes to gigabytes before it looks at the size that was declared, and unpacks
a chunk of many frames anew for each of them.
"""

from __future__ import annotations

import itertools
import math
import zlib
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from edgerecon.core.errors import SourceError

if TYPE_CHECKING:
    import h5py

_CHUNK_AT_MOST = 64 << 20  # bytes of a chunk of several frames
_ROW_AT_MOST = 512 << 20  # bytes that are unpacked for one frame
_BATCH = 64 << 20  # bytes of frames that are kept
_CHUNKS_AT_MOST = 100_000  # of one frame
_DEFLATE, _SHUFFLE, _CHECKSUM, _SZIP, _LZF = 1, 2, 3, 4, 32_000
_KNOWN = (_DEFLATE, _SHUFFLE, _CHECKSUM, _SZIP, _LZF)
_LZF_AT_MOST = 88  # times its size that LZF unpacks to: 264 bytes of three


def check_chunks(found: h5py.Dataset, name: str) -> None:
    """Raises SourceError when the dataset is stored in a way that no recording needs and that takes much to unpack."""
    chunks = found.chunks
    if chunks is None:
        return
    size = math.prod(chunks) * found.dtype.itemsize
    row = min(chunks[0], max(found.shape[0], 1)) * math.prod(found.shape[1:]) * found.dtype.itemsize
    across = math.prod(-(-length // chunk) for length, chunk in zip(found.shape[1:], chunks[1:], strict=True))
    packed = [kind for kind in _filters(found) if kind not in (_SHUFFLE, _CHECKSUM)]
    why = None
    if unknown := [kind for kind in packed if kind not in _KNOWN]:
        why = f"its filter {unknown[0]} unpacks without a bound that is known"
    elif chunks[0] > 1 and (size > _CHUNK_AT_MOST or (packed and found.ndim > 2 and row > _ROW_AT_MOST)):
        why = f"{max(size, row) >> 20} MB are unpacked for one frame"
    elif packed and across > _CHUNKS_AT_MOST:
        why = f"a frame lies in {across:,} chunks"
    elif len(packed) > 1:
        why = f"it is compressed {len(packed)} times over"
    if why:
        raise SourceError(f"{name}: '{found.name}' cannot be played, {why}: repack it (h5repack) with a frame a chunk")


def read(found: h5py.Dataset, start: int, stop: int, axis: int = 0) -> NDArray[Any]:
    """Values from ``start`` to ``stop`` along an axis, all of the others, in the machine's byte order.

    Raises:
        OSError, RuntimeError, ValueError: damage, as h5py raises it.
    """
    spans = [(start, stop) if at == axis else (0, length) for at, length in enumerate(found.shape)]
    filters = _filters(found)
    if _DEFLATE not in filters:
        if _LZF in filters or _SZIP in filters:
            for corner in _corners(found, spans):
                _refuse_larger(found, corner, filters)
        values = np.asarray(found[(slice(None),) * axis + (slice(start, stop),)])
        return values.astype(values.dtype.newbyteorder("="), copy=False)
    shape = (*found.shape[:axis], stop - start, *found.shape[axis + 1 :])
    out = np.full(shape, found.fillvalue, found.dtype.newbyteorder("="))
    for corner in _corners(found, spans):
        unpacked = _unpacked(found, corner)
        if unpacked is None:
            continue
        to, take = [], []
        for at, chunk, (low, high) in zip(corner, found.chunks, spans, strict=True):
            first, last = max(at, low), min(at + chunk, high)
            to.append(slice(first - low, last - low))
            take.append(slice(first - at, last - at))
        out[tuple(to)] = unpacked[tuple(take)]
    return out


def _corners(found: h5py.Dataset, spans: list[tuple[int, int]]) -> Iterator[tuple[int, ...]]:
    """First indices of the chunks that hold values within the spans."""
    return itertools.product(
        *(range(low // chunk * chunk, high, chunk) for (low, high), chunk in zip(spans, found.chunks, strict=True))
    )


class Frames:
    """Frames along the first axis of a dataset, one by one; those of a chunk are unpacked together.

    Attributes:
        shape: of the dataset.
    """

    def __init__(self, found: h5py.Dataset) -> None:
        self._found = found
        self.shape = tuple(found.shape)
        self._chunk = found.chunks[0] if found.chunks else 1
        size = math.prod(found.shape[1:]) * found.dtype.itemsize
        self._batch = max(1, min(self._chunk, _BATCH // max(size, 1)))
        self._start = 0
        self._held: NDArray[Any] = np.empty(0)

    def __len__(self) -> int:
        return int(self.shape[0])

    def __getitem__(self, index: int) -> NDArray[Any]:
        if not self._start <= index < self._start + len(self._held):
            corner = index - index % self._chunk
            start = index - (index - corner) % self._batch
            stop = min(start + self._batch, corner + self._chunk, self._found.shape[0])
            self._start, self._held = start, np.empty(0)  # let go of the last ones first
            self._held = read(self._found, start, stop)
        return np.asarray(self._held[index - self._start])


def _filters(found: h5py.Dataset) -> list[int]:
    plan = found.id.get_create_plist()
    return [int(plan.get_filter(index)[0]) for index in range(plan.get_nfilters())]


def _unpacked(found: h5py.Dataset, corner: tuple[int, ...]) -> NDArray[Any] | None:
    """One chunk; None where none was written."""
    import h5py

    stored = found.id.get_chunk_info_by_coord(corner)
    if stored.byte_offset is None:
        return None
    size = math.prod(found.chunks) * found.dtype.itemsize
    if stored.size > 2 * size + (1 << 16):
        raise OSError("a chunk takes more bytes than its values")
    if not found.id.get_type().equal(h5py.h5t.py_create(found.dtype)):
        raise OSError("packed values of this type are not read")
    mask, data = found.id.read_direct_chunk(corner)
    for index, kind in reversed(list(enumerate(_filters(found)))):
        if mask >> index & 1:
            continue
        if kind == _DEFLATE:
            data = _inflated(data, size + 4)
        elif kind == _SHUFFLE:
            data = np.frombuffer(data, np.uint8).reshape(found.dtype.itemsize, -1).T.tobytes()
        elif kind == _CHECKSUM:  # zlib has its own
            data = data[:-4]
    if len(data) != size:
        raise OSError("a chunk holds more or fewer values than it should")
    return np.frombuffer(data, found.dtype).reshape(found.chunks)


def _refuse_larger(found: h5py.Dataset, corner: tuple[int, ...], filters: list[int]) -> None:
    """Raises OSError for a chunk that HDF5 would unpack to more than its values."""
    stored = found.id.get_chunk_info_by_coord(corner)
    size = math.prod(found.chunks) * found.dtype.itemsize + 4  # a checksum may lie within
    packing = next(at for at, kind in enumerate(filters) if kind in (_LZF, _SZIP))
    if stored.byte_offset is None or stored.filter_mask >> packing & 1:
        return
    if stored.size > 2 * size + (1 << 16):
        raise OSError("a chunk takes more bytes than its values")
    if filters[packing] == _LZF and _LZF_AT_MOST * stored.size <= size:
        return
    _, data = found.id.read_direct_chunk(corner)
    if _CHECKSUM in filters[packing:]:
        data = data[:-4]
    unpacked = _lzf_length(data, size) if filters[packing] == _LZF else int.from_bytes(data[:4], "little")
    if unpacked > size:
        raise OSError("a chunk holds more values than it should")


def _lzf_length(data: bytes, at_most: int) -> int:
    """How many bytes come of LZF, as far as they are reckoned with: runs of bytes, and copies of what went before."""
    at, length = 0, 0
    while at < len(data) and length <= at_most:
        control = data[at]
        if control < 32:
            length += control + 1
            at += control + 2
        else:
            longer = control >> 5 == 7 and at + 1 < len(data)
            length += (control >> 5) + 2 + (data[at + 1] if longer else 0)
            at += 3 if longer else 2
    return length


def _inflated(data: bytes, at_most: int) -> bytes:
    unpack = zlib.decompressobj()
    try:
        values = unpack.decompress(data, at_most + 1)
    except zlib.error as error:
        raise OSError(f"a chunk is damaged ({error})") from error
    if len(values) > at_most:
        raise OSError("a chunk holds more values than it should")
    return values
