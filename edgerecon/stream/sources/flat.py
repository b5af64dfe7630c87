"""Recordings whose frames lie one after the other in a stream of bytes (.npy, .npz, MetaImage, NRRD)."""

from __future__ import annotations

import io
import math
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import IO

import numpy as np
from numpy.typing import NDArray

from edgerecon.errors import SourceError
from edgerecon.frame import MAX_PIXELS, RawImage
from edgerecon.stream.sources.base import Capture
from edgerecon.stream.sources.compression import LogCompression, envelope
from edgerecon.stream.sources.scaling import Range, find_range, needs_range

MAX_FRAMES = 1_000_000
_ROWS = 1024  # of an image made of RF lines, at most
_NAMES = {"c": "complex (IQ)", "b": "boolean"}


@dataclass(frozen=True)
class Layout:
    """How the bytes are to be read.

    Attributes:
        count: declared number of frames. shape: (H, W) or (H, W, channels). dtype: with its byte order.
    """

    count: int
    shape: tuple[int, ...]
    dtype: np.dtype

    def check(self, name: str) -> None:
        """Refuse before anything is allocated.

        Raises:
            SourceError: nothing to show, not grey levels, or sizes that no scanner makes.
        """
        if self.dtype.kind not in "uif":
            kind = _NAMES.get(self.dtype.kind, str(self.dtype))
            raise SourceError(f"{name} holds {kind} values: give B-mode grey levels (integers or floats)")
        if min(self.count, *self.shape) < 1:
            raise SourceError(f"{name} holds no pixels: its size is {self.count} frames of {self.shape}")
        if len(self.shape) == 3 and self.shape[2] not in (1, 3, 4):
            raise SourceError(f"{name} has {self.shape[2]} channels a pixel: 1 (grey), 3 (RGB) or 4 (RGBA) are known")
        height, width = self.shape[:2]
        if height * width > MAX_PIXELS or self.count > MAX_FRAMES:
            raise SourceError(
                f"{name} declares {self.count} frames of {width}×{height} pixels: at most {MAX_FRAMES:,} frames of "
                f"{MAX_PIXELS:,} pixels are read"
            )


class FlatSource:
    """Reads one frame at a time, so that a recording of any length takes the memory of one frame.

    Types other than uint8 and uint16 are scaled to [0, 1] by the range of the whole recording, found in a first pass
    (floats within [0, 1] stay as they are).

    Args:
        open_bytes: gives the bytes from the first frame on; called again for every pass.
        rf: the rows are beamformed RF lines: frames become B-mode, 60 dB deep, with the lines as columns.
    """

    live = False

    def __init__(
        self,
        name: str,
        layout: Layout,
        open_bytes: Callable[[], IO[bytes]],
        period_s: float | None = None,
        spacing_mm: tuple[float, float] | None = None,
        rf: bool = False,
    ) -> None:
        layout.check(name)
        if rf and len(layout.shape) != 2:
            raise SourceError(f"{name} holds colour, not RF lines")
        self.name, self.period_s, self.spacing_mm = name, period_s, spacing_mm
        self.length: int | None = layout.count
        self._layout, self._open_bytes = layout, open_bytes
        self._range: Range | None = None
        self._rf = rf
        if rf:
            self._every = max(1, math.ceil(layout.shape[1] / _ROWS))
            if spacing_mm is not None:  # lines and samples change places
                self.spacing_mm = spacing_mm[1] * self._every, spacing_mm[0]
        elif needs_range(layout.dtype):
            images = (capture.image for capture in self._read() if capture.image is not None)
            self._range = find_range(name, images, layout.dtype)

    def frames(self) -> Iterator[Capture]:
        compress = LogCompression()
        for capture in self._read():
            if self._rf and capture.image is not None:
                capture.image = compress(_averaged(envelope(capture.image), self._every))
            if self._range is not None and capture.image is not None:
                capture.image = self._range.to_unit(capture.image)
            yield capture

    def _read(self) -> Iterator[Capture]:
        shape, dtype = self._layout.shape, self._layout.dtype
        size = math.prod(shape) * dtype.itemsize
        read, fault = 0, "the file ends before this frame (truncated)"
        with self._open_bytes() as stream:
            while read < self._layout.count:
                try:
                    data = stream.read(size)
                except Exception as error:  # noqa: BLE001 - a damaged zip or zlib stream fails in many ways
                    fault = f"the file is damaged: {error}"
                    break
                if len(data) < size:
                    break
                yield Capture(_native(np.frombuffer(data, dtype).reshape(shape)))
                read += 1
        for _ in range(self._layout.count - read):
            yield Capture(None, fault)

    def close(self) -> None: ...


def _averaged(lines: NDArray[np.float32], every: int) -> NDArray[np.float32]:
    """(lines, samples) → (samples / every, lines)."""
    whole = lines[:, : lines.shape[1] // every * every]
    return np.ascontiguousarray(whole.reshape(len(lines), -1, every).mean(2).T)


def _native(image: RawImage) -> RawImage:
    return image.astype(image.dtype.newbyteorder("="), copy=False)


class Inflated(io.RawIOBase):
    """Bytes of a zlib or gzip stream, inflated as they are read."""

    def __init__(self, file: IO[bytes]) -> None:
        self._file = file
        self._inflate = zlib.decompressobj(wbits=zlib.MAX_WBITS | 32)  # 32: tells zlib from gzip by its header

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: memoryview) -> int:  # type: ignore[override]
        inflated = b""
        while not inflated and not self._inflate.eof:
            packed = self._inflate.unconsumed_tail or self._file.read(65536)
            inflated = self._inflate.decompress(packed, len(buffer))
            if not packed:
                break
        buffer[: len(inflated)] = inflated
        return len(inflated)

    def close(self) -> None:
        self._file.close()
        super().close()


def open_at(path: Path, offset: int, packed: bool) -> IO[bytes]:
    """The bytes of a file from ``offset`` on, inflated when ``packed``."""
    file = path.open("rb")
    file.seek(offset)
    return io.BufferedReader(Inflated(file), 1 << 16) if packed else file
