"""What a classical filter says of itself: one record in its own file, from which every list is made."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cache

from edgerecon.core.frame import Image
from edgerecon.core.records import Records

GROUP = "edgerecon.filters"
"""Entry points of other packages: ``name = "module:FILTERS"``."""

FOLDERS = ("edgerecon.quality.filters",)
Parameters = dict[str, float]


@dataclass(frozen=True)
class Filter:
    """One classical speckle filter, a baseline of every comparison.

    Attributes:
        name: what ``--method`` takes. run: (image, **parameters) → image, both float32 (H, W) in [0, 1].
        grid: strengths to try, the gentlest first: the coarse grid of ``tune``, and the sweep behind the front.
    """

    name: str
    run: Callable[..., Image]
    grid: tuple[Parameters, ...]


@cache
def filters() -> Mapping[str, Filter]:
    """Every filter by name: those of this folder, then those of other packages."""
    return Records(Filter, "FILTERS", FOLDERS, GROUP)
