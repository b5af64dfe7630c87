"""One TIFF: pages of up to 8 bits through Pillow, deeper ones as they lie in the file or through OpenCV.

Pillow gives 8 bits of 16-bit colours, wrong values of signed and 32-bit samples and of big-endian compressed ones, and
refuses 10 and 14 bits; OpenCV gives wrong values of planar colours.
"""

from __future__ import annotations

import math
import mmap
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO

import cv2
import numpy as np
from numpy.typing import NDArray

from edgerecon.core.frame import MAX_PIXELS, RawImage
from edgerecon.stream.sources.files.pillow_image import check_size, opened, pixels_of, rgb, upright
from edgerecon.stream.sources.files.tiff_directory import Page, find_pages, frames_behind, read_page
from edgerecon.stream.sources.files.tiff_scale import read_scale
from edgerecon.stream.sources.flat import MAX_FRAME_BYTES

if TYPE_CHECKING:
    from PIL import Image as Pillow

cv2.utils.logging.setLogLevel(cv2.utils.logging.LOG_LEVEL_SILENT)  # what a page suffers from is its own fault message

_UNSIGNED, _SIGNED, _FLOAT, _UNDEFINED = 1, 2, 3, 4  # SampleFormat
_WHITE_IS_ZERO, _RGB = 0, 2  # PhotometricInterpretation
_UNASSOCIATED = 2  # ExtraSamples: transparency that colours were not multiplied by
_MAPPED_AT_MOST = (1 << 31) - 1  # OpenCV counts bytes in 32 bits
_STATED = (1023, 4095, 16383)  # MaxSampleValue: full scale of a scanner, not the brightest pixel of this page
_BLOCK = 1 << 20  # samples that are unpacked at a time


class TiffImage:
    """An open TIFF, see ``images.Pages``. Smaller versions of a page (a pyramid's) and masks are no pages.

    Raises:
        ValueError, OSError: it is damaged.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._file = path.open("rb")
        self._pillow: Pillow.Image | None = None
        try:
            self._is_unknown_to_pillow = self._file.read(4) == b"MM\0+"  # BigTIFF of the other byte order
            self._pages = find_pages(self._file)
            if len(self._pages) == 1 and (frames := frames_behind(self._file, self._pages[0][1])) > 1:
                raise ValueError(
                    f"it is an ImageJ stack of {frames} frames with a directory of one: save it as BigTIFF"
                )
            scale = read_scale(self._file, self._pages[0][1])
        except BaseException:
            self._file.close()
            raise
        self.count = len(self._pages)
        turned = scale.spacing_mm is not None and read_page(self._file, *self._pages[0]).orientation >= 5
        self.spacing_mm = scale.spacing_mm[::-1] if scale.spacing_mm is not None and turned else scale.spacing_mm
        self.period_s = scale.period_s if self.count > 1 else None

    def page(self, index: int) -> RawImage:
        """The pixels of one page, upright. index: from 0. Raises ValueError: a size that is not read."""
        page = read_page(self._file, *self._pages[index])
        if not 0 < page.width * page.height <= MAX_PIXELS:
            raise ValueError(f"{page.width}×{page.height} pixels: 1 to {MAX_PIXELS:,} are read")
        shallow = page.bits in (1, 2, 4, 8) and page.sample_format in (_UNSIGNED, _UNDEFINED)
        if shallow and not self._is_unknown_to_pillow:
            return self._through_pillow(page)
        if page.width * page.height * page.samples * max(page.bits, 8) // 8 > MAX_FRAME_BYTES:
            raise ValueError(f"{page.samples} samples of {page.bits} bits a pixel are more than is read")
        if page.photometric > _RGB:
            raise ValueError(f"its colours are stored in a way that is not known of {page.bits} bits")
        if page.compression == 1 and not page.tiled and page.fill_order == 1:
            pixels = upright(_from_strips(self._file, page), page.orientation)
        else:
            pixels = self._through_opencv(page)
        return _as_shown(pixels, page)

    def _through_pillow(self, page: Page) -> RawImage:
        if self._pillow is None:
            self._pillow = opened(self._file, ("TIFF",))
        self._pillow.seek(page.index)
        check_size(self._pillow)
        return pixels_of(self._pillow)  # Pillow turns it upright

    def _through_opencv(self, page: Page) -> RawImage:
        if page.planar and page.samples > 1:
            raise ValueError(f"its colours of {page.bits} bits lie apart and compressed: save them pixel by pixel")
        if self._path.stat().st_size > _MAPPED_AT_MOST:
            found = cv2.imreadmulti(str(self._path), page.index, 1, flags=cv2.IMREAD_UNCHANGED)[1]
            pixels = rgb(found[0] if found else None)
        else:
            pixels = rgb(_decoded_by_opencv(self._file, page))
        if page.bits < 8:
            raise ValueError(f"its {page.bits} bits are compressed in a BigTIFF that is not read: save it as a TIFF")
        if page.bits == 8 and page.sample_format != _SIGNED and page.photometric == _WHITE_IS_ZERO:
            return ~pixels  # which it inverted
        if page.sample_format in (_UNSIGNED, _UNDEFINED) and page.bits in (10, 12, 14):
            return pixels >> (16 - page.bits)  # which it shifted up
        return pixels

    def shown_s(self) -> float | None:
        """All pages alike."""
        return self.period_s

    def close(self) -> None:
        if self._pillow is not None:
            self._pillow.close()
        self._file.close()


def _decoded_by_opencv(file: BinaryIO, page: Page) -> RawImage | None:
    """A page, whichever it is: in a private copy of the file's beginning it is made the first one.

    OpenCV's own way to a page passes over all before it, each time.
    """
    with mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_COPY) as content:
        big = content[2:4] in (b"+\0", b"\0+")
        place = slice(8, 16) if big else slice(4, 8)
        content[place] = page.offset.to_bytes(8 if big else 4, "little" if page.order == "<" else "big")
        view = np.frombuffer(content, np.uint8)
        try:
            return cv2.imdecode(view, cv2.IMREAD_UNCHANGED)
        except cv2.error as error:
            raise ValueError("it is damaged, or too large") from error
        finally:
            del view  # else the mapping cannot be closed


def _from_strips(file: BinaryIO, page: Page) -> RawImage:
    """(H, W) or (H, W, samples) of any depth and order of colours, uncompressed."""
    across = page.width if page.planar else page.width * page.samples
    row_bytes = -(-across * page.bits // 8)
    rows_each = min(page.rows_per_strip, page.height)
    planes = page.samples if page.planar else 1
    found = np.empty((planes, page.height, across), _dtype(page))
    strips = iter(page.strip_offsets)
    for plane in found:
        for top in range(0, page.height, max(1, rows_each)):
            rows = plane[top : top + rows_each]
            offset = next(strips, None)
            if offset is None:
                raise ValueError("it has too few strips")
            file.seek(offset)
            data = file.read(len(rows) * row_bytes)
            if len(data) < len(rows) * row_bytes:
                raise ValueError("it is truncated")
            _unpack(np.frombuffer(data, np.uint8).reshape(len(rows), row_bytes), page, rows)
    if page.planar:
        return found[0] if page.samples == 1 else np.ascontiguousarray(np.moveaxis(found, 0, -1))
    return found[0] if page.samples == 1 else found[0].reshape(page.height, page.width, page.samples)


def _dtype(page: Page) -> np.dtype:
    """What the samples of a page become.

    Raises:
        ValueError: NumPy has no such type.
    """
    if page.sample_format in (_UNSIGNED, _UNDEFINED) and page.bits < 16 and page.bits != 8:
        return np.dtype(np.uint16)
    letter = {_UNSIGNED: "u", _UNDEFINED: "u", _SIGNED: "i", _FLOAT: "f"}.get(page.sample_format)
    if letter is None or page.bits not in ((16, 32, 64) if letter == "f" else (8, 16, 32, 64)):
        raise ValueError(f"its samples are of {page.bits} bits and format {page.sample_format}, which is not read")
    return np.dtype(f"{letter}{page.bits // 8}")


def _unpack(packed: NDArray[np.uint8], page: Page, into: RawImage) -> None:
    """Rows of bytes as samples; those of odd depths lie bit by bit, the highest first, whatever the file's order."""
    if page.bits in (8, 16, 32, 64):
        into[:] = packed.view(page.order + into.dtype.str[1:])
        return
    together = math.lcm(page.bits, 8)  # after so many bits samples lie in bytes as before
    each, mask = together // page.bits, np.uint32((1 << page.bits) - 1)
    step = max(1, _BLOCK // into.shape[1])
    for start in range(0, len(packed), step):
        rows, samples = np.pad(packed[start : start + step], ((0, 0), (0, 2))), into[start : start + step]
        for number in range(min(each, into.shape[1])):
            found = samples[:, number::each]
            byte, bit = divmod(number * page.bits, 8)
            window = np.zeros(found.shape, np.uint32)  # 24 bits hold any sample of 15
            for place in range(byte, byte + 3):
                column = rows[:, place :: together // 8][:, : found.shape[1]]
                window <<= 8
                window[:, : column.shape[1]] |= column
            window >>= np.uint32(24 - page.bits - bit)
            found[:] = window & mask


def _as_shown(pixels: RawImage, page: Page) -> RawImage:
    """Bright is white, of what was stored deeper than 8 bits; colours that are no colours, and full scale as stated."""
    if pixels.ndim == 3:
        colours = 3 if page.photometric == _RGB else 1
        seen_through = page.samples > colours and _UNASSOCIATED in page.extra_samples[:1]
        if colours == 1 and seen_through:
            raise ValueError("it is grey and transparent: save it without transparency")
        pixels = np.ascontiguousarray(pixels[..., : colours + seen_through])
        pixels = pixels[..., 0] if colours == 1 else pixels
    if page.photometric == _WHITE_IS_ZERO:
        pixels = 1 - pixels if pixels.dtype.kind == "f" else ~pixels
    if pixels.dtype.kind != "u" or pixels.dtype.itemsize > 2:
        return pixels
    white = (1 << page.bits) - 1
    if page.photometric != _WHITE_IS_ZERO and page.max_sample_value in _STATED:
        white = page.max_sample_value
    # float32 says that the depth is known: uint16 may hold any
    return (
        pixels
        if white == np.iinfo(pixels.dtype).max
        else (pixels & np.uint16(white)).astype(np.float32) / np.float32(white)
    )
