"""The reference: each operator against ONNX Runtime and torch's own layers, and how it refuses."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from onnx import TensorProto, helper, numpy_helper

torch = pytest.importorskip("torch")

import onnxruntime as ort  # noqa: E402
import torch.nn.functional as F  # noqa: E402

from edgerecon.core.errors import EngineError, ModelError, UsageError  # noqa: E402
from edgerecon.engines import open_engine  # noqa: E402
from edgerecon.engines.pytorch.operators import ALLOWED, OPERATORS  # noqa: E402
from tests.support import hand_made  # noqa: E402

RNG = np.random.default_rng(11)


def _image(*shape: int) -> np.ndarray:
    return RNG.standard_normal(shape, dtype=np.float32)


def _ints(*values: int) -> np.ndarray:
    return np.array(values, np.int64)


X, WIDE = _image(2, 8, 7, 9), _image(1, 3, 5, 6)
LEVELS = RNG.integers(-128, 128, (2, 3, 4), np.int8)
PAIR = (_image(2, 3, 4), _image(3, 1))
# operator, attributes, inputs; None for an input that is left out
CASES: list[tuple[str, dict[str, Any], list[np.ndarray | None]]] = [
    *((name, {}, [X]) for name in ("Identity", "Relu", "Sigmoid", "Tanh", "LeakyRelu", "Shape", "Transpose")),
    *((name, {}, [*PAIR]) for name in ("Add", "Sub", "Mul", "Div")),
    ("Div", {}, [_ints(7, -7, 8, -9), _ints(2, 2, -3, -4)]),
    ("LeakyRelu", {"alpha": 0.3}, [X]),
    ("PRelu", {}, [X, _image(8, 1, 1)]),
    ("Clip", {}, [X]),
    ("Clip", {}, [X, np.float32(-0.5)]),
    ("Clip", {}, [X, None, np.float32(0.5)]),
    ("Clip", {}, [X, np.float32(-0.2), np.float32(0.5)]),
    ("Conv", {}, [X, _image(5, 8, 3, 3), _image(5)]),
    ("Conv", {"pads": [1, 2, 1, 2], "strides": [2, 1], "dilations": [2, 3]}, [X, _image(5, 8, 2, 3)]),
    ("Conv", {"pads": [2, 0, 1, 3], "group": 4}, [X, _image(12, 2, 3, 3), _image(12)]),
    ("Conv", {"group": 8, "auto_pad": "VALID"}, [X, _image(8, 1, 3, 3)]),
    ("ConvTranspose", {"strides": [2, 2]}, [X, _image(8, 3, 2, 2), _image(3)]),
    (
        "ConvTranspose",
        {"strides": [2, 3], "pads": [1, 0, 2, 1], "output_padding": [1, 0], "group": 2},
        [X, _image(8, 2, 3, 4)],
    ),
    ("ConvTranspose", {"dilations": [2, 2], "pads": [1, 1, 1, 1]}, [X, _image(8, 3, 3, 3)]),
    ("MaxPool", {"kernel_shape": [2, 2]}, [X]),
    ("MaxPool", {"kernel_shape": [3, 3], "strides": [2, 2], "pads": [1, 1, 1, 1], "ceil_mode": 1}, [X]),
    ("MaxPool", {"kernel_shape": [2, 2], "dilations": [2, 3]}, [X]),
    ("AveragePool", {"kernel_shape": [2, 2], "strides": [2, 2]}, [X]),
    ("AveragePool", {"kernel_shape": [3, 3], "pads": [1, 1, 1, 1]}, [X]),
    ("AveragePool", {"kernel_shape": [3, 3], "pads": [1, 1, 1, 1], "count_include_pad": 1}, [X]),
    ("SpaceToDepth", {"blocksize": 2}, [_image(2, 3, 4, 6)]),
    ("DepthToSpace", {"blocksize": 2}, [X]),
    ("DepthToSpace", {"blocksize": 2, "mode": "DCR"}, [X]),
    ("DepthToSpace", {"blocksize": 2, "mode": "CRD"}, [X]),
    ("Concat", {"axis": 1}, [_image(2, 1, 3), _image(2, 4, 3), _image(2, 2, 3)]),
    ("Concat", {"axis": -1}, [_ints(3, 4), _ints(5)]),
    *(
        ("Resize", {"mode": mode, "coordinate_transformation_mode": how}, [WIDE, None, np.float32([1, 1, 2, 2])])
        for mode in ("nearest", "linear")
        for how in ("half_pixel", "pytorch_half_pixel", "asymmetric", "align_corners")
    ),
    *(
        ("Resize", {"mode": "nearest", "nearest_mode": how}, [WIDE, None, np.float32([1, 1, 0.5, 2])])
        for how in ("round_prefer_floor", "round_prefer_ceil", "floor", "ceil")
    ),
    ("Resize", {"mode": "linear"}, [WIDE, None, None, _ints(1, 3, 9, 4)]),
    ("Resize", {"mode": "linear"}, [WIDE, None, np.float32([1, 1, 1, 1.5])]),
    (
        "Resize",
        {"mode": "linear", "coordinate_transformation_mode": "align_corners"},
        [WIDE, None, None, _ints(1, 3, 1, 2)],
    ),
    (
        "Resize",
        {"mode": "linear", "coordinate_transformation_mode": "pytorch_half_pixel"},
        [WIDE, None, None, _ints(1, 3, 1, 2)],
    ),
    *(("Cast", {"to": to}, [X]) for to in (TensorProto.FLOAT16, TensorProto.DOUBLE, TensorProto.INT32)),
    ("Cast", {"to": TensorProto.FLOAT}, [LEVELS]),
    ("QuantizeLinear", {}, [X, np.float32(0.01), np.uint8(128)]),
    ("QuantizeLinear", {}, [X, np.float32(0.03), np.int8(-3)]),
    ("QuantizeLinear", {}, [np.abs(X), np.float32(0.01)]),
    ("QuantizeLinear", {"axis": 1}, [PAIR[0], np.float32([0.01, 0.02, 0.5]), np.int8([0, 4, -9])]),
    ("QuantizeLinear", {"axis": -1}, [PAIR[0], np.float32([0.01, 0.02, 0.5, 1]), np.zeros(4, np.uint8)]),
    ("DequantizeLinear", {}, [LEVELS, np.float32(0.3), np.int8(7)]),
    ("DequantizeLinear", {}, [LEVELS.astype(np.int32) * 1000, np.float32(0.3)]),
    ("DequantizeLinear", {"axis": 0}, [LEVELS, np.float32([0.3, 2]), np.int8([-128, 127])]),
    ("Reshape", {}, [X, _ints(2, -1, 9)]),
    ("Reshape", {}, [X, _ints(0, 4, 2, -1)]),
    ("Reshape", {"allowzero": 1}, [np.zeros((0, 3), np.float32), _ints(3, 0)]),
    ("Transpose", {"perm": [0, 2, 3, 1]}, [X]),
    ("Shape", {"start": 1, "end": -1}, [X]),
    ("Slice", {}, [X, _ints(1, -5), _ints(2, 100), _ints(0, 3)]),
    ("Slice", {}, [X, _ints(0, 1), _ints(1, 3)]),
    ("Slice", {}, [X, _ints(6, -1), _ints(-(2**62), 1), _ints(2, -1), _ints(-2, -3)]),
    ("Gather", {}, [X, _ints(1)]),
    ("Gather", {"axis": 2}, [X, np.array([[0, -1], [3, 3]], np.int64)]),
    ("Gather", {"axis": -1}, [_ints(5, 6, 7), np.array(1, np.int64)]),
    ("Unsqueeze", {}, [PAIR[0], _ints(0, -1)]),
    ("Squeeze", {}, [_image(1, 3, 1, 2), _ints(0, -2)]),
    ("Squeeze", {}, [_image(1, 3, 1, 2)]),
    ("BatchNormalization", {"epsilon": 1e-3}, [X, _image(8), _image(8), _image(8), np.abs(_image(8))]),
    ("Expand", {}, [PAIR[1], _ints(2, 1, 4)]),
    ("GlobalAveragePool", {}, [X]),
    ("MatMul", {}, [_image(5, 2, 3), _image(3, 4)]),
    *(("ReduceMean", {"keepdims": keep}, [X, _ints(-1, 1)]) for keep in (0, 1)),
    ("ReduceMean", {}, [X]),
    ("ReduceMean", {"noop_with_empty_axes": 1}, [X]),
    *(
        (
            "RNN",
            {"hidden_size": 4, "direction": way, "activations": ["Relu"] * count},
            [_image(5, 2, 3), _image(count, 4, 3), _image(count, 4, 4) / 4, _image(count, 8)],
        )
        for way, count in (("forward", 1), ("bidirectional", 2))
    ),
    (
        "LSTM",
        {"hidden_size": 4, "direction": "bidirectional"},
        [_image(5, 2, 3), _image(2, 16, 3), _image(2, 16, 4), _image(2, 32)],
    ),
    ("RNN", {"hidden_size": 4}, [_image(5, 2, 3), _image(1, 4, 3), _image(1, 4, 4)]),
    ("LSTM", {"hidden_size": 4}, [_image(5, 2, 3), _image(1, 16, 3), _image(1, 16, 4)]),
    ("Exp", {}, [X]),
    *((operator, {}, [np.arange(-8, 9, dtype=np.float32) / 4]) for operator in ("Ceil", "Floor", "Round")),
    *((operator, {}, [np.abs(X) + 0.1]) for operator in ("Log", "Reciprocal", "Sqrt")),
    *(("ReduceSum", {"keepdims": keep}, [X, _ints(-1, 1)]) for keep in (0, 1)),
    ("ReduceSum", {}, [X]),
    ("Softmax", {}, [X]),
    ("Softmax", {"axis": 1}, [X]),
]


def _with_onnxruntime(operator: str, attributes: dict[str, Any], inputs: list[np.ndarray | None]) -> np.ndarray:
    given_inputs = [(f"x{i}", np.asarray(value)) for i, value in enumerate(inputs) if value is not None]
    names = [f"x{i}" if value is not None else "" for i, value in enumerate(inputs)]
    ports = [
        helper.make_tensor_value_info(name, helper.np_dtype_to_tensor_dtype(value.dtype), value.shape)
        for name, value in given_inputs
    ]
    node = helper.make_node(operator, names, ["y"], **attributes)
    graph = helper.make_graph([node], "one", ports, [helper.make_empty_tensor_value_info("y")])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=8)
    model = onnx.shape_inference.infer_shapes(model)
    session = ort.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    return np.asarray(session.run(None, dict(given_inputs))[0])


def _here(operator: str, attributes: dict[str, Any], inputs: list[np.ndarray | None]) -> np.ndarray:
    tensors = [None if value is None else torch.from_numpy(np.array(value)) for value in inputs]
    return np.asarray(OPERATORS[operator](attributes, *tensors).numpy())


def _name(case: object) -> str:
    return case if isinstance(case, str) else ""


@pytest.mark.parametrize(("operator", "attributes", "inputs"), CASES, ids=_name)
def test_operator_against_onnxruntime(
    operator: str, attributes: dict[str, Any], inputs: list[np.ndarray | None]
) -> None:
    expected, found = _with_onnxruntime(operator, attributes, inputs), _here(operator, attributes, inputs)
    assert (found.dtype, found.shape) == (expected.dtype, expected.shape)
    if operator in ("QuantizeLinear", "Gather", "Slice", "DepthToSpace", "SpaceToDepth", "Cast"):
        np.testing.assert_array_equal(found, expected)
    np.testing.assert_allclose(found.astype(np.float64), expected, rtol=1e-5, atol=1e-5)


def test_every_operator_is_tested() -> None:
    assert {operator for operator, _, _ in CASES} == set(OPERATORS)
    assert {operator for operator, _ in ALLOWED} <= set(OPERATORS)


def _same(operator: str, attributes: dict[str, Any], inputs: list[Any], expected: Any) -> None:
    torch.testing.assert_close(OPERATORS[operator](attributes, *inputs), expected, rtol=0, atol=0)


def test_operators_against_torch() -> None:
    x, y = torch.from_numpy(X), torch.from_numpy(X[::-1].copy())
    weight, bias = torch.from_numpy(_image(6, 4, 3, 3)), torch.from_numpy(_image(6))
    dilated = {"pads": [2, 1, 2, 1], "dilations": [2, 1], "strides": [1, 2], "group": 2}
    _same("Conv", dilated, [x, weight, bias], F.conv2d(x, weight, bias, (1, 2), (2, 1), (2, 1), 2))
    back = {"pads": [1, 1, 1, 1], "strides": [2, 2], "output_padding": [1, 1], "group": 2}
    kernel = torch.from_numpy(_image(8, 3, 3, 3))
    _same("ConvTranspose", back, [x, kernel, bias], F.conv_transpose2d(x, kernel, bias, 2, 1, 1, 2))
    _same("Relu", {}, [x], F.relu(x))
    _same("LeakyRelu", {"alpha": 0.2}, [x], F.leaky_relu(x, 0.2))
    _same("PRelu", {}, [x, bias[:1]], F.prelu(x, bias[:1]))
    _same("Sigmoid", {}, [x], F.sigmoid(x))
    _same("Tanh", {}, [x], F.tanh(x))
    _same("Clip", {}, [x, torch.tensor(0.0), torch.tensor(1.0)], F.hardtanh(x, 0.0, 1.0))
    for operator, function in (("Add", torch.add), ("Sub", torch.sub), ("Mul", torch.mul), ("Div", torch.div)):
        _same(operator, {}, [x, y], function(x, y))
    _same("Concat", {"axis": 1}, [x, y], torch.cat((x, y), 1))
    _same("DepthToSpace", {"blocksize": 2, "mode": "CRD"}, [x], F.pixel_shuffle(x, 2))
    one = x[:, :1, :6, :8]
    _same("SpaceToDepth", {"blocksize": 2}, [one], F.pixel_unshuffle(one, 2))
    _same("MaxPool", {"kernel_shape": [3, 3], "strides": [2, 2], "pads": [1] * 4}, [x], F.max_pool2d(x, 3, 2, 1))
    _same("AveragePool", {"kernel_shape": [2, 2], "strides": [2, 2]}, [x], F.avg_pool2d(x, 2))
    scales = torch.tensor([1.0, 1.0, 2.0, 2.0])
    nearest = {"mode": "nearest", "coordinate_transformation_mode": "asymmetric", "nearest_mode": "floor"}
    _same("Resize", nearest, [x, None, scales], F.interpolate(x, scale_factor=2, mode="nearest"))
    bilinear = OPERATORS["Resize"]({"mode": "linear"}, x, None, scales)
    torch.testing.assert_close(bilinear, F.interpolate(x, scale_factor=2, mode="bilinear"), rtol=0, atol=1e-6)
    zeros, steps = torch.zeros(8, dtype=torch.int8), torch.linspace(0.01, 1, 8)
    levels = OPERATORS["QuantizeLinear"]({}, x, steps, zeros)
    rounded = torch.fake_quantize_per_channel_affine(x, steps, zeros.int(), 1, -128, 127)
    torch.testing.assert_close(OPERATORS["DequantizeLinear"]({}, levels, steps, zeros), rounded, rtol=1e-6, atol=1e-6)


def test_halves_round_to_even_and_saturate() -> None:
    x = torch.tensor([-1000.0, -2.5, -1.5, -0.5, 0.5, 1.5, 2.5, 3.5, 1000.0])
    one = torch.tensor(1.0)
    signed = OPERATORS["QuantizeLinear"]({}, x, one, torch.tensor(0, dtype=torch.int8))
    assert signed.tolist() == [-128, -2, -2, 0, 0, 2, 2, 4, 127]
    unsigned = OPERATORS["QuantizeLinear"]({}, x, one, torch.tensor(1, dtype=torch.uint8))
    assert unsigned.tolist() == [0, 0, 0, 1, 1, 3, 3, 5, 255]


@settings(max_examples=40, deadline=None)
@given(st.data())
def test_any_convolution(data: st.DataObject) -> None:
    small = st.integers(1, 3)
    kernel, strides, dilations = ([data.draw(small), data.draw(small)] for _ in range(3))
    group, inside, outside = data.draw(small), data.draw(small), data.draw(small)
    pads = [data.draw(st.integers(0, 3)) for _ in range(4)]
    attributes = {"strides": strides, "dilations": dilations, "pads": pads, "group": group}
    x = _image(1, group * inside, 8, data.draw(st.integers(7, 9)))
    weight = _image(group * outside, inside, *kernel)
    expected = _with_onnxruntime("Conv", attributes, [x, weight])
    np.testing.assert_allclose(_here("Conv", attributes, [x, weight]), expected, atol=1e-5)


def test_constants_of_all_kinds(tmp_path: Path, rng: np.random.Generator) -> None:
    nodes = [
        helper.make_node("Constant", [], ["two"], value=numpy_helper.from_array(np.float32([2]))),
        helper.make_node("Constant", [], ["half"], value_float=0.5),
        helper.make_node("Constant", [], ["row"], value_floats=[0.1]),
        helper.make_node("Constant", [], ["axes"], value_ints=[0, 1]),
        helper.make_node("Constant", [], ["first"], value_int=0),
        helper.make_node("Mul", ["frame", "two"], ["a"]),
        helper.make_node("Sub", ["a", "half"], ["b"]),
        helper.make_node("Squeeze", ["b", "axes"], ["c"]),
        helper.make_node("Unsqueeze", ["c", "axes"], ["d"]),
        helper.make_node("Gather", ["row", "first"], ["e"]),
        helper.make_node("Add", ["d", "e"], ["reconstruction"]),
    ]
    frame = rng.random((5, 6), dtype=np.float32)
    found = open_engine(hand_made.save(tmp_path / "a.onnx", nodes), "pytorch", threads=1).run(frame)
    np.testing.assert_allclose(found, np.clip(2 * frame - 0.4, 0, 1), atol=1e-6)


@pytest.mark.parametrize(
    ("node", "named"),
    [
        (helper.make_node("NoSuchOperator", ["frame"], ["t"]), "NoSuchOperator"),
        (helper.make_node("Blur", ["frame"], ["t"], domain="com.acme"), "com.acme.Blur"),
        (helper.make_node("Resize", ["frame", "", "s"], ["t"], mode="cubic"), "Resize with mode cubic"),
        (helper.make_node("Conv", ["frame", "w"], ["t"], auto_pad="SAME_UPPER"), "Conv with auto_pad SAME_UPPER"),
        (helper.make_node("MaxPool", ["frame"], ["t", "i"], kernel_shape=[1, 1]), "MaxPool with 2 outputs"),
    ],
)
def test_foreign_operators_are_named_when_it_opens(tmp_path: Path, node: onnx.NodeProto, named: str) -> None:
    nodes = [node, helper.make_node("Erf", ["t"], ["reconstruction"])]
    constants = {"s": np.float32([1, 1, 2, 2]), "w": np.ones((1, 1, 3, 3), np.float32)}
    path = hand_made.save(tmp_path / "a.onnx", nodes, constants)
    with pytest.raises(ModelError, match=rf"pytorch has no operator .*{re.escape(named)}.*a\.onnx needs") as caught:
        open_engine(path, "pytorch")
    assert "Erf" in str(caught.value) and "\n" not in str(caught.value)


def test_files_that_it_refuses(tmp_path: Path) -> None:
    missing = [helper.make_node("Add", ["frame", "nowhere"], ["reconstruction"])]
    with pytest.raises(ModelError, match="corrupt: pytorch refuses it") as caught:
        open_engine(hand_made.save(tmp_path / "a.onnx", missing), "pytorch")
    assert "\n" not in str(caught.value)
    relu = [helper.make_node("Relu", ["frame"], ["reconstruction"])]
    with pytest.raises(ModelError, match="opset 12.* export it again"):
        open_engine(hand_made.save(tmp_path / "b.onnx", relu, opset=12), "pytorch")
    path = hand_made.save(tmp_path / "c.onnx", relu)
    content = path.read_bytes()
    path.write_bytes(content.replace(b"frame", b"image"))
    with pytest.raises(ModelError, match="inputs and outputs"):
        open_engine(path, "pytorch")


def test_a_wrong_scale_is_not_broadcast(tmp_path: Path) -> None:
    nodes = [helper.make_node("AveragePool", ["frame"], ["reconstruction"], kernel_shape=[4, 4])]
    engine = open_engine(hand_made.save(tmp_path / "a.onnx", nodes), "pytorch", threads=1)
    with pytest.raises(
        EngineError, match=r"4×4 frame: the graph gives \[1, 1, 1, 1\], its metadata says \[1, 1, 4, 4\]"
    ):
        engine.run(np.ones((4, 4), np.float32))


def test_the_process_keeps_its_threads(tmp_path: Path) -> None:
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    try:
        engine = open_engine(hand_made.fp32(tmp_path / "a.onnx"), "pytorch", threads=1)
        engine.run(np.ones((4, 4), np.float32))
        assert torch.get_num_threads() == 2
    finally:
        torch.set_num_threads(before)


def test_devices(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = hand_made.fp32(tmp_path / "a.onnx")
    assert open_engine(path, "pytorch", device="cpu").spec.backend == "pytorch"
    with pytest.raises(UsageError, match="'cpu', 'cuda' or 'cuda:N', not 'gpu'"):
        open_engine(path, "pytorch", device="gpu")
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 1)
    with pytest.raises(EngineError, match="no device 'cuda:1' here"):
        open_engine(path, "pytorch", device="cuda:1")
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 0)
    with pytest.raises(EngineError, match="no device 'cuda' here"):
        open_engine(path, "pytorch", device="cuda")


@pytest.mark.skipif(not torch.cuda.is_available(), reason="no GPU here")
def test_on_a_gpu(tmp_path: Path, rng: np.random.Generator) -> None:
    frame = rng.random((65, 47), dtype=np.float32)
    path = hand_made.fp32(tmp_path / "a.onnx")
    found = open_engine(path, "pytorch", device="cuda").run(frame)
    np.testing.assert_allclose(found, open_engine(path, "onnxruntime").run(frame), atol=1e-5)
