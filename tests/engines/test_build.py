"""Real engines for GPUs that are not here: TensorRT-RTX builds them, and what it parsed is compared with the file."""

from __future__ import annotations

import errno
import json
import os
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import NodeProto, helper, numpy_helper

from edgerecon.core.errors import DependencyError, EdgereconError, EngineError, ModelError, UsageError
from edgerecon.engines.tensorrt import build as building
from edgerecon.engines.tensorrt.build import build
from edgerecon.engines.tensorrt.builder import RTX, build_engine, installed, parse, rtx_capabilities
from edgerecon.engines.tensorrt.engine_file import Shapes, read_engine
from edgerecon.modelfile.catalogue import model_path, shipped_models
from edgerecon.modelfile.file import read_model
from tests.support import hand_made

trt = pytest.importorskip("tensorrt_rtx", reason="TensorRT-RTX is not installed: pip install tensorrt-rtx-cu13")

CAPABILITIES = ("7.5", "8.6", "8.9", "12.0")
SPECS = {name: read_model(model_path(name)).spec for name in shipped_models()}
SHIPPED = [name for name, spec in SPECS.items() if spec.form in ("", "signed") and spec.precision != "int16"]
RTX_MAGIC = b"vtrt"
SHAPES = Shapes((16, 16), (256, 256), (512, 512))


@dataclass(frozen=True)
class Device:
    """A profile of nothing but what a build asks for."""

    name: str
    compute_capability: str | None
    kind: str = "gpu"
    backends: tuple[str, ...] = ("tensorrt",)


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("EDGERECON_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


def _int8(path: Path) -> Path:
    """Signed Q/DQ with weights per channel and a dilated convolution; biases in float, as TensorRT wants them."""
    rng = np.random.default_rng(6)
    width = 8
    constants: dict[str, np.ndarray] = {
        "zero": np.int8(0),
        "s0": np.float32(0.01),
        "s1": np.float32(0.02),
        "w0": rng.integers(-127, 128, (width, 1, 3, 3), np.int8),
        "w1": rng.integers(-127, 128, (1, width, 3, 3), np.int8),
        "sw0": rng.uniform(1e-3, 2e-3, width).astype(np.float32),
        "sw1": np.float32([1e-3]),
        "z0": np.zeros(width, np.int8),
        "z1": np.zeros(1, np.int8),
        "b0": rng.random(width).astype(np.float32),
    }
    nodes = [
        *hand_made._round("frame", "x", "s0", "zero"),
        helper.make_node("DequantizeLinear", ["w0", "sw0", "z0"], ["w0_f"], axis=0),
        helper.make_node("DequantizeLinear", ["w1", "sw1", "z1"], ["w1_f"], axis=0),
        helper.make_node("Conv", ["x", "w0_f", "b0"], ["c0"], pads=[2] * 4, dilations=[2, 2]),
        helper.make_node("Relu", ["c0"], ["r0"]),
        *hand_made._round("r0", "y", "s1", "zero"),
        helper.make_node("Conv", ["y", "w1_f"], ["c1"], pads=[1] * 4),
        helper.make_node("Add", ["frame", "c1"], ["reconstruction"]),
    ]
    return hand_made.save(path, nodes, constants, precision="int8", form="signed")


def _model(name: str, folder: Path) -> Path:
    made = {"fp32": hand_made.fp32, "fp16": hand_made.fp16, "int8": _int8}
    return made[name](folder / f"{name}.onnx") if name in made else model_path(name)


def _layers(network: Any, kind: str) -> list[Any]:
    """Layers of a kind, in their own class, in order."""
    layers = [network.get_layer(i) for i in range(network.num_layers)]
    found = [layer for layer in layers if layer.type.name == kind]
    classes = {"CONVOLUTION": trt.IConvolutionLayer, "DEQUANTIZE": trt.IDequantizeLayer, "CONSTANT": trt.IConstantLayer}
    for layer in found:
        layer.__class__ = classes.get(kind, trt.ILayer)
    return found


def _named(nodes: Sequence[NodeProto], kind: str) -> list[NodeProto]:
    return [node for node in nodes if node.op_type == kind]


@pytest.mark.parametrize("name", [*SHIPPED, "fp32", "fp16", "int8"])
def test_the_parsed_network_is_the_file_layer_by_layer(name: str, tmp_path: Path) -> None:
    path = _model(name, tmp_path)
    builder, network = parse(trt, read_model(path))
    nodes = onnx.load(path).graph.node
    pairs = {
        "CONVOLUTION": ("Conv",),
        "ACTIVATION": ("Relu", "Clip", "LeakyRelu", "Sigmoid", "Tanh"),
        "QUANTIZE": ("QuantizeLinear",),
        "DEQUANTIZE": ("DequantizeLinear",),
    }
    for kind, operators in pairs.items():
        assert len(_layers(network, kind)) == sum(node.op_type in operators for node in nodes), kind
    assert network.get_flag(trt.NetworkDefinitionCreationFlag.STRONGLY_TYPED)
    _check_convolutions(network, path)
    _check_types(network, read_model(path).spec.precision)
    assert builder is not None


def _check_convolutions(network: Any, path: Path) -> None:
    graph = onnx.load(path).graph
    constants = {tensor.name: numpy_helper.to_array(tensor) for tensor in graph.initializer}
    source = {node.output[0]: node.input[0] for node in graph.node}
    convolutions = _layers(network, "CONVOLUTION")
    assert convolutions
    for layer, node in zip(convolutions, _named(graph.node, "Conv"), strict=True):
        name = node.input[1]
        while name not in constants:  # through DequantizeLinear, or a Cast
            name = source[name]
        weights = constants[name]
        given = {attribute.name: helper.get_attribute_value(attribute) for attribute in node.attribute}
        assert layer.num_output_maps == weights.shape[0]
        assert tuple(layer.kernel_size_nd) == weights.shape[2:]
        assert list(layer.dilation_nd) == list(given.get("dilations", [1, 1]))
        assert [*layer.pre_padding, *layer.post_padding] == list(given.get("pads", [0] * 4))
        if name == node.input[1]:  # the layer holds them itself, not a tensor
            np.testing.assert_array_equal(np.asarray(layer.kernel).reshape(weights.shape), weights)


def _check_types(network: Any, precision: str) -> None:
    """Every convolution computes in the precision of the file, but in fp16 that which reads a frame for two scales."""
    assert network.get_input(0).dtype == network.get_output(0).dtype == trt.float32
    seen: Counter[str] = Counter()
    for layer in _layers(network, "CONVOLUTION"):
        assert layer.get_output(0).dtype == layer.get_input(0).dtype
        producers = [_producer(network, layer.get_input(i)) for i in range(min(2, layer.num_inputs))]
        quantised = all(producer is not None and producer.type.name == "DEQUANTIZE" for producer in producers)
        seen["int8" if quantised else {trt.float32: "fp32", trt.float16: "fp16"}[layer.get_output(0).dtype]] += 1
    two_scales = bool(_layers(network, "DECONVOLUTION"))
    others = {kind: count for kind, count in seen.items() if kind != precision}
    assert precision in seen and (
        precision == "int8" or others == ({"fp32": 1} if two_scales and precision == "fp16" else {})
    )
    for layer in _layers(network, "QUANTIZE"):
        assert layer.get_output(0).dtype == trt.int8
    for layer in _layers(network, "DEQUANTIZE"):
        assert layer.get_input(0).dtype == trt.int8


def _producer(network: Any, tensor: Any) -> Any:
    if tensor is None:
        return None
    layers = [network.get_layer(i) for i in range(network.num_layers)]
    return next((x for x in layers for i in range(x.num_outputs) if x.get_output(i).name == tensor.name), None)


def test_weights_are_scaled_per_channel(tmp_path: Path) -> None:
    path = _int8(tmp_path / "a.onnx")
    builder, network = parse(trt, read_model(path))
    values = {layer.get_output(0).name: np.array(layer.weights) for layer in _layers(network, "CONSTANT")}
    scales = {layer.name: (layer.axis, layer.get_input(1)) for layer in _layers(network, "DEQUANTIZE")}
    axis, scale = scales["node_of_w0_f"]
    constants = {tensor.name: numpy_helper.to_array(tensor) for tensor in onnx.load(path).graph.initializer}
    assert axis == 0 and tuple(scale.shape) == (8,)
    np.testing.assert_array_equal(values[scale.name], constants["sw0"])
    assert builder is not None


def _capabilities(name: str) -> tuple[str, ...]:
    """The two networks that differ in their operators go to every GPU; for what they are made into, one is enough."""
    return CAPABILITIES if name in ("compact-despeckle", "compact-despeckle-small-int8-trt") else CAPABILITIES[-1:]


@pytest.mark.parametrize("name", SHIPPED)
def test_shipped_models_for_every_gpu(name: str, tmp_path: Path) -> None:
    engines = set()
    for capability in _capabilities(name):
        made = build(name, Device("gpu", capability), tmp_path / f"{capability}.engine", shapes=SHAPES)
        facts, engine = read_engine(made.path, made.facts)
        assert (facts.runtime, facts.version, facts.compute_capability) == (RTX, trt.__version__, capability)
        assert facts.precision == read_model(model_path(name)).spec.precision and facts.gpu == ""
        assert engine.startswith(RTX_MAGIC) and len(engine) > 50_000
        assert made.seconds > 0 and not made.cached and made.size_kb == made.path.stat().st_size / 1000
        engines.add(engine)
    assert len(engines) == len(_capabilities(name))  # none was built for a GPU other than its own


@pytest.mark.parametrize("name", ["fp16", "int8"])
@pytest.mark.parametrize("capability", CAPABILITIES)
def test_precisions_for_every_gpu(name: str, capability: str, tmp_path: Path) -> None:
    engine, learnt = build_engine(trt, read_model(_model(name, tmp_path)), SHAPES, capability)
    assert engine.startswith(RTX_MAGIC) and learnt == b""


def test_a_build_is_reused_and_given_out_again(tmp_path: Path, cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = hand_made.fp16(tmp_path / "net.onnx")
    first = build(path, "rtx-4070")
    assert first.path.parent == cache and first.facts.compute_capability == "8.9"
    assert first.facts.shapes == Shapes()
    assert json.loads(json.dumps(first.to_json()))["facts"]["shapes"]["opt"] == [512, 512]

    def never(*arguments: object) -> None:
        raise AssertionError("it is in the cache")

    monkeypatch.setattr(building, "build_engine", never)
    again = build(path, "rtx-4070", tmp_path / "out" / "net.rtx-4070.engine")
    assert again.cached and again.seconds == 0 and again.sha256 == first.sha256
    assert again.path.read_bytes() == first.path.read_bytes()
    with pytest.raises(AssertionError, match="it is in the cache"):  # the same model for another GPU is not
        build(path, "rtx-5090")


def test_shapes_are_padded_to_what_the_graph_takes(tmp_path: Path) -> None:
    made = build(hand_made.fp32(tmp_path / "net.onnx"), "rtx-3060-laptop", shapes=Shapes((1, 3), (63, 64), (65, 65)))
    assert made.facts.shapes == Shapes((2, 4), (64, 64), (66, 66))


@pytest.mark.parametrize("fault", [KeyboardInterrupt(), EngineError("the builder failed")])
def test_an_interrupted_build_leaves_nothing(
    tmp_path: Path, cache: Path, monkeypatch: pytest.MonkeyPatch, fault: BaseException
) -> None:
    def fail(*arguments: object) -> None:
        raise fault

    monkeypatch.setattr(building, "build_engine", fail)
    with pytest.raises(type(fault)):
        build(hand_made.fp16(tmp_path / "net.onnx"), "rtx-4070", tmp_path / "net.engine")
    assert list(cache.glob("*")) == [] and not (tmp_path / "net.engine").exists()


def test_no_disk_space(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(descriptor: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    path = hand_made.fp16(tmp_path / "net.onnx")
    monkeypatch.setattr(os, "fsync", full)
    for out in (None, tmp_path / "net.engine"):
        with pytest.raises(EngineError, match="^no space left for ") as caught:
            build(path, "rtx-4070", out)
        assert "\n" not in str(caught.value)
    assert not list(tmp_path.rglob("*.engine")) and not list(tmp_path.rglob("*.tmp"))


def test_a_builder_that_fails_says_why(tmp_path: Path) -> None:
    """A profile that TensorRT refuses: the graph cannot take an odd size."""
    file = read_model(hand_made.fp32(tmp_path / "net.onnx"))
    with pytest.raises(EngineError, match=r"^tensorrt_rtx cannot build net\.onnx: \S+") as caught:
        build_engine(trt, file, Shapes((1, 1), (3, 3), (5, 5)), "8.6")
    assert "\n" not in str(caught.value) and "no reason given" not in str(caught.value)


def test_operators_that_tensorrt_does_not_have_are_all_named(tmp_path: Path) -> None:
    nodes = [
        helper.make_node("Blur", ["frame"], ["a"], domain="com.acme"),
        helper.make_node("Relu", ["a"], ["b"]),
        helper.make_node("Det", ["b"], ["reconstruction"]),
    ]
    path = hand_made.save(tmp_path / "net.onnx", nodes)
    with pytest.raises(ModelError, match=r"^tensorrt_rtx has no operator Blur, Det, as .*net\.onnx uses it") as caught:
        build(path, "rtx-4070")
    assert "\n" not in str(caught.value) and "Relu" not in str(caught.value)


def test_a_broken_graph_says_where(tmp_path: Path) -> None:
    node = helper.make_node("Conv", ["frame", "w"], ["reconstruction"])
    path = hand_made.save(tmp_path / "net.onnx", [node], {"w": np.ones((1, 3, 3, 3), np.float32)})
    with pytest.raises(ModelError, match=r"net\.onnx is corrupt: tensorrt_rtx refuses it \(Conv: .*\)$") as caught:
        build(path, "rtx-4070")
    assert "\n" not in str(caught.value)


def test_other_inputs_and_outputs(tmp_path: Path) -> None:
    path = tmp_path / "net.onnx"
    path.write_bytes(hand_made.fp16(path).read_bytes().replace(b"frame", b"image"))
    with pytest.raises(ModelError, match="inputs and outputs other than 'frame'"):
        build(path, "rtx-4070")


def test_unsigned_activations(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"net\.onnx has unsigned activations: .* -int8-trt"):
        build(hand_made.int8(tmp_path / "net.onnx", "unsigned"), "rtx-4070")


def test_what_each_compute_capability_is_called() -> None:
    known = rtx_capabilities(trt)
    assert {*CAPABILITIES, "8.0", "12.1"} <= set(known)
    assert known["12.0"] == trt.ComputeCapability.SM120 and known["8.6"] == trt.ComputeCapability.SM86


@pytest.mark.parametrize(
    ("device", "reason"),
    [
        ("jetson-orin-nano", r"builds for .*8\.6.*, not 8\.7; build on the device itself, with its own TensorRT"),
        ("jetson-agx-thor", "not 11.0; build on the device itself"),
        ("h200", "not 9.0; build on the device itself"),
        ("x86-avx2", "x86-avx2 needs no build: openvino or onnxruntime compiles a model"),
        ("raspberry-pi-5", "needs no build"),
        ("kria-kv260", "kria-kv260 is no NVIDIA GPU"),
        ("gtx-9999", "no device 'gtx-9999'"),
    ],
)
def test_devices_without_a_build(device: str, reason: str, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=reason) as caught:
        build(hand_made.fp16(tmp_path / "net.onnx"), device)
    assert "\n" not in str(caught.value)


def test_the_host_without_a_gpu(tmp_path: Path) -> None:
    from edgerecon.cuda.memory import open_gpu

    try:
        open_gpu()
    except EdgereconError:
        with pytest.raises((EngineError, DependencyError), match=r"its CPU needs no build|edgerecon\[nvidia\]"):
            build(hand_made.fp16(tmp_path / "net.onnx"))
    else:
        pytest.skip("there is a GPU here")


def test_without_tensorrt(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert RTX in installed()
    monkeypatch.setattr(building, "installed", lambda: ())
    with pytest.raises(DependencyError, match=r"tensorrt-rtx-cu13 is not installed: .*edgerecon\[nvidia\]"):
        build(hand_made.fp16(tmp_path / "net.onnx"), "rtx-4070")
