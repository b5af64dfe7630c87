"""Kinds of files as they are met in the wild: old, quantised, of other types, and of more than one frame."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest
from numpy.typing import NDArray
from onnx import TensorProto, helper

from edgerecon.core.errors import ModelError, UsageError
from edgerecon.deploy.adopt.adopt import Adoption, adopt
from edgerecon.deploy.adopt.inspect import Asked, inspect
from edgerecon.deploy.adopt.ranges import UNIT
from edgerecon.engines import open_engine
from tests.support.foreign_networks import KERNEL, Foreign, Graph, eye, limited

UNIT_NETWORK = Foreign("unit")
Shape = tuple[int | str, ...]
GREY: Shape = ("n", 1, "h", "w")


def model(
    graph: Graph,
    y: str,
    shape: Shape = GREY,
    kind: int = TensorProto.FLOAT,
    further: dict[str, Shape] | None = None,
    ir: int = 9,
    domain: str = "",
) -> onnx.ModelProto:
    """The graph's ``y`` as output of a model that reads ``x`` and ``further``."""
    graph.nodes.append(helper.make_node("Identity", [y], ["y"]))
    inputs = [helper.make_tensor_value_info("x", kind, shape)]
    inputs += [helper.make_tensor_value_info(name, TensorProto.FLOAT, of) for name, of in (further or {}).items()]
    made = helper.make_graph(
        graph.nodes, "foreign", inputs, [helper.make_tensor_value_info("y", kind, None)], graph.constants
    )
    domains = [helper.make_opsetid("", graph.opset), *([helper.make_opsetid(domain, 1)] if domain else [])]
    return helper.make_model(made, opset_imports=domains, ir_version=ir)


def old(opset: int) -> onnx.ModelProto:
    """IR version 3, where every weight is an input too."""
    graph = Graph(opset)
    made = model(graph, limited(graph, "x", UNIT_NETWORK), ir=3)
    ports = (helper.make_tensor_value_info(one.name, one.data_type, list(one.dims)) for one in graph.constants)
    made.graph.input.extend(ports)
    return made


def whole_numbers(kind: int, zero: int, most: int, dtype: Any) -> onnx.ModelProto:
    """Pixels as TFLite's converters and scanners give them."""
    graph = Graph(18)
    levels = graph.node(
        "Div", graph.node("Sub", graph.node("Cast", "x", to=1), graph.constant(zero)), graph.constant(most)
    )
    values = graph.node("Mul", limited(graph, levels, UNIT_NETWORK), graph.constant(most))
    rounded = graph.node("Round", graph.node("Add", values, graph.constant(zero)))
    return model(graph, graph.node("Cast", rounded, to=kind), kind=kind)


def bfloat16() -> onnx.ModelProto:
    """ONNX Runtime has no convolution of bfloat16 on a CPU."""
    graph = Graph(18)
    y = limited(graph, graph.node("Cast", "x", to=TensorProto.BFLOAT16), UNIT_NETWORK)
    for one in graph.constants:
        values = onnx.numpy_helper.to_array(one).ravel()
        one.CopyFrom(helper.make_tensor(one.name, TensorProto.BFLOAT16, one.dims, values))
    return model(graph, graph.node("Cast", y, to=TensorProto.FLOAT))


def fused() -> onnx.ModelProto:
    """A graph that ONNX Runtime has optimised, with an operator of its own."""
    graph, each = Graph(18), eye(1, KERNEL)
    weights, bias = graph.constant(np.concatenate([each, each])), graph.constant([0.0, -1.0])
    facts = {"domain": "com.microsoft", "activation": "Relu", "kernel_shape": [3, 3], "pads": [1] * 4}
    hidden = graph.node("FusedConv", "x", weights, bias, **facts)
    return model(graph, graph.conv(hidden, np.array([[[[1.0]], [[-1.0]]]])), domain="com.microsoft")


def loop() -> onnx.ModelProto:
    """Smooths three times."""
    graph, body = Graph(18), Graph(18)
    body.constants.append(onnx.numpy_helper.from_array(np.float32(KERNEL[None, None]), "kernel"))
    body.nodes.append(helper.make_node("Conv", ["seen", "kernel"], ["smooth"], kernel_shape=[3, 3], pads=[1] * 4))
    body.nodes.append(helper.make_node("Identity", ["go"], ["on"]))
    ports = {"at": (TensorProto.INT64, []), "go": (TensorProto.BOOL, []), "seen": (TensorProto.FLOAT, None)}
    ports |= {"on": (TensorProto.BOOL, []), "smooth": (TensorProto.FLOAT, None)}
    values = [helper.make_tensor_value_info(name, *of) for name, of in ports.items()]
    inner = helper.make_graph(body.nodes, "body", values[:3], values[3:], body.constants)
    inputs = [graph.constant(3, np.int64), graph.constant(True, np.bool_), limited(graph, "x", UNIT_NETWORK)]
    graph.nodes.append(helper.make_node("Loop", inputs, ["looped"], body=inner))
    return model(graph, "looped")


def adopted(made: onnx.ModelProto, folder: Path, asked: Asked | None = None) -> Adoption:
    (folder / "foreign.onnx").write_bytes(made.SerializeToString())
    return adopt(folder / "foreign.onnx", folder / "mine.onnx", asked)


def run(path: Path, frame: NDArray[np.float32]) -> NDArray[np.float32]:
    engine = open_engine(path, "onnxruntime", threads=1)
    found = np.array(engine.run(frame))
    engine.close()
    return found


@pytest.fixture(scope="module")
def frame() -> NDArray[np.float32]:
    return np.random.default_rng(0).random((40, 48), np.float32)


@pytest.fixture(scope="module")
def expected(frame: NDArray[np.float32]) -> NDArray[np.float32]:
    """What the plain network of all these files gives."""
    graph = Graph(18)
    made = model(graph, limited(graph, "x", UNIT_NETWORK)).SerializeToString()
    session = onnxruntime.InferenceSession(made, providers=["CPUExecutionProvider"])
    return np.clip(session.run(None, {"x": frame[None, None]})[0][0, 0], 0, 1)


@pytest.mark.parametrize(
    ("made", "tolerance", "note"),
    [
        pytest.param(lambda: old(11), 1e-5, "IR version 3 lists weights as inputs", id="ir-3"),
        pytest.param(lambda: old(9), 1e-5, "converted to opset 11", id="opset-9"),
        pytest.param(bfloat16, 1e-2, "taken as float32", id="bfloat16"),
        pytest.param(fused, 1e-5, "", id="fused"),
        pytest.param(lambda: whole_numbers(TensorProto.INT8, -128, 255, np.int8), 3e-3, "", id="int8"),
        pytest.param(lambda: whole_numbers(TensorProto.UINT16, 0, 65535, np.uint16), 1e-4, "", id="uint16"),
    ],
)
def test_file_gives_its_own_pictures(
    made: Callable[[], onnx.ModelProto],
    tolerance: float,
    note: str,
    tmp_path: Path,
    frame: NDArray[np.float32],
    expected: NDArray[np.float32],
) -> None:
    adoption = adopted(made(), tmp_path)
    assert any(note in one.found for one in adoption.findings)
    assert np.abs(run(adoption.path, frame) - expected).max() < tolerance


def test_loop_is_run_as_it_is(tmp_path: Path, frame: NDArray[np.float32], expected: NDArray[np.float32]) -> None:
    for _ in range(3):
        padded = np.pad(expected, 1)
        shifted = [KERNEL[i, j] * padded[i : i + 40, j : j + 48] for i in range(3) for j in range(3)]
        expected = np.sum(shifted, axis=0)
    assert np.abs(run(adopted(loop(), tmp_path).path, frame) - expected).max() < 1e-5


def test_map_of_noise_of_half_the_size(tmp_path: Path, frame: NDArray[np.float32]) -> None:
    """FFDNet's, which stands beside the unshuffled picture."""
    graph = Graph(18)
    four = graph.node("SpaceToDepth", graph.node("Sub", "x", graph.constant(0.0)), blocksize=2)
    less = graph.node("Sub", four, graph.node("Mul", "sigma", graph.constant(0.5)))
    up = graph.node("DepthToSpace", less, blocksize=2)
    made = model(graph, limited(graph, up, UNIT_NETWORK), further={"sigma": ("n", 1, "hh", "wh")})
    adoption = adopted(made, tmp_path, Asked(given=UNIT, noise_level=51))
    assert adoption.spec.size_multiple == 2
    session = onnxruntime.InferenceSession(made.SerializeToString(), providers=["CPUExecutionProvider"])
    feeds = {"x": frame[None, None], "sigma": np.full((1, 1, 20, 24), 0.2, np.float32)}
    assert np.abs(run(adoption.path, frame) - np.clip(session.run(None, feeds)[0][0, 0], 0, 1)).max() < 1e-5


def test_second_picture_is_told_from_a_noise_level(tmp_path: Path) -> None:
    graph = Graph(18)
    mean = graph.node("Mul", graph.node("Add", "x", "before"), graph.constant(0.5))
    made = model(graph, limited(graph, mean, UNIT_NETWORK), further={"before": GREY})
    with pytest.raises(UsageError, match="is a picture beside 'x'.*a network of two pictures is not taken"):
        adopted(made, tmp_path)


def test_batch_that_is_a_sequence_is_refused(tmp_path: Path) -> None:
    graph = Graph(18)
    mean = graph.node("ReduceMean", "x", graph.constant([0], np.int64))
    made = model(graph, limited(graph, mean, UNIT_NETWORK), shape=(4, 1, "h", "w"))
    with pytest.raises(ModelError, match="the 4 pictures of a batch of 'x' change each other"):
        adopted(made, tmp_path)


def range_of(path: Path) -> Any:
    return next(one for one in inspect(path, Asked()).findings if one.what == "range")


def test_three_frames_of_a_sequence_are_doubted(tmp_path: Path) -> None:
    graph = Graph(18)
    mixed = graph.conv("x", np.array([0.25, 0.5, 0.25])[None, :, None, None])
    onnx.save(model(graph, limited(graph, mixed, UNIT_NETWORK), shape=("n", 3, "h", "w")), tmp_path / "f.onnx")
    found = range_of(tmp_path / "f.onnx")
    assert "in doubt" in found.sure and "frames of a sequence" in found.why


def test_colour_of_a_grey_frame_is_asked_about(tmp_path: Path) -> None:
    """Y is smoothed, and Cb and Cr are drawn towards one half."""
    graph, weights = Graph(18), np.zeros((3, 3, 3, 3))
    weights[0, 0], weights[1, 1, 1, 1], weights[2, 2, 1, 1] = KERNEL, 0.9, 0.9
    y = limited(graph, graph.conv("x", weights, np.array([0, 0.05, 0.05])), Foreign("u", channels=3))
    (tmp_path / "f.onnx").write_bytes(model(graph, y, shape=("n", 3, "h", "w")).SerializeToString())
    with pytest.raises(UsageError, match="a grey frame comes out coloured, by 1. grey levels"):
        inspect(tmp_path / "f.onnx", Asked(given=UNIT))


@pytest.mark.parametrize(("axes", "words"), [([3], "mirrored left to right"), ([2, 3], "turned by half a circle")])
def test_mirrored_output_is_said(axes: list[int], words: str, tmp_path: Path) -> None:
    graph = Graph(18)
    ends = [graph.constant([value] * len(axes), np.int64) for value in (-1, -(2**31))]
    backwards = [graph.constant(axes, np.int64), graph.constant([-1] * len(axes), np.int64)]
    turned = graph.node("Slice", limited(graph, "x", UNIT_NETWORK), *ends, *backwards)
    (tmp_path / "f.onnx").write_bytes(model(graph, turned).SerializeToString())
    with pytest.raises(UsageError, match=words):
        inspect(tmp_path / "f.onnx", Asked())
    said = inspect(tmp_path / "f.onnx", Asked(given=UNIT))
    assert "in doubt" in next(one for one in said.findings if one.what == "range").sure


def test_network_whose_constants_are_drowned_is_asked_about(tmp_path: Path) -> None:
    """Trained on [0, 1], where it gives too bright a picture; biases are nothing beside [0, 255]."""
    graph = Graph(18)
    y = graph.node("Relu", graph.conv("x", KERNEL[None, None] * 1.02, np.array([0.3])))
    (tmp_path / "f.onnx").write_bytes(model(graph, y).SerializeToString())
    with pytest.raises(UsageError, match="say it with --range"):
        inspect(tmp_path / "f.onnx", Asked())


def test_drowned_answer_contradicts_no_stated_range(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """Made for [0, 1], which it brightens by 20 grey levels; in [0, 255] the bias has no effect."""
    graph = Graph(18)
    y = graph.node("Relu", graph.conv("x", KERNEL[None, None], np.array([0.08])))
    (tmp_path / "f.onnx").write_bytes(model(graph, y).SerializeToString())
    found = next(one for one in inspect(tmp_path / "f.onnx", Asked(given=UNIT)).findings if one.what == "range")
    assert (found.found, found.sure, found.why) == ("[0, 1]", "as you said", "the trial cannot tell")
    assert "contradicts" not in caplog.text


def test_drowned_answer_is_listed_last(tmp_path: Path) -> None:
    """Of the two ranges that continue the frames, [0, 255] does so the better, as the bias has no effect there."""
    graph = Graph(18)
    y = graph.node("Relu", graph.conv("x", KERNEL[None, None], np.array([0.008])))
    (tmp_path / "f.onnx").write_bytes(model(graph, y).SerializeToString())
    with pytest.raises(UsageError) as caught:
        inspect(tmp_path / "f.onnx", Asked())
    listed = str(caught.value).split("Possible: ")[1].split("; ")
    assert listed[0].startswith("[0, 1] ") and listed[-1].startswith("[0, 255] ")


def test_picture_that_changes_with_its_size_is_said(tmp_path: Path) -> None:
    """The mean of a picture is of all of it; so is a mask that an exporter made for one size."""
    graph = Graph(18)
    mean = graph.node("GlobalAveragePool", "x")
    shares = [graph.node("Mul", one, graph.constant(share)) for one, share in (("x", 0.7), (mean, 0.3))]
    (tmp_path / "f.onnx").write_bytes(model(graph, graph.node("Add", *shares)).SerializeToString())
    sizes = next(one for one in inspect(tmp_path / "f.onnx", Asked(given=UNIT)).findings if one.what == "frame size")
    assert sizes.sure == "likely" and "in a larger picture" in sizes.why


def test_bent_brightness_is_no_noise(tmp_path: Path) -> None:
    """Taken for noise of [−1, 1] it would change bright blocks alone, and as a whole."""
    graph = Graph(18)
    bent = graph.node("Pow", graph.node("Abs", limited(graph, "x", UNIT_NETWORK)), graph.constant(2.2))
    (tmp_path / "f.onnx").write_bytes(model(graph, bent).SerializeToString())
    with pytest.raises(UsageError, match="say it with --range"):
        inspect(tmp_path / "f.onnx", Asked())
