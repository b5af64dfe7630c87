"""The source of frames that a DICOM file is."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from numpy.typing import NDArray

from edgerecon.core.errors import EdgereconError, SourceError, UsageError
from edgerecon.core.frame import RawImage, plausible_spacing
from edgerecon.stream.sources.base import Capture
from edgerecon.stream.sources.files import lossy
from edgerecon.stream.sources.files.dicom.display import Display
from edgerecon.stream.sources.files.dicom.header import one_line
from edgerecon.stream.sources.files.dicom.region import choose_region, stated_spacing_mm
from edgerecon.stream.sources.files.dicom.stored_frames import Read, StoredFrames
from edgerecon.stream.sources.files.dicom.timing import period_s, times_s
from edgerecon.stream.sources.pixel_spacing import taken_spacing_mm
from edgerecon.stream.sources.query import Query, number

_HAS_GDCM = find_spec("gdcm") is not None
_REGIONS_AT_MOST = 1000
_SAMPLED = 8  # frames, to find a range that nothing states


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
        self._stored = StoredFrames(path, self.name, any_modality)
        self._header = self._stored.header
        self.length: int | None = self._stored.length
        try:
            self._read_header(chosen)
        except EdgereconError:
            raise
        except Exception as error:  # pydicom parses an element when it is first asked for, and has many ways to fail
            raise SourceError(f"{self.name} cannot be read as DICOM: {one_line(error)}") from error

    def _read_header(self, chosen: int | None) -> None:
        header = self._header
        self.lossy = lossy.of_dicom(header)
        self._display = Display(header)
        self._display.warn_of_contradiction(self.name)
        self.period_s = period_s(header, self.name)
        if self._display.states_no_range:
            self._display.take_range(self.name, self._sample())
        self._times_s = times_s(header, self._stored.length, self.period_s)
        self._region = choose_region(header, self.name, chosen)
        stated = self._region.spacing_mm if self._region else stated_spacing_mm(header)
        self.spacing_mm = taken_spacing_mm(self.name, stated)

    def _sample(self) -> Iterator[NDArray[Any]]:
        """Stored values of a few frames, evenly spaced; what cannot be read is left to ``frames`` to tell."""
        last = self._stored.length - 1
        with self._stored.opened() as read:
            for index in sorted({round(last * part / (_SAMPLED - 1)) for part in range(_SAMPLED)}):
                with suppress(Exception):  # pydicom and its decoders raise many kinds on damaged data
                    yield read(index)

    def frames(self) -> Iterator[Capture]:
        with self._stored.opened() as read:
            for index in range(self._stored.length):
                capture = self._capture(read, index)
                capture.time_s = self._times_s[index] if self._times_s else None
                yield capture

    def _capture(self, read: Read, index: int) -> Capture:
        try:
            image = self._crop(self._display.show(read(index), index))
        except Exception as error:  # noqa: BLE001 - pydicom and its decoders raise many kinds on damaged data
            return Capture(None, _fault(error))
        return Capture(
            image, spacing_mm=None if self._region else plausible_spacing(stated_spacing_mm(self._header, index))
        )

    def _crop(self, image: RawImage) -> RawImage:
        if self._region is None:
            return image
        top, left, bottom, right = self._region.box
        return image[top:bottom, left:right]

    def close(self) -> None: ...


def _options(query: Query) -> tuple[int | None, bool]:
    """Number of the region, or None, and whether any modality is read."""
    modality = query.get("modality", "us")
    if modality.lower() not in ("us", "any"):
        raise UsageError(f"modality={modality} makes no sense: ultrasound is read, and all others by modality=any")
    region = number(query, "region", 1, 1, _REGIONS_AT_MOST)
    if region != int(region):
        raise UsageError(f"region={query['region']} makes no sense: give a whole number")
    return int(region) if "region" in query else None, modality.lower() == "any"


def _fault(error: Exception) -> str:
    """Why a frame could not be decoded, and what may help: pydicom speaks of plugins that the user never chose."""
    words = one_line(error)
    _, failed, why = words.partition("raised by all available plugins: ")
    return f"{why}; pip install 'edgerecon[dicom]' brings further decoders" if failed and not _HAS_GDCM else words
