"""What a classical filter says of itself: one record in its own file, from which every list is made."""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cache
from importlib.metadata import entry_points

from edgerecon.core.frame import Image

GROUP = "edgerecon.filters"
"""Entry points of other packages: ``name = "module:RECORDS"``."""

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
    import edgerecon.quality.filters as folder

    found: list[Filter] = []
    for module in pkgutil.iter_modules(folder.__path__):
        found += getattr(importlib.import_module(f"{folder.__name__}.{module.name}"), "RECORDS", ())
    for point in entry_points(group=GROUP):
        found += point.load()
    return {one.name: one for one in found}
