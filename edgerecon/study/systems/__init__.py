"""The published systems, one file each. This module imports none of them, and no torch."""

from __future__ import annotations

from collections.abc import Sequence

from edgerecon.core.errors import UsageError

SYSTEMS = (
    "recurrent",
    "tomography",
    "multicoil_mri",
    "textured_ct",
    "sparse_pet",
    "restoration",
    "enhancement",
    "super_resolution",
    "diagnosis",
)
"""Files of this folder; each has TITLE, PAPER and ``run(ctx)``, which fills ``ctx.result``."""


def chosen(only: Sequence[str]) -> tuple[str, ...]:
    """The systems to run, in their own order; all when none is named. only: SYSTEM or SYSTEM/NETWORK.

    Raises:
        UsageError: an unknown name.
    """
    named = [name.partition("/")[0] for name in only]
    if unknown := [name for name in named if name not in SYSTEMS]:
        raise UsageError(f"there is no system '{unknown[0]}' in the study: choose from {', '.join(SYSTEMS)}")
    return tuple(name for name in SYSTEMS if not only or name in named)
