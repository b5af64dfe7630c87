"""Recordings whose frames lie one after the other in streams of bytes (.npy, .npz, MetaImage, NRRD)."""

from __future__ import annotations

import io
import itertools
import logging
import math
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import IO

import numpy as np

from edgerecon.beamform.detection import LogCompression, envelope
from edgerecon.core.errors import SourceError, first_line
from edgerecon.core.frame import MAX_PIXELS, RawImage
from edgerecon.stream.sources.base import Capture
from edgerecon.stream.sources.scaling import Scale, sampled

_log = logging.getLogger(__name__)

MAX_FRAMES = 1_000_000
MAX_FRAME_BYTES = 4 * MAX_PIXELS
"""As many pixels as are read, in float32 or with four bytes of colour."""

_ROWS = 1024  # of an image made of RF lines, at most
_NAMES = {"c": "complex (IQ)", "b": "boolean"}
_PIECE = 1 << 20
_PASSED_AT_MOST = 64 << 20  # bytes that are read to sample a recording where nothing can be jumped over


@dataclass(frozen=True)
class Layout:
    """How the bytes are to be read.

    Attributes:
        count: declared number of frames. shape: (H, W) or (H, W, channels). dtype: with its byte order.
    """

    count: int
    shape: tuple[int, ...]
    dtype: np.dtype

    @property
    def frame_bytes(self) -> int:
        """Bytes of one frame."""
        return math.prod(self.shape) * self.dtype.itemsize

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
        if self.frame_bytes > MAX_FRAME_BYTES:
            raise SourceError(
                f"{name} declares frames of {self.frame_bytes >> 20} MB: at most {MAX_FRAME_BYTES >> 20} MB are read"
            )


def layout_of(name: str, shape: tuple[int, ...], dtype: np.dtype) -> Layout:
    """The layout of an array of T×H×W, H×W, T×H×W×C or H×W×C.

    Three axes are one colour picture where the last one is 3 or 4 long and the one before it longer: nobody scans three
    columns.

    Raises:
        SourceError: no such shape.
    """
    picture = len(shape) == 2 or (len(shape) == 3 and shape[2] in (3, 4) and shape[1] > shape[2])
    whole = (1, *shape) if picture else shape
    if len(whole) == 4 and whole[1] in (1, 3, 4) and whole[3] > 4:
        raise SourceError(f"{name} has the shape {shape}, channels first: save it with np.moveaxis(frames, 1, -1)")
    if len(whole) not in (3, 4):
        raise SourceError(f"{name} has the shape {shape}: frames are T×H×W, H×W, T×H×W×3 or H×W×3")
    return Layout(whole[0], whole[1:], dtype)


OpenBytes = Callable[[], IO[bytes]]
"""Gives bytes from their first frame on; called again for every pass."""


class FlatSource:
    """Reads one frame at a time, so that a recording of any length takes the memory of one frame.

    Its grey levels are scaled alike for the whole recording, see ``scaling.Scale``, by what a sample of its frames
    holds: evenly spaced ones, or the first ones where the bytes are compressed and many.

    Args:
        parts: each gives as many frames as the others, one after the other. A part that is too short, missing or
            damaged costs its own frames.
        rf: the rows are beamformed RF lines: frames become B-mode, 60 dB deep, with the lines as columns.
        reversed_axes: of a frame, 0 rows and 1 columns, that lie the other way round than they are to be shown.
    """

    live = False

    def __init__(
        self,
        name: str,
        layout: Layout,
        parts: Sequence[OpenBytes],
        period_s: float | None = None,
        spacing_mm: tuple[float, float] | None = None,
        rf: bool = False,
        reversed_axes: tuple[int, ...] = (),
    ) -> None:
        layout.check(name)
        if layout.count % len(parts):
            raise SourceError(f"{name} declares {layout.count} frames in {len(parts)} files, which do not share them")
        if rf and len(layout.shape) != 2:
            raise SourceError(f"{name} holds colour, not RF lines")
        self.name, self.period_s, self.spacing_mm = name, period_s, spacing_mm
        self.length: int | None = layout.count
        self._layout, self._parts = layout, parts
        self._scale: Scale | None = None
        self._rf, self._reversed = rf, reversed_axes
        if rf:
            self._every = max(1, math.ceil(layout.shape[1] / _ROWS))
            if spacing_mm is not None:  # lines and samples change places
                self.spacing_mm = spacing_mm[1] * self._every, spacing_mm[0]
        elif layout.dtype != np.uint8:
            self._scale = Scale(name, self._sample())

    def frames(self) -> Iterator[Capture]:
        compress = LogCompression()
        for capture in self._read():
            if self._rf and capture.image is not None:
                capture.image = compress(np.ascontiguousarray(envelope(capture.image, self._every).T))
            if self._scale is not None and capture.image is not None:
                capture.image = self._scale(capture.image)
            if self._reversed and capture.image is not None:
                capture.image = np.ascontiguousarray(np.flip(capture.image, self._reversed))
            yield capture

    def _read(self) -> Iterator[Capture]:
        each = self._layout.count // len(self._parts)
        for part in self._parts:
            read, fault = 0, "the file ends before this frame (truncated)"
            try:
                for image in self._images(part, range(each)):
                    yield Capture(image)
                    read += 1
            except Exception as error:  # noqa: BLE001 - a damaged zip or zlib stream fails in many ways
                fault = f"the file is damaged: {first_line(error)}"
            for _ in range(each - read):
                yield Capture(None, fault)

    def _sample(self) -> Iterator[RawImage]:
        """Frames to take the scale from; what cannot be read is left to ``_read`` to tell."""
        each = self._layout.count // len(self._parts)
        wanted = sampled(self._layout.count, math.prod(self._layout.shape))
        share = _PASSED_AT_MOST // len({index // each for index in wanted})
        for part, indices in itertools.groupby(wanted, lambda index: index // each):
            try:
                yield from self._images(self._parts[part], [index % each for index in indices], share)
            except Exception:  # noqa: BLE001 - see ``_read``
                _log.debug("%s: part %d cannot be sampled", self.name, part, exc_info=True)

    def _images(self, part: OpenBytes, wanted: Iterable[int], passed_at_most: float = math.inf) -> Iterator[RawImage]:
        """The images at ascending places of a part, as far as it goes."""
        size = self._layout.frame_bytes
        with part() as stream:
            jumps, at = _can_jump(stream), 0
            start = stream.tell() if jumps else 0
            for index in wanted:
                if index and not jumps and (index + 1) * size > passed_at_most:
                    return
                if jumps and index > at:
                    stream.seek(start + index * size)
                    at = index
                while at < index and self._image(stream) is not None:
                    at += 1
                image = self._image(stream)
                at += 1
                if image is None:
                    return
                yield image

    def _image(self, stream: IO[bytes]) -> RawImage | None:
        """The next image, in this machine's byte order; None where the bytes end."""
        image = np.empty(self._layout.shape, self._layout.dtype)
        room, filled = image.reshape(-1).view(np.uint8), 0
        while filled < len(room):
            piece = stream.read(min(_PIECE, len(room) - filled))
            if not piece:
                return None
            room[filled : filled + len(piece)] = np.frombuffer(piece, np.uint8)
            filled += len(piece)
        return image if image.dtype.isnative else image.byteswap(inplace=True).view(image.dtype.newbyteorder("="))

    def close(self) -> None: ...


def _can_jump(stream: IO[bytes]) -> bool:
    """Whether seeking costs nothing: a plain file, not one that is inflated from its beginning."""
    return isinstance(stream, io.BufferedReader) and isinstance(stream.raw, io.FileIO)
