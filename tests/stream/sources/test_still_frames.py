"""Frames of a recording in memory."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from edgerecon.core.errors import SourceError
from edgerecon.stream.sources.still_frames import read_frames, spread


def test_the_frames_are_those_of_the_recording(tmp_path: Path) -> None:
    frames = np.random.default_rng(0).integers(0, 256, (5, 6, 7), np.uint8)
    np.save(tmp_path / "cine.npy", frames)
    found = read_frames(str(tmp_path / "cine.npy"))
    assert np.array_equal(found, frames) and len(read_frames(str(tmp_path / "cine.npy"), among=2)) == 2
    assert len(read_frames("sim://?size=32x24&fps=500", among=3)) == 3, "a live source ends there"
    with pytest.raises(SourceError, match="none.npy does not exist"):
        read_frames(str(tmp_path / "none.npy"))


@pytest.mark.parametrize(("length", "expected"), [(30, [0, 14, 29]), (2, [0, 0, 1]), (1, [0, 0, 0])])
def test_frames_are_spread_from_the_first_to_the_last(length: int, expected: list[int]) -> None:
    assert spread(range(length), 3) == expected
