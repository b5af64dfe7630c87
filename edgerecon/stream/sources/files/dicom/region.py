"""Which part of the image is the ultrasound image, and how many millimetres its pixels are apart."""

from __future__ import annotations

import logging
from dataclasses import dataclass

from pydicom import Dataset

from edgerecon.core.errors import SourceError
from edgerecon.core.frame import plausible_spacing
from edgerecon.stream.sources.files.dicom.header import functional_group, magnitude, number, numbers_of, value

_log = logging.getLogger(__name__)

_CENTIMETRES = 3  # Physical Units, PS3.3 C.8.5.5.1.15
_NO_PICTURES = (2, 3, 4, 5)  # Region Spatial Format of M-mode, spectra, waveforms and graphics, C.8.5.5.1.1
_SMALLEST = 4  # pixels that a region has on either side, unless it is the whole image


@dataclass(frozen=True)
class Region:
    """An ultrasound region of the image: its pixels, and (row, column) millimetres of one of them."""

    top: int
    left: int
    bottom: int
    right: int
    spacing_mm: tuple[float, float]

    @property
    def area(self) -> int:
        """In pixels."""
        return (self.bottom - self.top) * (self.right - self.left)

    @property
    def box(self) -> tuple[int, int, int, int]:
        """(top, left, bottom, right) in pixels; bottom and right are exclusive."""
        return self.top, self.left, self.bottom, self.right


def choose_region(header: Dataset, name: str, chosen: int | None) -> Region | None:
    """The largest region in centimetres that fits the image (PS3.3 C.8.5.5), or None.

    M-mode, Doppler and the like are in other units. Of regions of one size (dual view) the first is taken, and the log
    says so.

    Args:
        chosen: number of the region to take instead, counting those in centimetres from 1.

    Raises:
        SourceError: there is no region of that number.
    """
    found: dict[tuple[int, int, int, int], Region] = {}
    for item in value(header, "SequenceOfUltrasoundRegions") or ():
        region = _to_region(item, header)
        if region is not None:
            found.setdefault(region.box, region)  # colour flow lies over the tissue of the same box
    regions = list(found.values())
    if chosen is not None:
        if chosen > len(regions):
            raise SourceError(f"{name} has {len(regions)} ultrasound regions in centimetres, but no region {chosen}")
        return regions[chosen - 1]
    if not regions:
        return None
    largest = max(regions, key=lambda region: region.area)
    rivals = [number for number, region in enumerate(regions, 1) if region.area == largest.area]
    if len(rivals) > 1:
        others = " or ".join(f"?region={number}" for number in rivals[1:])
        _log.warning(
            "%s holds %d regions of one size (a dual view): region %d is taken; add %s to its path for another",
            name,
            len(rivals),
            rivals[0],
            others,
        )
    return largest


def _to_region(item: Dataset, header: Dataset) -> Region | None:
    units = (value(item, "PhysicalUnitsXDirection"), value(item, "PhysicalUnitsYDirection"))
    steps = magnitude(item, "PhysicalDeltaY"), magnitude(item, "PhysicalDeltaX")
    right, bottom = number(item, "RegionLocationMaxX1"), number(item, "RegionLocationMaxY1")
    if value(item, "RegionSpatialFormat") in _NO_PICTURES:
        return None
    if units != (_CENTIMETRES, _CENTIMETRES) or not (steps[0] and steps[1]):
        return None
    if right is None or bottom is None or right > header.Columns or bottom > header.Rows:
        return None  # the image was resized after the region was written: it is no longer true
    left, top = (int(number(item, f"RegionLocationMin{axis}0") or 0) for axis in "XY")
    bottom, right = min(int(bottom) + 1, header.Rows), min(int(right) + 1, header.Columns)
    whole = (top, left, bottom, right) == (0, 0, header.Rows, header.Columns)
    if min(top, left) < 0 or (min(bottom - top, right - left) < _SMALLEST and not whole):
        return None
    return Region(top, left, bottom, right, (10 * steps[0], 10 * steps[1]))


def stated_spacing_mm(header: Dataset, frame: int = 0) -> tuple[float, float] | None:
    """Of images without regions: Pixel Measures (Enhanced US Volume), else Pixel Spacing (secondary captures).

    What a scanner cannot have is given only where nothing else is stated.
    """
    groups = (functional_group(header, frame, "PixelMeasuresSequence"), header)
    stated = [numbers_of(group, "PixelSpacing") for group in groups if group is not None]
    pairs = [(each[0], each[1]) for each in stated if len(each) == 2]
    return next((pair for pair in pairs if plausible_spacing(pair)), next(iter(pairs), None))
