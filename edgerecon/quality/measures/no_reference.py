"""What a filter did to a real frame, measured against the frame itself because no target exists."""

from __future__ import annotations

from dataclasses import dataclass
from statistics import fmean

import numpy as np

from edgerecon.core.frame import Image
from edgerecon.quality.measures.full_reference import match_gain_offset
from edgerecon.quality.measures.speckle import cnr, edge_preservation, fwhm, gcnr, speckle_snr
from edgerecon.quality.regions import Regions, crop, image_area


@dataclass(frozen=True)
class NoReference:
    """Measures of one filtered frame; nan where the frame has no region to measure.

    Attributes:
        speckle_snr: mean over standard deviation of display values, mean over the homogeneous regions.
        snr_ratio: speckle SNR of the filtered frame over the input's, mean over the homogeneous regions.
        edge: edge preservation in [−1, 1] over the image area (see ``speckle.edge_preservation``).
        cnr, gcnr: mean over the contrast pairs.
        gcnr_change: gCNR minus the input's.
        fwhm_px: mean of lateral widths of the wires in display values above their surroundings, in pixels.
    """

    speckle_snr: float
    snr_ratio: float
    edge: float
    cnr: float
    gcnr: float
    gcnr_change: float
    fwhm_px: float


def measure(original: Image, filtered: Image, regions: Regions) -> NoReference:
    """Measure a filtered frame after matching it to its input by least-squares gain and offset over the image area.

    Args:
        original, filtered: float32 (H, W) in [0, 1], of the same shape.
        regions: boxes found on, or given for, the original.
    """
    area = image_area(original)
    matched = match_gain_offset(filtered, original, area if area.any() else None).astype(np.float32)
    ratios = [_snr_ratio(crop(matched, box), crop(original, box)) for box in regions.homogeneous]
    contrast = [
        (cnr(*boxes), gcnr(*boxes, limits=(0.0, 1.0)), gcnr(*before, limits=(0.0, 1.0)))
        for boxes, before in (
            ((crop(matched, t), crop(matched, b)), (crop(original, t), crop(original, b))) for b, t in regions.pairs
        )
    ]
    widths = [wire_width(crop(matched, box)) for box in regions.wires]
    return NoReference(
        speckle_snr=_mean([speckle_snr(crop(matched, box)) for box in regions.homogeneous]),
        snr_ratio=_mean(ratios),
        edge=edge_preservation(matched, original, area),
        cnr=_mean([c for c, _, _ in contrast]),
        gcnr=_mean([g for _, g, _ in contrast]),
        gcnr_change=_mean([g - before for _, g, before in contrast]),
        fwhm_px=_mean(widths),
    )


def wire_width(box: Image) -> float:
    """Lateral FWHM in pixels of the brightest point of a box, above the box's median, in display values."""
    row = int(np.unravel_index(int(box.argmax()), box.shape)[0])
    return fwhm(np.clip(box[row] - np.median(box), 0.0, None))


def _snr_ratio(filtered: Image, original: Image) -> float:
    before = speckle_snr(original)
    # An erased region (zero deviation) would give an infinite ratio and spoil every mean; 1000 is beyond any filter.
    return min(speckle_snr(filtered) / before, 1000.0) if np.isfinite(before) and before > 0 else float("nan")


def _mean(values: list[float]) -> float:
    finite = [v for v in values if np.isfinite(v)]
    return fmean(finite) if finite else float("nan")
