"""Ultrasound DICOM, cine or still, decoded frame by frame."""

from __future__ import annotations

import io
import logging
import math
import statistics
import struct
import warnings
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from importlib.util import find_spec
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from pydicom import Dataset, dcmread
from pydicom.pixels import apply_color_lut, get_decoder, iter_pixels

from edgerecon.errors import DependencyError, EdgereconError, SourceError
from edgerecon.frame import MAX_PIXELS, RawImage
from edgerecon.stream.sources.base import Capture
from edgerecon.stream.sources.flat import MAX_FRAMES
from edgerecon.stream.sources.scaling import stretch_bits

MODALITIES = ("US", "IVUS")
# Of text encodings, colour markers and the like: what a frame suffers from is its own fault message.
warnings.filterwarnings("ignore", category=UserWarning, module=r"pydicom\.")
logging.getLogger("pydicom.pixels.decoders").setLevel(logging.CRITICAL)  # a traceback for each damaged frame

_CENTIMETRES = 3  # Physical Units, PS3.3 C.8.5.5.1.15
_DEFLATED = b"1.2.840.10008.1.2.1.99"
_INFLATED_AT_MOST = 512 << 20
_HAS_GDCM = find_spec("gdcm") is not None
_SMALLEST = 4  # pixels that a region has on either side


class DicomSource:
    """A DICOM ultrasound file. Nothing of the patient is read into ``name``, which is the file's.

    The period is the Frame Time (of a vector the median), Cine Rate or Recommended Display Frame Rate. Frames are
    cropped to the largest ultrasound region in centimetres that fits the image (PS3.3 C.8.5.5), which leaves the text
    around it out; the spacing is that of the region, or without one the Pixel Spacing.

    Raises:
        SourceError: not DICOM, not ultrasound, without pixel data, or of a size that no scanner makes.
        DependencyError: a transfer syntax that needs another decoder (JPEG Lossless, JPEG-LS).
    """

    live: bool = False

    def __init__(self, path: Path, name: str | None = None) -> None:
        self.name = name or path.name
        try:
            self._open = partial(_open, path, _inflated(path, self.name))
            with self._open() as file:
                header = self._header = _read_header(file, self.name)
            _refuse_other(header, self.name)
            self.length: int | None = int(header.get("NumberOfFrames") or 1)
            _refuse_huge(header, self.length, path.stat().st_size, self.name)
            self.period_s = _period_s(header)
            self._region = _region(header)
            self.spacing_mm = self._region.spacing_mm if self._region else _pixel_spacing(header)
            _refuse_undecodable(header)
        except (OSError, EdgereconError):
            raise
        except Exception as error:  # pydicom parses an element when it is first asked for, and has many ways to fail
            raise SourceError(f"{self.name} cannot be read as DICOM: {_one_line(error)}") from error

    def frames(self) -> Iterator[Capture]:
        index, length = 0, self.length or 1
        while index < length:
            # A decoding error ends pydicom's iteration: begin anew behind the frame that failed.
            try:
                with self._open() as file:
                    for image in iter_pixels(file, indices=range(index, length)):
                        yield Capture(self._to_full_scale(self._crop(image)))
                        index += 1
                fault = "the file ends before this frame (truncated)"
            except Exception as error:  # noqa: BLE001 - pydicom and its decoders raise many kinds on damaged data
                fault = self._fault(error)
            if index < length:
                yield Capture(None, fault)
                index += 1

    def _fault(self, error: Exception) -> str:
        """Why a frame could not be decoded, and what may help: pydicom speaks of plugins that the user never chose."""
        words = _one_line(error)
        _, failed, why = words.partition("raised by all available plugins: ")
        return f"{why}; pip install 'edgerecon[dicom]' brings further decoders" if failed and not _HAS_GDCM else words

    def _crop(self, image: RawImage) -> RawImage:
        return image if self._region is None else image[self._region.rows, self._region.columns]

    def _to_full_scale(self, image: RawImage) -> RawImage:
        header = self._header
        if header.PhotometricInterpretation == "PALETTE COLOR":
            colours = apply_color_lut(image, header)
            return stretch_bits(colours, 8 if int(colours.max(initial=0)) < 256 else 16)
        bits = int(header.BitsStored)
        if image.dtype.kind == "i":
            unsigned = np.dtype(f"u{image.dtype.itemsize}")
            image = (image.astype(np.int64) + (1 << (bits - 1))).clip(0).astype(unsigned)
        image = stretch_bits(image, bits)
        if header.PhotometricInterpretation == "MONOCHROME1":  # low values are bright
            return np.iinfo(image.dtype).max - image
        return image

    def close(self) -> None: ...


def _open(path: Path, inflated: bytes | None) -> BinaryIO:
    return path.open("rb") if inflated is None else io.BytesIO(inflated)


def _inflated(path: Path, name: str) -> bytes | None:
    """The file as if it had not been deflated, which is the one transfer syntax that cannot be read frame by frame.

    None for all others.

    Raises:
        SourceError: it is larger than 512 MB then.
    """
    with path.open("rb") as file:
        head = file.read(1024)
        if head[128:132] != b"DICM" or _DEFLATED not in head:
            return None
        (length,) = struct.unpack_from("<I", head, 140)  # File Meta Information Group Length
        file.seek(0)
        head = file.read(144 + min(length, 1 << 20)).replace(_DEFLATED, b"1.2.840.10008.1.2.1\0\0\0")
        inflate = zlib.decompressobj(wbits=-zlib.MAX_WBITS)
        parts = [head]
        while (packed := inflate.unconsumed_tail or file.read(1 << 20)) and not inflate.eof:
            parts.append(inflate.decompress(packed, 1 << 24))
            if sum(map(len, parts)) > _INFLATED_AT_MOST:
                raise SourceError(f"{name} is a deflated file of more than {_INFLATED_AT_MOST >> 20} MB: inflate it")
    return b"".join(parts)


def _read_header(file: BinaryIO, name: str) -> Dataset:
    header = dcmread(file, stop_before_pixels=True, force=True)
    if not header:
        raise SourceError(f"{name} is not a DICOM file, or it is truncated")
    return header


def _refuse_other(header: Dataset, name: str) -> None:
    modality = header.get("Modality")
    if modality is None and header.preamble is None:  # pydicom makes something of any bytes
        raise SourceError(f"{name} is not a DICOM file, or its beginning is damaged")
    if modality not in MODALITIES:
        raise SourceError(f"{name} is not ultrasound: its DICOM modality is {modality or 'missing'}, not US or IVUS")
    if not all(key in header for key in ("Rows", "Columns", "BitsStored", "PhotometricInterpretation")):
        raise SourceError(f"{name} holds no pixel data (a report or a truncated file): give an image or a cine")


def _refuse_huge(header: Dataset, frames: int, file_size: int, name: str) -> None:
    rows, columns = int(header.Rows), int(header.Columns)
    if not 0 < rows * columns <= MAX_PIXELS:
        raise SourceError(f"{name} declares {columns}×{rows} pixels: 1 to {MAX_PIXELS:,} are read")
    if not 0 < frames <= min(MAX_FRAMES, file_size):
        raise SourceError(f"{name} declares {frames} frames, which its {file_size} bytes cannot hold")


def _refuse_undecodable(header: Dataset) -> None:
    """Raises DependencyError when pydicom knows the transfer syntax, and what decodes it is not installed."""
    syntax = header.file_meta.get("TransferSyntaxUID") if hasattr(header, "file_meta") else None
    if syntax is None or not syntax.is_compressed or syntax.is_deflated:
        return
    if not get_decoder(syntax).is_available:
        raise DependencyError(f"a decoder of {syntax.name}", "dicom")


def _period_s(header: Dataset) -> float | None:
    frame_time_ms = _number(header, "FrameTime")
    if frame_time_ms:
        return frame_time_ms / 1e3
    try:
        steps = [float(step) for step in _value(header, "FrameTimeVector") or ()][1:]  # the first is 0
    except (TypeError, ValueError):
        steps = []
    if steps and sum(steps) > 0 and math.isfinite(sum(steps)):
        return statistics.median(steps) / 1e3 or None
    rate = _number(header, "CineRate") or _number(header, "RecommendedDisplayFrameRate")
    return 1 / rate if rate else None


@dataclass(frozen=True)
class _Region:
    """An ultrasound region of the image: its pixels, and (row, column) millimetres of one of them."""

    rows: slice
    columns: slice
    spacing_mm: tuple[float, float]

    @property
    def area(self) -> int:
        return (self.rows.stop - self.rows.start) * (self.columns.stop - self.columns.start)


def _region(header: Dataset) -> _Region | None:
    """The largest region in centimetres that fits the image; M-mode, Doppler and the like are in other units."""
    found = [_to_region(region, header) for region in _value(header, "SequenceOfUltrasoundRegions") or ()]
    return max((region for region in found if region is not None), key=lambda region: region.area, default=None)


def _to_region(region: Dataset, header: Dataset) -> _Region | None:
    units = (_value(region, "PhysicalUnitsXDirection"), _value(region, "PhysicalUnitsYDirection"))
    steps = _number(region, "PhysicalDeltaY"), _number(region, "PhysicalDeltaX")
    right, bottom = _number(region, "RegionLocationMaxX1"), _number(region, "RegionLocationMaxY1")
    if units != (_CENTIMETRES, _CENTIMETRES) or not (steps[0] and steps[1] and right and bottom):
        return None
    if right > header.Columns or bottom > header.Rows:
        return None  # the image was resized after the region was written: it is no longer true
    left, top = (int(_number(region, f"RegionLocationMin{axis}0") or 0) for axis in "XY")
    rows, columns = slice(top, min(int(bottom) + 1, header.Rows)), slice(left, min(int(right) + 1, header.Columns))
    if min(rows.stop - rows.start, columns.stop - columns.start) < _SMALLEST:
        return None
    return _Region(rows, columns, (10 * steps[0], 10 * steps[1]))


def _pixel_spacing(header: Dataset) -> tuple[float, float] | None:
    """Of images without regions, as secondary captures are."""
    try:
        row, column = (float(step) for step in _value(header, "PixelSpacing") or ())
    except (TypeError, ValueError):
        return None
    return (row, column) if min(row, column) > 0 and math.isfinite(row * column) else None


def _number(dataset: Dataset, keyword: str) -> float | None:
    """A finite magnitude above 0, or None: deltas may be negative (the axis points the other way)."""
    try:
        value = abs(float(_value(dataset, keyword) or 0))
    except (TypeError, ValueError):
        return None
    return value if value > 0 and math.isfinite(value) else None


def _value(dataset: Dataset, keyword: str) -> Any:
    """An element that a stream can do without; None when it is absent or damaged."""
    try:
        return dataset.get(keyword)
    except Exception:  # noqa: BLE001 - see DicomSource
        return None


def _one_line(error: Exception) -> str:
    return " ".join(str(error).split()) or type(error).__name__
