"""The folder where engines, kernels and sweeps are kept between runs."""

from __future__ import annotations

import os
from pathlib import Path


def cache_folder() -> Path:
    """Where engines are kept: ``$EDGERECON_CACHE``, else edgerecon/ in the user's cache (XDG Base Directory 0.8)."""
    if own := os.environ.get("EDGERECON_CACHE"):
        return Path(own)
    xdg = os.environ.get("XDG_CACHE_HOME", "")
    # The specification says that a relative path is to be ignored.
    return (Path(xdg) if os.path.isabs(xdg) else Path.home() / ".cache") / "edgerecon"
