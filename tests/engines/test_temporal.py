"""State carried from frame to frame, on a graph built by hand: h_t = h_{t−1}/2 + D(x_t), y_t = x_t + U(h_t)."""

from __future__ import annotations

import tracemalloc
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper

from edgerecon.core.errors import EngineError, ModelError
from edgerecon.engines import open_engine
from edgerecon.modelfile.file import read_model
from tests.support import hand_made

BACKENDS = ["onnxruntime", "openvino", "pytorch"]
STATE = '[{"name": "state", "channels": 1, "divisor": 2}]'


def temporal(path: Path, state: str = STATE) -> Path:
    """Means of 2×2 pixels, summed up with a memory that halves, spread again."""
    constants = {
        "half": np.float32([0.5]),
        "mean": np.full((1, 1, 2, 2), 0.25, np.float32),
        "spread": np.full((1, 1, 2, 2), 0.1, np.float32),
    }
    nodes = [
        helper.make_node("Conv", ["frame", "mean"], ["m"], strides=[2, 2]),
        helper.make_node("Mul", ["state_in", "half"], ["old"]),
        helper.make_node("Add", ["m", "old"], ["state_out"]),
        helper.make_node("ConvTranspose", ["state_out", "spread"], ["u"], strides=[2, 2]),
        helper.make_node("Add", ["frame", "u"], ["reconstruction"]),
    ]
    hand_made.save(path, nodes, constants, size_multiple="2", state=state)
    model = onnx.load(path)
    for name, ports in (("state_in", model.graph.input), ("state_out", model.graph.output)):
        ports.append(helper.make_tensor_value_info(name, TensorProto.FLOAT, ["N", 1, "H/2", "W/2"]))
    onnx.save(model, path)
    return path


def _expected(frames: np.ndarray) -> np.ndarray:
    """Float64, odd sizes padded by their edge."""
    height, width = frames.shape[1:]
    x = np.pad(frames.astype(np.float64), ((0, 0), (0, height % 2), (0, width % 2)), mode="edge")
    h, found = 0.0, []
    for each in x:
        h = h / 2 + each.reshape(each.shape[0] // 2, 2, -1, 2).mean((1, 3))
        found.append(each + 0.1 * np.kron(h, np.ones((2, 2))))
    return np.clip(np.stack(found)[:, :height, :width], 0, 1)


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return temporal(tmp_path_factory.mktemp("t") / "net.onnx")


def _frames(shape: tuple[int, int], count: int = 5) -> np.ndarray:
    return np.random.default_rng(shape).random((count, *shape), dtype=np.float32) * 0.8


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("shape", [(8, 12), (7, 5), (1, 1)])
def test_the_state_is_carried(model: Path, backend: str, shape: tuple[int, int]) -> None:
    engine, frames = open_engine(model, backend, threads=1), _frames(shape)
    assert (engine.spec.model.state_channels, engine.spec.model.state_divisor) == (1, 2)
    out = np.empty(shape, np.float32)
    for frame, expected in zip(frames, _expected(frames), strict=True):
        assert engine.run(frame, out) is out
        np.testing.assert_allclose(out, expected, atol=1e-6)


@pytest.mark.parametrize("backend", BACKENDS)
def test_a_reset_and_a_new_size_start_anew(model: Path, backend: str) -> None:
    engine = open_engine(model, backend, threads=1)
    engine.reset()
    for shape in ((8, 12), (6, 6), (8, 12)):
        for count in (1, 2, 3):  # resets after an odd and an even number of frames
            frames = _frames(shape, count)
            np.testing.assert_allclose([engine.run(frame) for frame in frames], _expected(frames), atol=1e-6)
            engine.reset()
    engine.run(_frames((8, 12))[0])
    engine.run(_frames((6, 6))[0])
    frames = _frames((8, 12), 2)
    np.testing.assert_allclose([engine.run(frame) for frame in frames], _expected(frames), atol=1e-6)
    engine.close()
    engine.reset()


@pytest.mark.parametrize("backend", BACKENDS)
def test_two_engines_share_nothing(model: Path, backend: str) -> None:
    a, b = (open_engine(model, backend, threads=1) for _ in range(2))
    frames = _frames((8, 12))
    for frame, expected in zip(frames, _expected(frames), strict=True):
        b.run(np.ones((8, 12), np.float32))
        np.testing.assert_allclose(a.run(frame), expected, atol=1e-6)


@pytest.mark.parametrize("backend", BACKENDS)
def test_a_failure_starts_anew(model: Path, backend: str, monkeypatch: pytest.MonkeyPatch) -> None:
    engine: Any = open_engine(model, backend, threads=1)
    frames = _frames((8, 12), 2)
    engine.run(frames[0])
    with monkeypatch.context() as patch:
        patch.setattr(engine, "_execute", lambda: (_ for _ in ()).throw(RuntimeError("gone")))
        with pytest.raises(EngineError, match="gone"):
            engine.run(frames[0])
    np.testing.assert_allclose([engine.run(frame) for frame in frames], _expected(frames), atol=1e-6)


@pytest.mark.parametrize("backend", ["onnxruntime", "openvino"])
def test_nothing_is_allocated_after_warm_up(model: Path, backend: str) -> None:
    engine = open_engine(model, backend, threads=1)
    frame, out = np.full((256, 320), 0.3, np.float32), np.empty((256, 320), np.float32)
    for _ in range(3):
        engine.run(frame, out)
    tracemalloc.start()
    for _ in range(5):
        engine.run(frame, out)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 65_536 < frame.nbytes


@pytest.mark.parametrize("backend", BACKENDS)
def test_a_graph_without_the_state_that_it_promises(tmp_path: Path, backend: str) -> None:
    path = hand_made.save(
        tmp_path / "m.onnx", [helper.make_node("Relu", ["frame"], ["reconstruction"])], size_multiple="2", state=STATE
    )
    with pytest.raises(ModelError, match="'frame' and 'state_in' and 'reconstruction' and 'state_out'"):
        open_engine(path, backend)


@pytest.mark.parametrize(
    "state",
    [
        '[{"name": "state"}]',
        '["state"]',
        "{}x",
        '[{"name": "h", "channels": 1, "divisor": 1}]',
        '[{"name": "state", "channels": 0, "divisor": 1}]',
        '[{"name": "state", "channels": 1, "divisor": 3}]',
        '[{"name": "state", "channels": 1, "divisor": 0}]',
        '[{"name": "state", "channels": 9999, "divisor": 1}]',
        '[{"name": "state", "channels": 1, "divisor": 1}, {"name": "state", "channels": 1, "divisor": 1}]',
    ],
)
def test_states_that_make_no_sense(tmp_path: Path, state: str) -> None:
    with pytest.raises(ModelError, match="broken metadata"):
        read_model(temporal(tmp_path / "m.onnx", state))


@pytest.mark.parametrize("output", ["[1]", "[0, 2]", "3", '["a", 1]', "[1, 2, 3]"])
def test_outputs_that_make_no_sense(tmp_path: Path, output: str) -> None:
    path = hand_made.save(tmp_path / "m.onnx", [helper.make_node("Relu", ["frame"], ["reconstruction"])], output=output)
    with pytest.raises(ModelError, match="broken metadata"):
        read_model(path)
