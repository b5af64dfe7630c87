"""The stored values of a DICOM file, frame by frame: each read by itself, within budgets of memory."""

from __future__ import annotations

import io
import logging
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO

from numpy.typing import NDArray
from pydicom import Dataset
from pydicom.uid import ExplicitVRBigEndian

from edgerecon.core.errors import EdgereconError, SourceError
from edgerecon.stream.sources.files.dicom.decode import FrameDecoder
from edgerecon.stream.sources.files.dicom.header import (
    inflated,
    one_line,
    read_header,
    refuse_huge,
    refuse_other,
    refuse_undecodable,
    transfer_syntax,
)
from edgerecon.stream.sources.files.dicom.pixel_data import (
    Fragments,
    encapsulated_frames,
    find_pixel_data,
    native_frames,
    read_bytes_in_words,
    read_frame,
)

# Of text encodings, colour markers and the like: what a frame suffers from is its own fault message.
warnings.filterwarnings("ignore", category=UserWarning, module=r"pydicom\.")
logging.getLogger("pydicom.pixels.decoders").setLevel(logging.CRITICAL)  # a traceback for each damaged frame

Read = Callable[[int], NDArray[Any]]
"""Of one frame the stored values (H, W), or RGB (H, W, 3); raises SourceError or whatever a decoder raises."""


class StoredFrames:
    """A DICOM file with pixels.

    Attributes:
        header: the elements that ``read_header`` keeps. length: number of frames.

    Args:
        any_modality: whether others than ultrasound are read.

    Raises:
        SourceError: not DICOM, not ultrasound, without pixel data, or of a size that no scanner makes.
        DependencyError: a transfer syntax that needs another decoder (JPEG Lossless, JPEG-LS).
    """

    def __init__(self, path: Path, name: str, any_modality: bool) -> None:
        self._path, self._name = path, name
        self._inflated = inflated(path, name)
        try:
            with self._open() as file:
                self._read_header(file, any_modality)
        except (OSError, EdgereconError):
            raise
        except Exception as error:  # pydicom parses an element when it is first asked for, and has many ways to fail
            raise SourceError(f"{name} cannot be read as DICOM: {one_line(error)}") from error

    def _read_header(self, file: BinaryIO, any_modality: bool) -> None:
        name = self._name
        self.header, at = read_header(file, name)
        if not self.header:
            raise SourceError(f"{name} is not a DICOM file, or it is truncated")
        refuse_other(self.header, name, any_modality)
        self.length = int(self.header.get("NumberOfFrames") or 1)
        refuse_huge(self.header, self.length, self._path.stat().st_size, name)
        syntax = transfer_syntax(self.header)
        refuse_undecodable(syntax, name)
        assert syntax is not None
        implicit, little = self.header.original_encoding
        self._data = find_pixel_data(file, at, bool(implicit), bool(little), name)
        in_words = syntax == ExplicitVRBigEndian and self._data.vr == "OW" and self.header.BitsAllocated == 8
        self._decoder = FrameDecoder(self.header, syntax, "OB" if in_words else self._data.vr, name)
        self._in_words = in_words
        if syntax.is_encapsulated != (self._data.length is None):
            raise SourceError(f"{name} is not encoded as its transfer syntax says ({syntax.name})")

    @contextmanager
    def opened(self) -> Iterator[Read]:
        """The file, to be read frame by frame."""
        with self._open() as file:
            frames = self._frames(file)

            def read(index: int) -> NDArray[Any]:
                if index >= len(frames):
                    raise SourceError("the file ends before this frame (truncated)")
                if self._in_words:
                    return self._decoder.decode(read_bytes_in_words(file, frames[index][0], self._data.start))
                return self._decoder.decode(read_frame(file, frames[index], 2 * self._decoder.bits // 8))

            yield read

    def _open(self) -> BinaryIO:
        return self._path.open("rb") if self._inflated is None else io.BytesIO(self._inflated)

    def _frames(self, file: BinaryIO) -> list[Fragments]:
        if self._data.length is None:
            return encapsulated_frames(file, self._data, self.length, self.header)
        return native_frames(self._data, self.length, self._decoder.bits)


def header_of(path: Path, also: tuple[str, ...]) -> Dataset:
    """The header of any DICOM file, with further elements, by keyword."""
    content = inflated(path, path.name)
    with path.open("rb") if content is None else io.BytesIO(content) as file:
        return read_header(file, path.name, also)[0]
