from __future__ import annotations

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper

from edgerecon.core.errors import ModelError
from edgerecon.modelfile.catalogue import model_path
from edgerecon.workshop.compress.half import to_half
from tests.support.compress_graphs import constant, conv, frames, graph_of, run, tiny_model


def _types(model: onnx.ModelProto) -> dict[str, int]:
    inferred = onnx.shape_inference.infer_shapes(model, strict_mode=True).graph
    return {v.name: v.type.tensor_type.elem_type for v in (*inferred.input, *inferred.value_info, *inferred.output)}


def test_what_the_file_holds() -> None:
    model = tiny_model()
    made = to_half(model)
    facts = {entry.key: entry.value for entry in made.metadata_props}
    before = {entry.key: entry.value for entry in model.metadata_props}
    assert facts == before | {"edgerecon.precision": "fp16"}
    assert (made.ir_version, made.opset_import) == (model.ir_version, model.opset_import)
    assert all(tensor.data_type == TensorProto.FLOAT16 for tensor in made.graph.initializer)
    assert len(made.graph.initializer) == len(model.graph.initializer)
    assert len(made.SerializeToString()) < 0.75 * len(model.SerializeToString())
    types = _types(made)
    assert types["frame"] == types["reconstruction"] == TensorProto.FLOAT
    (add,) = (node for node in made.graph.node if node.op_type == "Add")
    assert "frame" in add.input and all(types[name] == TensorProto.FLOAT for name in add.input)
    for node in made.graph.node:
        if node.op_type in ("Conv", "Relu"):
            assert types[node.output[0]] == TensorProto.FLOAT16
    assert sum(node.op_type == "Cast" for node in made.graph.node) == 2


def test_it_computes_the_same_to_eleven_bits() -> None:
    model = tiny_model()
    pictures = frames(4)
    exact, rounded = np.stack(run(model, pictures)), np.stack(run(to_half(model), pictures))
    residual = np.abs(exact - np.stack(pictures)).max()
    assert 0 < np.abs(exact - rounded).max() < 4e-3 * residual
    outputs = run(to_half(model), [np.full((16, 16), 0.5 + k / 2**20, np.float32) for k in range(2)])
    assert outputs[0][8, 8] != outputs[1][8, 8]  # finer than 16 bits: the skip is exact


def test_a_graph_without_skip_and_with_odd_operators() -> None:
    """Outputs made in 16 bits are cast back; constants of other types and the scales of a Resize stay as they are."""
    rng = np.random.default_rng(0)
    nodes = [
        conv("a", "frame", "x"),
        helper.make_node("Resize", ["x", "", "scales"], ["big"], "resize", mode="nearest"),
        helper.make_node("Constant", [], ["half_gain"], "constant", value_float=0.5),
        helper.make_node("Mul", ["big", "half_gain"], ["scaled"], "mul"),
        helper.make_node("MaxPool", ["scaled"], ["reconstruction"], "pool", kernel_shape=[2, 2], strides=[2, 2]),
    ]
    model = graph_of(
        nodes,
        {
            "a_w": rng.standard_normal((1, 1, 3, 3)).astype(np.float32),
            "a_b": np.ones(1, np.float32),
            "scales": np.array([1, 1, 2, 2], np.float32),
        },
    )
    made = to_half(model)
    assert constant(made, "scales").dtype == np.float32 and constant(made, "a_w_half").dtype == np.float16
    types = _types(made)
    assert types["scaled_half"] == TensorProto.FLOAT16 and types["reconstruction"] == TensorProto.FLOAT
    pictures = frames(2)
    np.testing.assert_allclose(run(made, pictures), run(model, pictures), atol=4e-3)


def test_two_scales_read_the_frame_in_float32() -> None:
    made = to_half(model_path("compact-despeckle").read_bytes())
    types = _types(made)
    first, *others = (node for node in made.graph.node if node.op_type in ("Conv", "ConvTranspose"))
    assert {types[node.output[0]] for node in others} == {TensorProto.FLOAT16}
    (relu,) = (node for node in made.graph.node if node.input[0] == first.output[0])
    assert relu.op_type == "Relu"  # beside its convolution, with which runtimes fuse it
    assert types[first.output[0]] == types[relu.output[0]] == TensorProto.FLOAT
    assert constant(made, first.input[1]).dtype == np.float32


def test_tensorrt_takes_it_strongly_typed() -> None:
    trt = pytest.importorskip("tensorrt_rtx")
    half, single = trt.DataType.HALF, trt.DataType.FLOAT
    two_scale = onnx.load(str(model_path("compact-despeckle")))
    for model, expected in ((tiny_model(), [half] * 4), (two_scale, [single] + [half] * 6)):
        builder = trt.Builder(trt.Logger(trt.Logger.ERROR))
        network = builder.create_network(1 << int(trt.NetworkDefinitionCreationFlag.STRONGLY_TYPED))
        parser = trt.OnnxParser(network, builder.logger)
        assert parser.parse(to_half(model).SerializeToString())
        layers = [network.get_layer(index) for index in range(network.num_layers)]
        convolutions = [layer for layer in layers if layer.type == trt.LayerType.CONVOLUTION]
        assert [layer.get_output(0).dtype for layer in convolutions] == expected
        assert network.get_input(0).dtype == network.get_output(0).dtype == single


def test_bad_input() -> None:
    made = to_half(tiny_model())
    with pytest.raises(ModelError, match="fp16 already"):
        to_half(made)
    with pytest.raises(ModelError, match="not an ONNX file|no operator"):
        to_half(b"no model")
    great = np.full((1, 1, 3, 3), 1e6, np.float32)
    model = graph_of([conv("a", "frame", "reconstruction", bias=False)], {"a_w": great})
    with pytest.raises(ModelError, match="'a_w' holds values beyond 65504"):
        to_half(model)
