"""The strength of a model: 0 is the input, 1 the model, and all between is their blend."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

from edgerecon.core.errors import UsageError
from edgerecon.core.frame import to_uint8, to_unit
from edgerecon.engines import open_engine
from edgerecon.stream.picture.strength import BlendedEngine
from edgerecon.stream.sources import open_source


@pytest.fixture
def frame(rng: np.random.Generator) -> np.ndarray:
    return rng.random((37, 52), dtype=np.float32)


@pytest.fixture
def rng() -> np.random.Generator:
    return np.random.default_rng(3)


def engine(strength: float) -> BlendedEngine:
    return BlendedEngine(open_engine("compact-despeckle-w8d4", "onnxruntime", threads=1), strength)


def test_strength_zero_is_the_input_bit_for_bit(frame: np.ndarray) -> None:
    out = np.empty_like(frame)
    assert engine(0).run(frame, out) is out
    assert out.tobytes() == frame.tobytes() == engine(0).run(frame).tobytes()


def test_strength_one_is_the_model_bit_for_bit(frame: np.ndarray) -> None:
    model = open_engine("compact-despeckle-w8d4", "onnxruntime", threads=1)
    assert engine(1).run(frame).tobytes() == model.run(frame).tobytes()


@pytest.mark.parametrize("in_place", [False, True])
def test_half_is_half_way_between(frame: np.ndarray, in_place: bool) -> None:
    expected = 0.5 * frame + 0.5 * engine(1).run(frame)
    out = frame.copy() if in_place else np.empty_like(frame)
    np.testing.assert_allclose(engine(0.5).run(out if in_place else frame, out), expected, atol=1e-6)


def test_the_strength_can_change_between_frames(frame: np.ndarray) -> None:
    live = engine(1)
    model = live.run(frame)
    live.strength = 0.25
    np.testing.assert_allclose(live.run(frame), 0.75 * frame + 0.25 * model, atol=1e-6)


@pytest.mark.parametrize("strength", [-0.1, 1.01, float("nan")])
def test_a_strength_beyond_its_range_is_refused(strength: float) -> None:
    with pytest.raises(UsageError, match="the strength is from 0"):
        engine(strength)


def test_a_stream_at_strength_zero_records_its_input(tmp_path: Path, echo_cine: Path) -> None:
    from edgerecon.cli.main import app

    out = tmp_path / "out.npz"
    arguments = ["stream", str(echo_cine), "compact-despeckle-w8d4", "--strength", "0", "--sink", str(out)]
    assert CliRunner().invoke(app, arguments).exit_code == 0
    shown = np.load(out)["frames"]
    expected = [to_uint8(to_unit(capture.image)) for capture in open_source(str(echo_cine)).frames()]
    assert (shown == np.stack(expected)).all()
