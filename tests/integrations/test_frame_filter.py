"""A model as a function of one frame."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pytest

import edgerecon as er
from edgerecon.core.errors import UsageError
from edgerecon.integrations.frame_filter import FrameFilter

FRAME = np.random.default_rng(1).integers(0, 256, (24, 32), np.uint8)


@pytest.fixture(scope="module")
def despeckle() -> Iterator[FrameFilter]:
    with FrameFilter("compact-despeckle-small", "onnxruntime", protect="none") as found:
        yield found


@pytest.mark.parametrize("kind", [np.uint8, np.uint16, np.float32])
def test_picture_is_of_the_frames_type(despeckle: FrameFilter, kind: type) -> None:
    full = 1.0 if kind is np.float32 else float(np.iinfo(kind).max)
    frame = (FRAME / 255 * full).astype(kind)
    picture = despeckle(frame)
    assert picture.dtype == kind and picture.shape == FRAME.shape
    assert np.abs(picture / full - despeckle(FRAME) / 255).max() < 0.01
    assert np.abs(picture.astype(float) - frame).max() > 0.05 * full


def test_strength_0_is_the_input(despeckle: FrameFilter) -> None:
    despeckle.strength = 0.0
    assert np.array_equal(despeckle(FRAME), FRAME)
    despeckle.strength = 1.0


def test_picture_is_that_of_the_engine(despeckle: FrameFilter) -> None:
    engine = er.open_engine("compact-despeckle-small", "onnxruntime")
    expected = engine.run(FRAME[8:16, 8:16].astype(np.float32) / 255)
    assert np.abs(despeckle(FRAME[8:16, 8:16]) / 255 - expected).max() < 0.2  # its border is continued elsewhere
    engine.close()


def test_strength_beyond_1_is_refused(despeckle: FrameFilter) -> None:
    with pytest.raises(UsageError, match="the strength is from 0"):
        despeckle.strength = 2.0
