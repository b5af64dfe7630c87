"""Stored values of a DICOM frame become grey levels or colours as they are meant to be shown (PS3.4 N.2)."""

from __future__ import annotations

import logging
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydicom import Dataset

from edgerecon.core.errors import SourceError
from edgerecon.core.frame import RawImage
from edgerecon.stream.sources.files.dicom.header import first_item, functional_group, number, value
from edgerecon.stream.sources.files.dicom.tables import Lookup, read_lookup
from edgerecon.stream.sources.scaling import Statistics, bits_used, stretch_bits

_log = logging.getLogger(__name__)

_BLOCK = 1 << 20  # pixels that are looked up at once: NumPy takes 8 bytes for each
Values = NDArray[np.float64]


@dataclass(frozen=True)
class _Rescale:
    slope: float = 1.0
    intercept: float = 0.0

    def __call__(self, values: Values) -> Values:
        return values * self.slope + self.intercept


@dataclass(frozen=True)
class _Window:
    """Centre, width and VOI LUT Function (PS3.3 C.11.2.1.2 and C.11.2.1.3)."""

    center: float
    width: float
    function: str

    def __call__(self, values: Values) -> Values:
        """Values of the modality → [0, 1], beyond it outside the window."""
        if self.function == "SIGMOID":
            return 1 / (1 + np.exp(np.clip(-4 * (values - self.center) / self.width, -700, 700)))
        if self.function == "LINEAR_EXACT":
            return (values - self.center) / self.width + 0.5
        if self.width <= 1:  # a threshold
            return (values > self.center - 0.5).astype(np.float64)
        return (values - (self.center - 0.5)) / (self.width - 1) + 0.5


class Display:
    """How the frames of one file are shown: modality LUT, VOI LUT or window, and polarity; or a palette.

    Grey levels of up to 8 bits become uint8, deeper ones uint16, in all frames alike. Padding is black.

    Raises:
        SourceError: a lookup table that is damaged.
    """

    def __init__(self, header: Dataset) -> None:
        self._header = header
        self._bits = int(header.BitsStored)
        self._signed = int(header.get("PixelRepresentation") or 0) == 1
        self._first = -(1 << (self._bits - 1)) if self._signed else 0  # the value of the table's first entry
        self._color = str(header.PhotometricInterpretation).strip().upper()
        self._modality = self._lookup("ModalityLUTSequence", self._signed)
        below_zero = self._signed or (number(header, "RescaleIntercept") or 0.0) < 0
        self._voi = self._lookup("VOILUTSequence", below_zero and self._modality is None)
        self._low, self._high = self._first, self._first + (1 << self._bits) - 1  # stored values, black and white
        self._shown: tuple[tuple[_Rescale, _Window | None], RawImage] | None = None
        if self._color == "PALETTE COLOR":
            self._palette, self._first = _read_palette(header, self._signed)

    @property
    def states_no_range(self) -> bool:
        """Whether 16 bits are shown and nothing says how many of them are used: no window, no lookup table."""
        words = self._bits == 16 and self._color != "PALETTE COLOR" and self._modality is None and self._voi is None
        return words and _window(self._header, 0) is None

    def warn_of_contradiction(self, name: str) -> None:
        """Log a Presentation LUT Shape that contradicts the polarity: INVERSE belongs to MONOCHROME1, IDENTITY to
        MONOCHROME2 (PS3.3 C.7.6.1, General Image). The photometric interpretation decides."""
        shape = str(value(self._header, "PresentationLUTShape") or "").strip().upper()
        meant = {"INVERSE": "MONOCHROME1", "IDENTITY": "MONOCHROME2"}.get(shape, self._color)
        if self._color.startswith("MONOCHROME") and meant != self._color:
            bright = "low" if self._color == "MONOCHROME1" else "high"
            _log.warning(
                "%s is %s with a Presentation LUT Shape of %s, which belongs to %s: %s values are shown bright",
                name,
                self._color,
                shape,
                meant,
                bright,
            )

    def take_range(self, name: str, sample: Iterable[NDArray[Any]]) -> None:
        """Take black and white from stored values of some frames, for all frames alike; the log says so.

        Unsigned ones that use 8, 10, 12 or 14 bits are stretched from 0 on, signed ones from the lowest to the highest;
        those that use more stay as they are.
        """
        statistics = Statistics()
        for values in sample:
            padding = self._is_padding(values.astype(np.int64))
            statistics.add(values if not padding.any() else values[~padding].reshape(1, -1))
        if statistics.low > statistics.high:
            return
        low, high = int(statistics.low), int(statistics.high)
        bits = bits_used(max(high, -low))
        if bits is None:
            return
        if low >= 0:
            low, high = 0, (1 << bits) - 1
        if low < high:
            _log.warning("%s states no range of its 16 bits: %d is shown as black, %d as white", name, low, high)
            self._low, self._high = low, high

    def show(self, values: NDArray[Any], frame: int) -> RawImage:
        """Stored values (H, W), or RGB (H, W, 3) → uint8 or uint16 as ``RawImage``."""
        if self._color == "PALETTE COLOR":
            return _look_up(self._palette, values, self._first)
        if not self._color.startswith("MONOCHROME"):
            return stretch_bits(values, min(self._bits, self._high.bit_length(), 8 * values.itemsize))
        steps = _rescale(self._header, frame), _window(self._header, frame)
        if self._shown is None or self._shown[0] != steps:
            self._shown = steps, self._table(*steps)
        return _look_up(self._shown[1], values, self._first)

    def _lookup(self, sequence: str, signed: bool) -> Lookup | None:
        item = first_item(self._header, sequence)
        return None if item is None else read_lookup(item, "LUTDescriptor", "LUTData", None, signed)

    def _table(self, rescale: _Rescale, window: _Window | None) -> RawImage:
        """What is shown for each stored value."""
        stored = np.arange(self._first, self._first + (1 << self._bits))
        if self._modality is None:
            values = rescale(stored.astype(np.float64))
            low, high = sorted(rescale(np.array([self._low, self._high], np.float64)).tolist())
        else:
            values = self._modality[stored].astype(np.float64)
            low, high = 0.0, float(self._modality.full)
        if self._voi is not None:
            shown = self._voi[np.rint(values).astype(np.int64)] / self._voi.full
        elif window is not None:
            shown = window(values)
        else:
            shown = (values - low) / ((high - low) or 1.0)
        shown = np.clip(shown, 0, 1)
        shown = 1 - shown if self._color == "MONOCHROME1" else shown  # low values are bright
        shown[self._is_padding(stored)] = 0.0
        full = 255 if self._bits <= 8 else 65535
        return np.rint(shown * full).astype(np.uint8 if full == 255 else np.uint16)

    def _is_padding(self, stored: NDArray[np.int64]) -> NDArray[np.bool_]:
        """Whether the value is that of pixels outside the image (PS3.3 C.7.5.1.1.2)."""
        padding = number(self._header, "PixelPaddingValue")
        if padding is None:
            return np.zeros(stored.shape, bool)
        limit = number(self._header, "PixelPaddingRangeLimit")
        low, high = sorted((padding, padding if limit is None else limit))
        return (stored >= low) & (stored <= high)


def modality_values(header: Dataset, values: NDArray[Any], frame: int) -> NDArray[np.float32]:
    """Stored values in the units of the modality, as Hounsfield units (PS3.3 C.11.1).

    Raises:
        SourceError: a lookup table that is damaged.
    """
    item = first_item(header, "ModalityLUTSequence")
    if item is not None:
        signed = int(header.get("PixelRepresentation") or 0) == 1
        return read_lookup(item, "LUTDescriptor", "LUTData", None, signed)[values.astype(np.int64)].astype(np.float32)
    rescale = _rescale(header, frame)
    return values.astype(np.float32) * np.float32(rescale.slope) + np.float32(rescale.intercept)


def _rescale(header: Dataset, frame: int) -> _Rescale:
    own = functional_group(header, frame, "PixelValueTransformationSequence") or header
    slope, intercept = number(own, "RescaleSlope"), number(own, "RescaleIntercept")
    return _Rescale(slope, intercept) if slope and intercept is not None else _Rescale()


def _window(header: Dataset, frame: int) -> _Window | None:
    """The first window; None without one, or where it makes no sense."""
    own = functional_group(header, frame, "FrameVOILUTSequence") or header
    center, width = number(own, "WindowCenter"), number(own, "WindowWidth")
    if center is None or width is None or width <= 0:
        return None
    return _Window(center, width, str(value(own, "VOILUTFunction") or "LINEAR").upper())


def _read_palette(header: Dataset, signed: bool) -> tuple[RawImage, int]:
    """(entries, 3) uint8 or uint16, and the stored value of the first entry."""
    tables = [
        read_lookup(
            header,
            f"{color}PaletteColorLookupTableDescriptor",
            f"{color}PaletteColorLookupTableData",
            f"Segmented{color}PaletteColorLookupTableData",
            signed,
        )
        for color in ("Red", "Green", "Blue")
    ]
    if len({(len(table.entries), table.first) for table in tables}) != 1:
        raise SourceError("the three tables of its palette do not fit each other")
    bits = max(table.bits for table in tables)
    entries = np.stack([table.entries for table in tables], axis=-1)
    return stretch_bits(entries.astype(np.uint8 if bits <= 8 else np.uint16), bits), tables[0].first


def _look_up(table: RawImage, values: NDArray[Any], first: int) -> RawImage:
    """(N,) or (N, 3) table of the values from ``first`` on; values beyond it take its ends."""
    flat = values.ravel()
    shown = np.empty((flat.size, *table.shape[1:]), table.dtype)
    for at in range(0, flat.size, _BLOCK):
        index = flat[at : at + _BLOCK].astype(np.int64) - first
        np.take(table, index, axis=0, out=shown[at : at + _BLOCK], mode="clip")
    return shown.reshape(*values.shape, *table.shape[1:])
