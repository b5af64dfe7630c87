from __future__ import annotations

from typing import Any, cast

import numpy as np
import onnx
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from onnx import helper

from edgerecon.core.errors import ModelError, UsageError
from edgerecon.core.shipped import resource_dir
from edgerecon.deploy.export.export import to_onnx
from edgerecon.workshop.compress.calibration import Calibration, calibrate
from edgerecon.workshop.compress.quantise import (
    WEIGHT_LIMIT,
    Form,
    activation_grid,
    quantise,
    weight_scales,
)
from edgerecon.workshop.compress.rounding import round_weights
from edgerecon.workshop.models import build_model
from tests.support.compress_graphs import constant, conv, frames, graph_of, run, tiny_model, tiny_recipe

FORMS: tuple[Form, ...] = ("unsigned", "signed")


@pytest.fixture(scope="module")
def model() -> onnx.ModelProto:
    return tiny_model()


@pytest.fixture(scope="module")
def calibration(model: onnx.ModelProto) -> Calibration:
    return calibrate(model, frames(20))


def _made_by(model: onnx.ModelProto, tensor: str) -> onnx.NodeProto:
    return next(node for node in model.graph.node if tensor in node.output)


def _rms(a: list[np.ndarray], b: list[np.ndarray]) -> float:
    return float(np.sqrt(np.mean((np.stack(a) - np.stack(b)) ** 2)))


@pytest.mark.parametrize("form", FORMS)
def test_what_the_file_holds(form: Form, model: onnx.ModelProto, calibration: Calibration) -> None:
    made = quantise(model, calibration.ranges("percentile"), form=form, moments=calibration.moments)
    facts = {entry.key.removeprefix("edgerecon."): entry.value for entry in made.metadata_props}
    assert facts["precision"] == "int8" and facts["form"] == form
    before = {entry.key.removeprefix("edgerecon."): entry.value for entry in model.metadata_props}
    assert {key: facts[key] for key in before if key != "precision"} == {
        key: value for key, value in before.items() if key != "precision"
    }
    assert (made.ir_version, made.opset_import) == (model.ir_version, model.opset_import)
    for values, theirs in ((made.graph.input, model.graph.input), (made.graph.output, model.graph.output)):
        assert list(values) == list(theirs)
    convolutions = [node for node in made.graph.node if node.op_type == "Conv"]
    assert len(convolutions) == 4
    for node in convolutions:
        activation, weight = (_made_by(made, name) for name in node.input[:2])
        assert {activation.op_type, weight.op_type} == {"DequantizeLinear"}
        whole, scale, zero = (constant(made, name) for name in weight.input)
        assert whole.dtype == np.int8 and np.abs(whole).reshape(len(whole), -1).max() == WEIGHT_LIMIT[form]
        assert scale.shape == zero.shape == (len(whole),) and not zero.any()
        zero_point = constant(made, activation.input[2])
        assert zero_point.dtype == (np.uint8 if form == "unsigned" else np.int8) and zero_point.shape == ()
        assert form == "unsigned" or zero_point == 0
        if form == "unsigned":
            bias = _made_by(made, node.input[2])
            assert constant(made, bias.input[0]).dtype == np.int32
            np.testing.assert_allclose(constant(made, bias.input[1]), scale * constant(made, activation.input[1]))
        else:
            assert constant(made, node.input[2]).dtype == np.float32
    assert not any(t.name.startswith("model.layers") for t in made.graph.initializer)  # the fp32 weights are gone


@pytest.mark.parametrize("form", FORMS)
def test_the_skip_stays_in_float(form: Form, model: onnx.ModelProto, calibration: Calibration) -> None:
    made = quantise(model, calibration.ranges("minmax"), form=form)
    (add,) = (node for node in made.graph.node if node.op_type == "Add")
    assert "frame" in add.input
    residual = _made_by(made, next(name for name in add.input if name != "frame"))
    assert residual.op_type == "DepthToSpace" and _made_by(made, residual.input[0]).op_type == "Conv"
    # Grey levels far finer than 8 bits come through where the network adds the same to all of them.
    flat = [np.full((16, 16), 0.31 + k / 65536, np.float32) for k in range(3)]
    outputs = [out[8, 8] for out in run(made, flat)]
    np.testing.assert_allclose(np.diff(outputs), 1 / 65536, rtol=1e-2)


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("method", ["minmax", "percentile", "entropy"])
def test_it_is_near_the_fp32_file(form: Form, method: Any, model: onnx.ModelProto, calibration: Calibration) -> None:
    ranges = calibration.ranges(method)
    pictures = frames(4, seed=9)
    expected = run(model, pictures)
    effect = _rms(expected, pictures)
    nearest = _rms(run(quantise(model, ranges, form=form), pictures, plain=True), expected)
    better = run(quantise(model, ranges, form=form, moments=calibration.moments), pictures, plain=True)
    assert effect > 0.02
    assert _rms(better, expected) < 0.05 * effect
    assert form == "signed" or _rms(better, expected) < nearest
    assert abs(np.mean(better) - np.mean(expected)) < 5e-4


def test_rounding_is_that_of_onnx_in_integers() -> None:
    """One convolution against the same in int64, rounding and saturation written out."""
    rng = np.random.default_rng(2)
    weight = rng.standard_normal((1, 1, 3, 3)).astype(np.float32)
    bias = np.array([0.3], np.float32)
    model = graph_of([conv("c", "frame", "reconstruction")], {"c_w": weight, "c_b": bias})
    picture = frames(1)[0]
    for form, levels, low, high in (("unsigned", 255, 0, 255), ("signed", 127, -127, 127)):
        made = quantise(model, {"frame": (0.0, 0.75)}, form=cast(Form, form))
        step = np.float32(0.75 / levels)
        x = np.pad(np.clip(np.rint(picture / step), low, high).astype(np.int64), 1)
        scale = np.float32(np.abs(weight).max() / WEIGHT_LIMIT[cast(Form, form)])
        w = np.rint(weight / scale).astype(np.int64)[0, 0]
        height, width = picture.shape
        total = sum(w[i, j] * x[i : i + height, j : j + width] for i in range(3) for j in range(3))
        product = np.float64(step) * scale
        expected = total * product + (np.rint(bias / product) * product if form == "unsigned" else bias)
        np.testing.assert_allclose(run(made, [picture], plain=True)[0], expected, atol=2e-5)


@pytest.mark.parametrize("dilation", [1, 2])
def test_the_unsigned_form_does_not_saturate(dilation: int) -> None:
    """The worst case of 16-bit sums: every weight and every activation at its maximum, through int8 kernels."""
    width = 16
    constants = {
        "a_w": np.ones((width, 1, 3, 3), np.float32) / 9,
        "a_b": np.zeros(width, np.float32),
        "b_w": np.ones((width, width, 3, 3), np.float32) / 144,
        "b_b": np.zeros(width, np.float32),
        "c_w": np.ones((1, width, 3, 3), np.float32) / 144,
        "c_b": np.zeros(1, np.float32),
    }
    nodes = [conv("a", "frame", "x"), conv("b", "x", "y"), conv("c", "y", "reconstruction")]
    for node in nodes:
        node.attribute.append(helper.make_attribute("dilations", [dilation] * 2))
        next(a for a in node.attribute if a.name == "pads").ints[:] = [dilation] * 4
    model = graph_of(nodes, constants)
    white = np.ones((32, 32), np.float32)
    made = quantise(model, {"frame": (0, 1), "x": (0, 1), "y": (0, 1)}, form="unsigned")
    expected = run(model, [white])[0]
    assert expected[16, 16] == pytest.approx(1, rel=1e-5)  # 144 products, summed in an order that the CPU decides
    np.testing.assert_allclose(run(made, [white])[0], expected, atol=0.02)


def test_kept_convolutions_stay_float(model: onnx.ModelProto, calibration: Calibration) -> None:
    ends = ("node_conv2d", "node_conv2d_3")
    ranges = calibration.ranges("percentile")
    pictures = frames(4, seed=9)
    expected = run(model, pictures)
    for form in FORMS:
        made = quantise(model, ranges, form=form, keep=ends, moments=calibration.moments)
        for node in (n for n in made.graph.node if n.op_type == "Conv"):
            kept = node.name in ends
            assert ("model.layers" in node.input[1]) == kept
        assert "pixel_unshuffle_quantised" not in str(made.graph)
        whole = quantise(model, ranges, form=form, moments=calibration.moments)
        error, error_whole = (_rms(run(m, pictures, plain=True), expected) for m in (made, whole))
        assert 0 < error < error_whole
    signed = quantise(model, ranges, form="signed", keep=ends)
    last = next(n for n in signed.graph.node if n.name == ends[1])
    assert _made_by(signed, last.input[0]).op_type == "Relu"  # not rounded for a reader in float


def _two_layers() -> onnx.ModelProto:
    weight = np.ones((1, 1, 3, 3), np.float32)
    nodes = [conv("a", "frame", "x", bias=False), conv("b", "x", "reconstruction", bias=False)]
    return graph_of(nodes, {"a_w": weight, "b_w": weight})


def _residual_block() -> onnx.ModelProto:
    """frame → a → (b → c) + a → d, and frame back at the end."""
    rng = np.random.default_rng(0)
    shapes = {"a": (4, 1), "b": (4, 4), "c": (4, 4), "d": (1, 4)}
    constants = {f"{k}_w": 0.2 * rng.standard_normal((*s, 3, 3)).astype(np.float32) for k, s in shapes.items()}
    constants |= {f"{k}_b": 0.1 * rng.standard_normal(s[0]).astype(np.float32) for k, s in shapes.items()}
    nodes = [
        conv("a", "frame", "a_out"),
        helper.make_node("Relu", ["a_out"], ["a_relu"], "a_relu"),
        conv("b", "a_relu", "b_out"),
        helper.make_node("Relu", ["b_out"], ["b_relu"], "b_relu"),
        conv("c", "b_relu", "c_out"),
        helper.make_node("Add", ["c_out", "a_relu"], ["sum"], "inner"),
        conv("d", "sum", "d_out"),
        helper.make_node("Add", ["frame", "d_out"], ["reconstruction"], "outer"),
    ]
    return graph_of(nodes, constants)


@pytest.mark.parametrize("form", FORMS)
def test_additions_inside_the_network(form: Form) -> None:
    model = _residual_block()
    calibration = calibrate(model, frames(10))
    made = quantise(model, calibration.ranges("minmax"), form=form, moments=calibration.moments)
    inner, outer = (next(n for n in made.graph.node if n.name == name) for name in ("inner", "outer"))
    assert inner.input[1] == "a_relu_dequantised" and outer.input[0] == "frame"
    assert inner.input[0] == ("c_out_dequantised" if form == "unsigned" else "c_out")
    pictures = frames(3, seed=5)
    expected = run(model, pictures)
    assert _rms(run(made, pictures, plain=True), expected) < 0.08 * _rms(expected, pictures)


def test_a_u_net() -> None:
    """Concatenations, transposed convolutions and depthwise ones survive."""
    torch.manual_seed(0)
    network = build_model("unet", width=4, depth=1, separable=True)
    torch.nn.init.normal_(network.last.weight, 0, 20)  # type: ignore[arg-type]
    model = to_onnx(network, tiny_recipe(), {})
    calibration = calibrate(model, frames(10))
    pictures = frames(3, (64, 48), seed=5)
    expected = run(model, pictures)
    effect = _rms(expected, pictures)
    assert effect > 0.02
    for form in FORMS:
        made = quantise(model, calibration.ranges("minmax"), form=form, moments=calibration.moments)
        assert _rms(run(made, pictures, plain=True), expected) < 0.15 * effect
        assert sum(node.op_type == "ConvTranspose" for node in made.graph.node) == 1
        assert sum(node.op_type == "DequantizeLinear" for node in made.graph.node) > 20


def test_the_shipped_model() -> None:
    """A file of the exporter's own, with weights that were trained."""
    content = (resource_dir("export") / "compact-despeckle.onnx").read_bytes()
    calibration = calibrate(content, frames(20, (96, 96)))
    pictures = frames(3, (96, 96), seed=5)
    expected = run(content, pictures)
    effect = _rms(expected, pictures)
    for form in FORMS:
        made = quantise(content, calibration.ranges("percentile"), form=form, moments=calibration.moments)
        assert _rms(run(made, pictures, plain=True), expected) < 0.15 * effect
        assert abs(np.mean(run(made, pictures, plain=True)) - np.mean(expected)) < 2e-3


def test_runtimes_agree_on_the_unsigned_form(model: onnx.ModelProto, calibration: Calibration) -> None:
    openvino = pytest.importorskip("openvino")
    made = quantise(model, calibration.ranges("percentile"), form="unsigned", moments=calibration.moments)
    pictures = frames(3, seed=2)
    by_the_standard = run(made, pictures, plain=True)
    core = openvino.Core()
    compiled = core.compile_model(core.read_model(made.SerializeToString()), "CPU", {"INFERENCE_NUM_THREADS": 1})
    effect = _rms(run(model, pictures), pictures)
    for outputs in (run(made, pictures), [compiled([p[None, None]])[0][0, 0] for p in pictures]):
        assert _rms(outputs, by_the_standard) < 0.02 * effect


def test_tensorrt_takes_the_signed_form(model: onnx.ModelProto, calibration: Calibration) -> None:
    trt = pytest.importorskip("tensorrt_rtx")
    made = quantise(model, calibration.ranges("percentile"), form="signed", moments=calibration.moments)
    logger = trt.Logger(trt.Logger.ERROR)
    network = trt.Builder(logger).create_network(1 << int(trt.NetworkDefinitionCreationFlag.STRONGLY_TYPED))
    parser = trt.OnnxParser(network, logger)
    assert parser.parse(made.SerializeToString()), [parser.get_error(i).desc() for i in range(parser.num_errors)]
    layers = [network.get_layer(index) for index in range(network.num_layers)]
    quantisers = [layer for layer in layers if layer.type == trt.LayerType.QUANTIZE]
    assert len(quantisers) == 4 and all(layer.get_output(0).dtype == trt.DataType.INT8 for layer in quantisers)
    assert sum(layer.type == trt.LayerType.CONVOLUTION for layer in layers) == 4


@given(st.floats(-1e3, 0), st.floats(0, 1e3))
@settings(max_examples=100, deadline=None)
def test_grids(low: float, high: float) -> None:
    for form in FORMS:
        grid = activation_grid("x", {"x": (low, high)}, form)
        assert grid.scale > 0 and grid.low <= grid.zero <= grid.high  # zero is a level
        ends = (np.array([grid.low, grid.high]) - grid.zero) * np.float64(grid.scale)
        slack = 0.51 * grid.scale  # the zero point is rounded
        assert ends[0] <= low + slack and high - slack <= ends[1]
        assert form == "unsigned" or (grid.zero, grid.low) == (0, -127)


@given(st.integers(0, 100), st.floats(0, 1e4), st.floats(1e-6, 1e3))
@settings(max_examples=60, deadline=None)
def test_biases_fit(seed: int, size: float, input_scale: float) -> None:
    """Also of channels whose weights pruning or a start at zero has left empty."""
    rng = np.random.default_rng(seed)
    weight = rng.standard_normal((4, 2, 3, 3)).astype(np.float32)
    weight[1] = 0
    bias = (size * rng.standard_normal(4)).astype(np.float32)
    scales = weight_scales(weight, bias, np.float32(input_scale), "unsigned")
    whole = np.rint(bias / (scales * np.float32(input_scale)))
    assert (np.abs(whole) < 2**30).all()
    back = whole * scales * np.float32(input_scale)
    assert (np.abs(back - bias) <= 0.51 * scales * input_scale + 1e-6 * np.abs(bias)).all()
    assert (np.abs(weight / scales[:, None, None, None]) <= 64.001).all()


@given(st.integers(0, 50))
@settings(max_examples=20, deadline=None)
def test_rounding_with_moments(seed: int) -> None:
    rng = np.random.default_rng(seed)
    weight = rng.standard_normal((5, 3, 2, 2)).astype(np.float32)
    bias = rng.standard_normal(5).astype(np.float32)
    mixing = rng.standard_normal((12, 12))
    x = np.maximum(rng.standard_normal((400, 12)) @ mixing + 0.5, 0)  # correlated and not centred
    x = np.concatenate([x, np.ones((400, 1))], axis=1)
    scales = np.abs(weight).reshape(5, -1).max(axis=1) / 7
    whole, moved = round_weights(weight, bias, scales, 7, x.T @ x)
    assert whole.dtype == np.int8 and whole.shape == weight.shape
    np.testing.assert_array_equal(np.abs(whole).reshape(5, -1).max(axis=1), 7)  # the step can be told from the result

    def output(w: np.ndarray, b: np.ndarray) -> np.ndarray:
        return x @ np.concatenate([w.reshape(5, -1), b[:, None]], axis=1).T

    exact = output(weight, bias)
    steps = scales[:, None, None, None]
    error = output(whole * steps, moved) - exact
    nearest = output(np.rint(weight / steps) * steps, bias) - exact
    assert (error**2).sum() < (nearest**2).sum()
    assert np.abs(error.mean(axis=0)).max() < 0.2 * np.abs(nearest.mean(axis=0)).max() + 1e-3
    again, same = round_weights((whole * steps).astype(np.float32), moved, scales, 7, x.T @ x)
    np.testing.assert_array_equal(again, whole)  # what lies on the grid stays there
    np.testing.assert_allclose(same, moved, atol=1e-5)


def test_bad_input(model: onnx.ModelProto, calibration: Calibration) -> None:
    ranges = calibration.ranges("minmax")
    made = quantise(model, ranges, form="unsigned")
    with pytest.raises(ModelError, match="int8 already"):
        quantise(made, ranges, form="unsigned")
    with pytest.raises(UsageError, match="'nothing' to keep in float32: choose from node_conv2d"):
        quantise(model, ranges, form="signed", keep=["nothing"])
    with pytest.raises(ModelError, match="no convolution left"):
        quantise(model, ranges, form="signed", keep=[n.name for n in model.graph.node if n.op_type == "Conv"])
    with pytest.raises(UsageError, match="no range for 'pixel_unshuffle'"):
        quantise(model, {}, form="signed")
    with pytest.raises(UsageError, match="'relu' is not finite"):
        quantise(model, ranges | {"relu": (0.0, float("nan"))}, form="unsigned")
    for content in (b"", b"\x00\x01", b"no model at all"):
        with pytest.raises(ModelError):
            quantise(content, ranges, form="signed")
