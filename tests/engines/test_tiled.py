"""Frames that are run piece by piece come out as if they were run whole."""

from __future__ import annotations

import numpy as np
import pytest

from edgerecon.core.errors import EngineError, UsageError
from edgerecon.engines import open_engine


@pytest.mark.parametrize("shape", [(150, 209), (50, 40), (128, 96), (129, 97), (1, 300)])
def test_tiles_join_without_seams(shape: tuple[int, int]) -> None:
    frame = np.random.default_rng(0).random(shape, dtype=np.float32)
    whole, tiled = (open_engine("compact-despeckle", "onnxruntime", tile=tile) for tile in (None, (96, 128)))
    expected = np.array(whole.run(frame))
    assert np.array_equal(tiled.run(frame), expected)
    out = frame.copy()
    assert tiled.run(out, out) is out and np.array_equal(out, expected)


def test_tiles_smaller_than_their_halo_are_refused() -> None:
    with pytest.raises(UsageError, match="take multiples of 4 from 52 on"):
        open_engine("compact-despeckle", tile=(48, 96))
    with pytest.raises(UsageError, match="do not suit"):
        open_engine("compact-despeckle", tile=(97, 96))


def test_unusable_frame_is_refused() -> None:
    engine = open_engine("compact-despeckle", "onnxruntime", tile=(96, 128))
    with pytest.raises(EngineError, match="float32"):
        engine.run(np.zeros((8, 8)))  # type: ignore[arg-type]
