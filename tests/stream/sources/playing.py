"""What a file plays as: its images, its faults, or the line that refuses it."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from edgerecon.core.errors import SourceError
from edgerecon.stream.sources import open_source

RNG = np.random.default_rng(3)
FRAMES = RNG.integers(0, 256, (5, 12, 10), np.uint8)


def images(path: Path) -> list[np.ndarray | None]:
    return [capture.image for capture in open_source(str(path)).frames()]


def faults(path: Path) -> list[bool]:
    """Whether each frame could not be read."""
    captures = list(open_source(str(path)).frames())
    assert all((capture.image is None) == (capture.fault is not None) for capture in captures)
    return [capture.image is None for capture in captures]


def refusal(path: Path | str) -> str:
    with pytest.raises(SourceError) as caught:
        open_source(str(path))
    assert "\n" not in str(caught.value)
    return str(caught.value)
