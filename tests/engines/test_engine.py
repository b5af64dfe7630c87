"""The engine on graphs built by hand, against numpy."""

from __future__ import annotations

import tracemalloc
from pathlib import Path

import numpy as np
import onnx
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from onnx import TensorProto, helper, numpy_helper

from edgerecon import engines
from edgerecon.core.errors import EngineError, ModelError, UsageError
from edgerecon.engines import backends, open_engine

METADATA = {
    "format": "1",
    "name": "hand",
    "task": "despeckle",
    "scale": "1",
    "size_multiple": "1",
    "state": "[]",
    "precision": "fp32",
    "recipe_hash": "0" * 64,
    "quality": '{"psnr_db": 29.5}',
}


def _save(
    path: Path, nodes: list[onnx.NodeProto], constants: dict[str, np.ndarray] | None = None, **metadata: str
) -> Path:
    ports = [
        helper.make_tensor_value_info(name, TensorProto.FLOAT, [1, 1, None, None])
        for name in ("frame", "reconstruction")
    ]
    tensors = [numpy_helper.from_array(value, name) for name, value in (constants or {}).items()]
    graph = helper.make_graph(nodes, "hand", ports[:1], ports[1:], tensors)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=8)
    helper.set_model_props(model, {f"edgerecon.{key}": value for key, value in (METADATA | metadata).items()})
    onnx.save(model, path)
    return path


@pytest.fixture(scope="module")
def double(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """2·x − 0.5, which leaves [0, 1] on both sides."""
    nodes = [
        helper.make_node("Mul", ["frame", "two"], ["t"]),
        helper.make_node("Sub", ["t", "half"], ["reconstruction"]),
    ]
    constants = {"two": np.float32([2]), "half": np.float32([0.5])}
    return _save(tmp_path_factory.mktemp("m") / "double.onnx", nodes, constants)


@pytest.fixture(scope="module")
def blocks(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Mean of each 4×4 block, spread over it: needs sizes in multiples of 4."""
    kernel = np.ones((1, 1, 4, 4), np.float32)
    nodes = [
        helper.make_node("Conv", ["frame", "mean"], ["m"], kernel_shape=[4, 4], strides=[4, 4]),
        helper.make_node("ConvTranspose", ["m", "spread"], ["reconstruction"], kernel_shape=[4, 4], strides=[4, 4]),
    ]
    path = tmp_path_factory.mktemp("m") / "blocks.onnx"
    return _save(path, nodes, {"mean": kernel / 16, "spread": kernel}, size_multiple="4")


def test_what_it_says_of_itself(double: Path) -> None:
    engine = open_engine(double, "onnxruntime", threads=1)
    assert (engine.spec.backend, engine.spec.precision, engine.spec.threads) == ("onnxruntime", "fp32", 1)
    assert engine.spec.model.name == "hand" and engine.spec.model.quality == {"psnr_db": 29.5}


def test_the_output_is_clipped(double: Path, rng: np.random.Generator) -> None:
    frame = rng.random((31, 45), dtype=np.float32)
    np.testing.assert_allclose(open_engine(double).run(frame), np.clip(2 * frame - 0.5, 0, 1), atol=1e-6)


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.integers(1, 21), st.integers(1, 21))
def test_any_size_is_padded_by_its_edge_and_cropped(blocks: Path, height: int, width: int) -> None:
    engine = open_engine(blocks, "onnxruntime", threads=1)  # the padding is the same for all, this one starts at once
    frame = np.random.default_rng(height * 30 + width).random((height, width), dtype=np.float32)
    padded = np.pad(frame, ((0, -height % 4), (0, -width % 4)), mode="edge")
    means = padded.reshape(padded.shape[0] // 4, 4, padded.shape[1] // 4, 4).mean((1, 3))
    expected = means.repeat(4, 0).repeat(4, 1)[:height, :width]
    np.testing.assert_allclose(engine.run(frame), expected, atol=1e-6)


def test_frames_may_change_size(blocks: Path, rng: np.random.Generator) -> None:
    engine, fresh = open_engine(blocks), Path(blocks)
    for shape in ((9, 9), (10, 3), (9, 9), (1, 1), (64, 80), (9, 9)):
        frame = rng.random(shape, dtype=np.float32)
        np.testing.assert_array_equal(engine.run(frame), open_engine(fresh).run(frame))


def test_scale(tmp_path: Path, rng: np.random.Generator) -> None:
    nodes = [helper.make_node("ConvTranspose", ["frame", "k"], ["reconstruction"], kernel_shape=[3, 3], strides=[3, 3])]
    path = _save(tmp_path / "up.onnx", nodes, {"k": np.ones((1, 1, 3, 3), np.float32)}, scale="3", size_multiple="2")
    frame = rng.random((5, 7), dtype=np.float32)
    np.testing.assert_allclose(open_engine(path).run(frame), frame.repeat(3, 0).repeat(3, 1))


def test_out_is_written_in_place(double: Path, rng: np.random.Generator) -> None:
    engine = open_engine(double)
    frame = rng.random((20, 30), dtype=np.float32)
    expected = engine.run(frame)
    out = np.empty_like(frame)
    assert engine.run(frame, out) is out
    np.testing.assert_array_equal(out, expected)
    np.testing.assert_array_equal(engine.run(frame, frame), expected)
    wide = np.asfortranarray(rng.random((40, 60), dtype=np.float32))[::2, ::2]
    np.testing.assert_allclose(engine.run(wide, out), np.clip(2 * wide - 0.5, 0, 1), atol=1e-6)


def test_results_do_not_alias(double: Path) -> None:
    engine = open_engine(double)
    first = engine.run(np.full((8, 8), 0.5, np.float32))
    engine.run(np.full((8, 8), 0.7, np.float32))
    assert first[0, 0] == 0.5


@pytest.mark.parametrize("shape", [(256, 320), (255, 319)])
def test_nothing_is_allocated_after_warm_up(blocks: Path, shape: tuple[int, int]) -> None:
    engine = open_engine(blocks, threads=1)
    frame, out = np.full(shape, 0.3, np.float32), np.empty(shape, np.float32)
    for _ in range(3):
        engine.run(frame, out)
    tracemalloc.start()
    for _ in range(5):
        engine.run(frame, out)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 65_536 < frame.nbytes  # numpy takes a fixed 32 kB for strided arrays


@pytest.mark.parametrize(
    "frame",
    [
        np.zeros((4, 4), np.uint8),
        np.zeros((4, 4)),
        np.zeros((1, 4, 4), np.float32),
        np.zeros(4, np.float32),
        np.zeros((0, 4), np.float32),
        np.zeros((4, 0), np.float32),
        [[0.5]],
        None,
    ],
)
def test_unusable_frames(double: Path, frame: object) -> None:
    engine = open_engine(double)
    with pytest.raises(EngineError, match="float32 H×W"):
        engine.run(frame)  # type: ignore[arg-type]
    assert engine.run(np.ones((2, 2), np.float32)).shape == (2, 2)


@pytest.mark.parametrize("out", [np.zeros((4, 5), np.float32), np.zeros((4, 4)), np.zeros((4, 4), np.uint8), [1]])
def test_unusable_out(double: Path, out: np.ndarray) -> None:
    with pytest.raises(EngineError, match="out must be"):
        open_engine(double).run(np.zeros((4, 4), np.float32), out)


def test_a_runtime_failure_is_one_line_and_the_engine_goes_on(tmp_path: Path) -> None:
    nodes = [
        helper.make_node("Concat", ["frame", "row"], ["t"], axis=2),
        helper.make_node("Relu", ["t"], ["reconstruction"]),
    ]
    path = _save(tmp_path / "only8.onnx", nodes, {"row": np.zeros((1, 1, 0, 8), np.float32)})
    engine = open_engine(path, "onnxruntime")
    for _ in range(2):
        with pytest.raises(EngineError, match="onnxruntime failed on a 6×6 frame") as caught:
            engine.run(np.zeros((6, 6), np.float32))
        assert "\n" not in str(caught.value)
        assert engine.run(np.ones((6, 8), np.float32)).min() == 1


def test_closed(double: Path) -> None:
    engine = open_engine(double)
    engine.reset()
    engine.close()
    engine.close()
    with pytest.raises(EngineError, match="closed"):
        engine.run(np.zeros((4, 4), np.float32))


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        ({"backend": "abacus"}, "unknown backend 'abacus'"),
        ({"precision": "int8"}, "is fp32, not int8"),
        ({"device": "tpu"}, "'tpu'"),
        ({"threads": 0}, "threads"),
    ],
)
def test_wrong_calls(double: Path, arguments: dict[str, object], says: str) -> None:
    with pytest.raises(UsageError, match=says):
        open_engine(double, **arguments)  # type: ignore[arg-type]


def test_names(tmp_path: Path, double: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "mine.onnx").write_bytes(double.read_bytes())
    monkeypatch.setattr("edgerecon.modelfile.catalogue.resource_dir", lambda room: tmp_path)
    assert engines.shipped_models() == ["mine"]
    assert open_engine("mine").spec.model.name == "hand"
    with pytest.raises(UsageError, match="no model 'yours' ships .*there is: mine"):
        open_engine("yours")
    with pytest.raises(ModelError, match="cannot read"):
        open_engine(str(tmp_path / "yours.onnx"))


@pytest.mark.parametrize("kind", ["file", "folder"])
def test_a_shipped_name_is_not_hidden_by_the_working_folder(
    tmp_path: Path, double: Path, monkeypatch: pytest.MonkeyPatch, kind: str
) -> None:
    (tmp_path / "export").mkdir()
    (tmp_path / "export" / "mine.onnx").write_bytes(double.read_bytes())
    for name in ("mine", "yours"):
        (tmp_path / name).mkdir() if kind == "folder" else (tmp_path / name).write_bytes(double.read_bytes())
    monkeypatch.setattr("edgerecon.modelfile.catalogue.resource_dir", lambda room: tmp_path / room)
    monkeypatch.chdir(tmp_path)
    assert engines.model_path("mine") == tmp_path / "export" / "mine.onnx"
    assert engines.model_path("./mine") == engines.model_path(Path("mine")) == Path("mine")
    assert engines.model_path("yours") == Path("yours")


def test_no_runtime(double: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for runtime in backends().values():
        monkeypatch.setitem(vars(runtime), "probe", lambda: "not installed")
    for backend in ("auto", "onnxruntime"):
        with pytest.raises(EngineError, match="pip install onnxruntime"):
            open_engine(double, backend)


def test_other_inputs_and_outputs(tmp_path: Path) -> None:
    path = _save(tmp_path / "a.onnx", [helper.make_node("Relu", ["frame"], ["reconstruction"])])
    model = onnx.load(path)
    model.graph.input[0].name = model.graph.node[0].input[0] = "image"
    onnx.save(model, path)
    with pytest.raises(ModelError, match="inputs and outputs"):
        open_engine(path)


def test_a_graph_that_the_runtime_refuses(tmp_path: Path) -> None:
    path = _save(tmp_path / "a.onnx", [helper.make_node("NoSuchOperator", ["frame"], ["reconstruction"])])
    with pytest.raises(ModelError, match="onnxruntime refuses it") as caught:
        open_engine(path, "onnxruntime")
    assert "\n" not in str(caught.value)
