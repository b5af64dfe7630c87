"""Kinds of networks that others bring: what stands around the layers must not mislead the range."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
from onnx import TensorProto, helper

from edgerecon.core.errors import UsageError
from edgerecon.deploy.adopt import adopt as adopt_module
from edgerecon.deploy.adopt.adopt import adopt
from edgerecon.deploy.adopt.inspect import Asked
from edgerecon.engines import open_engine
from tests.support.foreign_networks import LUMA, Foreign, Graph, limited

Kind = Callable[[], onnx.ModelProto]


def model(graph: Graph, y: str, channels: int = 1) -> onnx.ModelProto:
    ports = [
        helper.make_tensor_value_info(name, TensorProto.FLOAT, ["n", channels, f"{name}h", f"{name}w"])
        for name in ("x", "y")
    ]
    graph.node("Identity", y)
    graph.nodes[-1].output[0] = "y"
    made = helper.make_graph(graph.nodes, "foreign", [ports[0]], [ports[1]], graph.constants)
    return helper.make_model(made, opset_imports=[helper.make_opsetid("", 18)], ir_version=9)


def mean_shift() -> onnx.ModelProto:
    """EDSR's first and last layer: the mean of its training images, taken away and added again."""
    graph, one, mean = Graph(18), np.eye(3)[:, :, None, None], np.array([114.4, 111.5, 103.0])
    shifted = graph.conv(graph.conv("x", one, -mean), one, mean)
    return model(graph, limited(graph, shifted, Foreign("edsr", given="0..255", channels=3)), 3)


def division_inside() -> onnx.ModelProto:
    graph = Graph(18)
    return model(graph, limited(graph, graph.node("Div", "x", graph.constant([255.0])), Foreign("unit")))


def dropout() -> onnx.ModelProto:
    graph = Graph(18)
    return model(graph, graph.node("Dropout", limited(graph, "x", Foreign("unit"))))


def resize() -> onnx.ModelProto:
    graph = Graph(18)
    inner = limited(graph, "x", Foreign("unit"))
    return model(graph, graph.node("Resize", inner, "", graph.constant([1, 1, 4, 4]), mode="linear"))


def branch() -> onnx.ModelProto:
    """All weights are initializers of the two branches of an If."""
    graph, inner = Graph(18), Graph(18)
    result = helper.make_tensor_value_info(limited(inner, "x", Foreign("unit")), TensorProto.FLOAT, None)
    body = helper.make_graph(inner.nodes, "branch", [], [result], inner.constants)
    graph.nodes.append(
        helper.make_node("If", [graph.constant(True, np.bool_)], ["t"], then_branch=body, else_branch=body)
    )
    return model(graph, "t")


def branch_on_weights_outside() -> onnx.ModelProto:
    """All weights are initializers of the main graph, which the branches read."""
    found = branch()
    node = next(one for one in found.graph.node if one.op_type == "If")
    node.input[0] = found.graph.initializer[0].name = "condition"
    found.graph.initializer.extend(node.attribute[0].g.initializer)
    for attribute in node.attribute:
        del attribute.g.initializer[:]
    return found


@pytest.mark.parametrize(
    ("kind", "gains", "scale"),
    [(mean_shift, (255, 255), 1), (division_inside, (255, 1), 1), (dropout, (1, 1), 1), (resize, (1, 1), 4)]
    + [(branch, (1, 1), 1), (branch_on_weights_outside, (1, 1), 1)],
)
def test_network_gives_its_own_pictures(kind: Kind, gains: tuple[float, float], scale: int, tmp_path: Path) -> None:
    """gains: of what goes in and of what comes out."""
    path, mine = tmp_path / "foreign.onnx", tmp_path / "mine.onnx"
    onnx.save(kind(), path)
    adopt(path, mine, Asked())
    frame = np.random.default_rng(0).random((40, 48), np.float32)
    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    channels = session.get_inputs()[0].shape[1]
    [output] = session.run(None, {"x": np.repeat(frame[None, None] * np.float32(gains[0]), channels, 1)})
    weights = LUMA if channels == 3 else np.float32([1])
    expected = np.tensordot(weights, output[0], 1) / gains[1]
    engine = open_engine(mine, "onnxruntime", threads=1)
    found = engine.run(frame)
    engine.close()
    assert found.shape == (40 * scale, 48 * scale) and np.abs(found - np.clip(expected, 0, 1)).max() < 1e-4


@pytest.mark.parametrize(("end", "gain", "given"), [("Tanh", 1.2, "-1..1"), ("Sigmoid", 4.5, "0..1")])
def test_bounded_output_is_no_noise(end: str, gain: float, given: str, tmp_path: Path) -> None:
    """Fed with [0, 255] such an end saturates; what it takes off the frame is next to nothing, and proves no range."""
    graph = Graph(18)
    inner = limited(graph, "x", Foreign("bounded", given=given))
    centred = graph.node("Sub", inner, graph.constant([0.5 if end == "Sigmoid" else 0.0]))
    path = tmp_path / "foreign.onnx"
    onnx.save(model(graph, graph.node(end, graph.node("Mul", centred, graph.constant([gain])))), path)
    with pytest.raises(UsageError, match=f"as it ends in a {end.lower()}, in no range .* --range") as caught:
        adopt(path, tmp_path / "mine.onnx", Asked())
    assert "frame −" not in str(caught.value), "no form that the end cannot give is listed"


def test_arithmetic_in_a_branch_is_not_known(tmp_path: Path) -> None:
    """Its shapes are not seen from outside: no figure is better than 0."""
    onnx.save(branch(), tmp_path / "foreign.onnx")
    adoption = adopt(tmp_path / "foreign.onnx", tmp_path / "mine.onnx", Asked())
    assert [one.found for one in adoption.findings if one.what == "arithmetic"] == ["not known"]
    assert "edgerecon.macs_per_pixel" not in {one.key for one in onnx.load(adoption.path).metadata_props}


def test_reason_of_a_runtime_names_the_file_that_is_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    onnx.save(division_inside(), tmp_path / "foreign.onnx")
    reason = "openvino has no operator Gizmo, which {} needs: use another backend"
    monkeypatch.setattr(adopt_module, "runtimes", lambda path, frame: {"openvino": reason.format(path)})
    adoption = adopt(tmp_path / "foreign.onnx", tmp_path / "mine.onnx", Asked())
    assert adoption.runs_on == {"openvino": reason.format(tmp_path / "mine.onnx")}
