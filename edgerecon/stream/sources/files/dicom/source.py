"""The source of frames that a DICOM file is."""

from __future__ import annotations

import io
import logging
import warnings
from collections.abc import Iterator
from functools import partial
from importlib.util import find_spec
from pathlib import Path
from typing import BinaryIO

from edgerecon.core.errors import EdgereconError, SourceError, UsageError
from edgerecon.core.frame import RawImage
from edgerecon.stream.sources.base import Capture
from edgerecon.stream.sources.files import lossy
from edgerecon.stream.sources.files.dicom.decode import FrameDecoder
from edgerecon.stream.sources.files.dicom.display import Display
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
    read_frame,
)
from edgerecon.stream.sources.files.dicom.region import choose_region, pixel_spacing_mm
from edgerecon.stream.sources.files.dicom.timing import period_s, times_s
from edgerecon.stream.sources.query import Query, number

# Of text encodings, colour markers and the like: what a frame suffers from is its own fault message.
warnings.filterwarnings("ignore", category=UserWarning, module=r"pydicom\.")
logging.getLogger("pydicom.pixels.decoders").setLevel(logging.CRITICAL)  # a traceback for each damaged frame

_HAS_GDCM = find_spec("gdcm") is not None
_REGIONS_AT_MOST = 1000


class DicomSource:
    """A DICOM ultrasound file. Nothing of the patient is read into ``name``, which is the file's.

    Frames are shown as the file says (``Display``), cropped to the largest ultrasound region in centimetres that fits
    the image, which leaves the text around it out. The spacing is that of the region, or without one of the pixels.

    Args:
        query: ``region`` takes another region (from 1); ``modality=any`` reads other modalities than ultrasound.

    Raises:
        SourceError: not DICOM, not ultrasound, without pixel data, or of a size that no scanner makes.
        DependencyError: a transfer syntax that needs another decoder (JPEG Lossless, JPEG-LS).
        UsageError: an option that there is not, or that makes no sense.
    """

    live: bool = False

    def __init__(self, path: Path, query: Query | None = None, name: str | None = None) -> None:
        self.name = name or path.name
        chosen, any_modality = _options(query or {})
        try:
            self._open = partial(_open, path, inflated(path, self.name))
            with self._open() as file:
                self._read_header(file, path.stat().st_size, chosen, any_modality)
        except (OSError, EdgereconError):
            raise
        except Exception as error:  # pydicom parses an element when it is first asked for, and has many ways to fail
            raise SourceError(f"{self.name} cannot be read as DICOM: {one_line(error)}") from error

    def _read_header(self, file: BinaryIO, file_size: int, chosen: int | None, any_modality: bool) -> None:
        header, at = read_header(file, self.name)
        self._header = header
        self.lossy = lossy.of_dicom(header)
        refuse_other(header, self.name, any_modality)
        frames = int(header.get("NumberOfFrames") or 1)
        self.length: int | None = frames
        refuse_huge(header, frames, file_size, self.name)
        syntax = transfer_syntax(header)
        refuse_undecodable(syntax, self.name)
        assert syntax is not None
        implicit, little = header.original_encoding
        self._data = find_pixel_data(file, at, bool(implicit), bool(little), self.name)
        self._decoder = FrameDecoder(header, syntax, self._data.vr, self.name)
        if syntax.is_encapsulated != (self._data.length is None):
            raise SourceError(f"{self.name} is not encoded as its transfer syntax says ({syntax.name})")
        self._display = Display(header)
        self.period_s = period_s(header, self.name)
        self._times_s = times_s(header, frames, self.period_s)
        self._region = choose_region(header, self.name, chosen)
        self.spacing_mm = self._region.spacing_mm if self._region else pixel_spacing_mm(header)

    def frames(self) -> Iterator[Capture]:
        with self._open() as file:
            frames = self._frames(file)
            for index in range(self.length or 1):
                capture = self._capture(file, frames[index], index) if index < len(frames) else Capture(None, _CUT_OFF)
                capture.time_s = self._times_s[index] if self._times_s else None
                yield capture

    def _frames(self, file: BinaryIO) -> list[Fragments]:
        count = self.length or 1
        if self._data.length is None:
            return encapsulated_frames(file, self._data, count, self._header)
        return native_frames(self._data, count, self._decoder.bits)

    def _capture(self, file: BinaryIO, fragments: Fragments, index: int) -> Capture:
        try:
            values = self._decoder.decode(read_frame(file, fragments, 2 * self._decoder.bits // 8))
            image = self._crop(self._display.show(values, index))
        except Exception as error:  # noqa: BLE001 - pydicom and its decoders raise many kinds on damaged data
            return Capture(None, _fault(error))
        return Capture(image, spacing_mm=None if self._region else pixel_spacing_mm(self._header, index))

    def _crop(self, image: RawImage) -> RawImage:
        if self._region is None:
            return image
        top, left, bottom, right = self._region.box
        return image[top:bottom, left:right]

    def close(self) -> None: ...


_CUT_OFF = "the file ends before this frame (truncated)"


def _options(query: Query) -> tuple[int | None, bool]:
    """Number of the region, or None, and whether any modality is read."""
    modality = query.get("modality", "us")
    if modality.lower() not in ("us", "any"):
        raise UsageError(f"modality={modality} makes no sense: ultrasound is read, and all others by modality=any")
    region = number(query, "region", 1, 1, _REGIONS_AT_MOST)
    if region != int(region):
        raise UsageError(f"region={query['region']} makes no sense: give a whole number")
    return int(region) if "region" in query else None, modality.lower() == "any"


def _open(path: Path, content: bytes | None) -> BinaryIO:
    return path.open("rb") if content is None else io.BytesIO(content)


def _fault(error: Exception) -> str:
    """Why a frame could not be decoded, and what may help: pydicom speaks of plugins that the user never chose."""
    words = one_line(error)
    _, failed, why = words.partition("raised by all available plugins: ")
    return f"{why}; pip install 'edgerecon[dicom]' brings further decoders" if failed and not _HAS_GDCM else words
