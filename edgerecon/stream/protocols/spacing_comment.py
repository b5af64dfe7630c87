"""The pixel spacing in a video's comment: containers of videos have no field for it."""

from __future__ import annotations

import re

from edgerecon.core.frame import plausible_spacing

_WRITTEN = re.compile(r"pixel spacing ([0-9.e+-]{1,20}) x ([0-9.e+-]{1,20}) mm \(row x column\)")


def spacing_comment(spacing_mm: tuple[float, float] | None) -> str:
    """What a recording says of (row, column) in mm; "" where it is unknown."""
    return f"pixel spacing {spacing_mm[0]:.9g} x {spacing_mm[1]:.9g} mm (row x column)" if spacing_mm else ""


def spacing_of_comment(comment: str) -> tuple[float, float] | None:
    """Of a recording of ours: (row, column) in mm; None for any other comment."""
    found = _WRITTEN.fullmatch(comment)
    try:
        return plausible_spacing((float(found[1]), float(found[2]))) if found else None
    except ValueError:
        return None
