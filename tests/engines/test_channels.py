"""Models whose input is no picture: parts of an aperture, on every runtime that takes the file."""

from __future__ import annotations

import numpy as np
import pytest

from edgerecon.core.errors import EngineError
from edgerecon.engines import backends, open_engine

MODEL = "compact-beamform"


def parts(rng: np.random.Generator, height: int, width: int) -> np.ndarray:
    return 0.05 * rng.standard_normal((16, height, width), np.float32)


@pytest.mark.parametrize("name", ["openvino", "pytorch"])
def test_runtimes_agree_on_parts_of_an_aperture(name: str, rng: np.random.Generator) -> None:
    if not backends()[name].available:
        pytest.skip(f"{name} is not installed")
    reference, engine = open_engine(MODEL, "onnxruntime", threads=1), open_engine(MODEL, name, threads=1)
    for shape in ((1, 1), (33, 20)):
        frame = parts(rng, *shape)
        expected = reference.run(frame)
        assert expected.shape == shape and 0 < expected.max() < 1
        np.testing.assert_allclose(engine.run(frame), expected, atol=1e-5)


def test_a_margin_repeats_the_border_of_every_channel(rng: np.random.Generator) -> None:
    engine = open_engine(MODEL, "onnxruntime", threads=1)
    frame = parts(rng, 12, 9)
    whole = engine.run(np.pad(frame, ((0, 0), (3, 3), (3, 3)), mode="edge"))[3:-3, 3:-3]
    engine.margin = 3  # type: ignore[attr-defined]
    np.testing.assert_allclose(engine.run(frame), whole, atol=1e-6)


@pytest.mark.parametrize("shape", [(12, 9), (8, 12, 9), (1, 16, 12, 9), (16, 0, 9)])
def test_frames_of_other_channels_are_refused(shape: tuple[int, ...]) -> None:
    engine = open_engine(MODEL, "onnxruntime", threads=1)
    with pytest.raises(EngineError, match="non-empty float32 16×H×W array"):
        engine.run(np.zeros(shape, np.float32))
