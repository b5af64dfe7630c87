"""The bytes of one DICOM frame become its stored values."""

from __future__ import annotations

import io
import struct
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from pydicom import Dataset
from pydicom.encaps import encapsulate
from pydicom.pixels import convert_color_space, get_decoder
from pydicom.uid import UID, JPEGBaseline8Bit, JPEGExtended12Bit, RLELossless

from edgerecon.core.errors import SourceError
from edgerecon.stream.sources.files.dicom.codestream import Codestream, parse_codestream
from edgerecon.stream.sources.files.dicom.header import high_bit

GREY = ("MONOCHROME1", "MONOCHROME2", "PALETTE COLOR")
"""Photometric Interpretations of one sample a pixel (PS3.3 C.7.6.3.1.2)."""

_PARTIAL = ("YBR_PARTIAL_422",)
_HALVED = ("YBR_FULL_422", *_PARTIAL)
_REVERSIBLE = ("YBR_RCT", "YBR_ICT")  # of JPEG 2000, whose decoder gives RGB
_COLOR = ("RGB", "YBR_FULL", *_HALVED, *_REVERSIBLE)
_LOSSY_JPEG = (JPEGBaseline8Bit, JPEGExtended12Bit)
_DARK, _NEUTRAL = 16.0, 128.0  # grey levels


class FrameDecoder:
    """Decodes frames of one file, each by itself: one that is damaged costs no other.

    Attributes:
        bits: of a decoded frame.

    Raises:
        SourceError: a kind of pixels that is not read.
    """

    def __init__(self, header: Dataset, syntax: UID, vr: str | None, name: str) -> None:
        self._syntax, self._high_bit = syntax, high_bit(header)
        self._rows, self._columns = int(header.Rows), int(header.Columns)
        self._samples = int(header.get("SamplesPerPixel") or 1)
        self._allocated, self._stored = int(header.BitsAllocated), int(header.BitsStored)
        self._signed = int(header.get("PixelRepresentation") or 0) == 1
        self._planar = int(header.get("PlanarConfiguration") or 0)
        self._color = str(header.PhotometricInterpretation).strip().upper()
        self._vr = vr or "OW"
        self._mislabelled: bool | None = None
        if self._color not in (*GREY, *_COLOR) or self._samples != (1 if self._color in GREY else 3):
            raise SourceError(f"{name} holds {self._samples} samples a pixel as {self._color}: that is not read")
        samples = 2 if self._color in _HALVED and not syntax.is_encapsulated else self._samples
        self.bits = self._rows * self._columns * samples * self._allocated

    def decode(self, data: bytes) -> NDArray[Any]:
        """Stored values (H, W), or RGB (H, W, 3).

        Raises:
            SourceError: the frame is of another size than the header says. Decoders raise what they like.
        """
        if self._syntax == RLELossless:
            return self._to_rgb(self._from_words(self._unpack_rle(data)), self._color)
        if not self._syntax.is_encapsulated:
            return self._to_rgb(self._from_words(self._pydicom(data, raw=True, bits=self._allocated)), self._color)
        found = parse_codestream(data)
        if (found.rows, found.columns, found.samples) != (self._rows, self._columns, self._samples):
            raise SourceError(
                f"the image in it is {found.columns}×{found.rows} of {found.samples} samples a pixel; the header says "
                f"{self._columns}×{self._rows} of {self._samples}"
            )
        if self._syntax in _LOSSY_JPEG:
            if found.bits != 8:
                raise SourceError(f"lossy JPEG of {found.bits} bits is not read: transcode it (dcmdjpeg)")
            return self._decode_jpeg(data, found)
        return self._pydicom(encapsulate([data]), raw=False, bits=self._stored)

    def _pydicom(self, data: bytes, raw: bool, bits: int) -> NDArray[Any]:
        options: dict[str, Any] = {
            "number_of_frames": 1,
            "rows": self._rows,
            "columns": self._columns,
            "samples_per_pixel": self._samples,
            "planar_configuration": self._planar,
            "photometric_interpretation": "YBR_FULL_422" if self._color in _HALVED else self._color,
            "bits_allocated": self._allocated,
            "bits_stored": bits,
            "pixel_representation": int(self._signed),
            "pixel_keyword": "PixelData",
            "pixel_vr": self._vr,
        }
        values, _ = get_decoder(self._syntax).as_array(data, index=0, raw=raw, **options)
        return values.astype(values.dtype.newbyteorder("="), copy=False)

    def _decode_jpeg(self, data: bytes, found: Codestream) -> NDArray[Any]:
        image = Image.open(io.BytesIO(data), formats=("JPEG",))
        if self._samples == 3 and found.is_ycbcr is not False:  # as libjpeg takes it: the components as they are
            image.draft("YCbCr", image.size)
        values = np.asarray(image)
        if self._samples == 1:
            return values
        is_ycbcr = found.is_ycbcr
        if is_ycbcr is None and self._color == "RGB":
            if self._mislabelled is None:
                self._mislabelled = _looks_like_ycbcr(values)
            is_ycbcr = self._mislabelled
        return self._to_rgb(values, "RGB" if is_ycbcr is False else "YBR_FULL")

    def _unpack_rle(self, data: bytes) -> NDArray[Any]:
        """RLE (PS3.5 annex G): a segment a byte of each sample, the most significant first.

        Pillow's decoder of PackBits, which each segment is, writes no more than it is given room for.
        """
        size, area = self._allocated // 8, self._rows * self._columns
        count, *offsets = struct.unpack("<16I", data[:64].ljust(64, b"\0"))
        if count != self._samples * size:
            raise SourceError(f"its RLE header declares {count} segments, not {self._samples * size}")
        planes = np.empty((self._samples, size, area), np.uint8)
        for segment, (start, end) in enumerate(zip(offsets[:count], [*offsets[1:count], len(data)], strict=True)):
            plane = Image.frombytes("L", (area, 1), data[start:end], "packbits", "L")
            planes[segment // size, segment % size] = np.asarray(plane)[0]
        words = np.ascontiguousarray(planes.transpose(2, 0, 1)).view(f">{'ui'[self._signed]}{size}")
        shape = (self._rows, self._columns, self._samples)[: 3 if self._samples > 1 else 2]
        return words.reshape(shape).astype(words.dtype.newbyteorder("="), copy=False)

    def _from_words(self, words: NDArray[Any]) -> NDArray[Any]:
        """The stored bits of each word, whatever lies above and below them."""
        if self._stored == self._allocated:
            return words
        return np.right_shift(
            np.left_shift(words, self._allocated - 1 - self._high_bit), self._allocated - self._stored
        )

    def _to_rgb(self, values: NDArray[Any], color: str) -> NDArray[Any]:
        if not color.startswith("YBR") or color in _REVERSIBLE:
            return values
        if values.dtype != np.uint8:
            raise SourceError(f"colour of {self._allocated} bits as {color} is not read")
        if color in _PARTIAL:
            return _partial_to_rgb(values)
        return convert_color_space(values, "YBR_FULL", "RGB")


def _looks_like_ycbcr(values: NDArray[np.uint8]) -> bool:
    """Whether an image that is labelled RGB, and whose codestream says nothing, is YCbCr all the same.

    The black around an ultrasound image tells: it is (0, 128, 128) then.
    """
    first, *others = (values[..., channel].ravel() for channel in range(3))
    darkest = float(np.quantile(first, 0.05))
    dark = first <= max(_DARK, darkest)
    return darkest <= _NEUTRAL / 2 and all(abs(float(np.median(one[dark])) - _NEUTRAL) < _NEUTRAL / 4 for one in others)


def _partial_to_rgb(values: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """uint8 (H, W, 3) with luma from 16 to 235 and chroma from 16 to 240 (ITU-R BT.601) → RGB."""
    y, cb, cr = (values[..., channel].astype(np.float32) for channel in range(3))
    y, cb, cr = (y - 16) * (255 / 219), (cb - 128) * (255 / 224), (cr - 128) * (255 / 224)
    rgb = np.stack([y + 1.402 * cr, y - 0.344136 * cb - 0.714136 * cr, y + 1.772 * cb], axis=-1)
    return np.clip(np.rint(rgb), 0, 255).astype(np.uint8)
