"""Ways to make one value of what the elements heard, one file each with its record."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache

from edgerecon.beamform.methods.method import Method
from edgerecon.core.records import Records

GROUP = "edgerecon.beamform"
"""Entry points of other packages: ``name = "module:METHOD"``."""


@cache
def methods() -> Mapping[str, Method]:
    """Every method by name: those of this package, then those of other packages."""
    return Records(Method, "METHOD", ("edgerecon.beamform.methods",), GROUP)
