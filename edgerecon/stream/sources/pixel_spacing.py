"""The pixel spacing that a recording states: taken where it can be true, else left out, and the log says so."""

from __future__ import annotations

import logging
from collections.abc import Sequence

from edgerecon.core.frame import plausible_spacing

_log = logging.getLogger(__name__)


def taken_spacing_mm(name: str, stated: Sequence[float] | None) -> tuple[float, float] | None:
    """(row, column) in mm; None where none is stated, or one that no scanner has (``plausible_spacing``), which the log
    then says.

    Args:
        name: of the recording, for the log. stated: row and column in mm; NaN for what is no number.
    """
    if stated is None or len(stated) == 0:
        return None
    found = plausible_spacing((stated[0], stated[1])) if len(stated) == 2 else None
    if found is None:
        said = " × ".join(f"{step:g}" for step in stated[:3])
        _log.warning("%s states pixels of %s mm: no scanner has such pixels, and they are ignored", name, said)
    return found
