"""Adopted files hold no Identity, give what they gave, and run on our own kernels."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper

from edgerecon.deploy.adopt import wrap as wrapping
from edgerecon.deploy.adopt.adopt import adopt
from edgerecon.deploy.adopt.identities import drop_identities
from edgerecon.deploy.adopt.inspect import Asked
from edgerecon.deploy.adopt.ranges import UNIT
from edgerecon.engines import open_engine
from tests.support.foreign_networks import KERNEL, Foreign, Graph, build, limited, recurrent

SIZES = ((1, 7), (33, 64), (127, 90))
VALUE = helper.make_tensor_value_info


def chain(residual: bool) -> onnx.ModelProto:
    """Convolutions of 3×3 with ReLUs, some of them around one another, as DnCNN and compact networks are."""
    graph, network = Graph(18), Foreign("n")
    first = limited(graph, "x", network)
    hidden = graph.node("Relu", graph.conv(first, np.stack([KERNEL, KERNEL])[:, None]))
    again = graph.conv(hidden, np.stack([[KERNEL, -KERNEL], [-KERNEL, KERNEL]]) * 0.1, np.array([0.01, -0.01]))
    around = graph.node("Add", hidden, again)
    if residual:
        y = graph.node("Add", "x", graph.conv(around, np.stack([KERNEL, -KERNEL])[None] / 4, np.array([0.02])))
    else:
        y = graph.conv(around, np.stack([KERNEL, KERNEL])[None] / 2)
    graph.nodes.append(helper.make_node("Identity", [y], ["y"]))
    ports = [VALUE(name, TensorProto.FLOAT, ["n", 1, "h", "w"]) for name in "xy"]
    made = helper.make_graph(graph.nodes, "chain", ports[:1], ports[1:], graph.constants)
    return helper.make_model(made, opset_imports=[helper.make_opsetid("", 18)], ir_version=8)


def adopted(folder: Path, model: onnx.ModelProto, name: str = "mine") -> Path:
    (folder / "foreign.onnx").write_bytes(model.SerializeToString())
    return adopt(folder / "foreign.onnx", folder / f"{name}.onnx", Asked(given=UNIT)).path


def kinds(path: Path) -> list[str]:
    return [node.op_type for node in onnx.load(path).graph.node]


def test_adopted_chain_runs_on_native(native: None, tmp_path: Path, rng: np.random.Generator) -> None:
    path = adopted(tmp_path, chain(residual=True))
    assert "Identity" not in kinds(path)
    reference, engine = (open_engine(path, backend, threads=1) for backend in ("onnxruntime", "native"))
    for size in SIZES:
        frame = rng.random(size, dtype=np.float32)
        assert np.abs(reference.run(frame) - engine.run(frame)).max() <= 1e-5


NETWORKS = {
    "dncnn": build(Foreign("n")),
    "noise": build(Foreign("n", way="noise")),
    "nhwc": build(Foreign("n", axes="NHWC", channels=3)),
    "half": build(Foreign("n", dtype="float16")),
    "chain": chain(residual=False),
    "recurrent": recurrent(),
}


@pytest.mark.parametrize("name", NETWORKS)
def test_output_bytes_stay_as_they_were(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, rng: np.random.Generator
) -> None:
    path = adopted(tmp_path, NETWORKS[name])
    monkeypatch.setattr(wrapping, "drop_identities", lambda model: None)
    before = adopted(tmp_path, NETWORKS[name], "before")
    assert "Identity" not in kinds(path) and "Identity" in kinds(before)
    one, other = (open_engine(file, "onnxruntime", threads=1) for file in (path, before))
    for _ in range(3):  # a recurrent network sees a sequence
        frame = rng.random((48, 64), dtype=np.float32)
        assert one.run(frame).tobytes() == other.run(frame).tobytes()


def test_identities_that_names_need_stay() -> None:
    """Of one value that is two outputs, of an input that is an output, and of a value that a branch gives."""
    nodes = [
        helper.make_node("Relu", ["a"], ["r"]),
        helper.make_node("Identity", ["r"], ["s"]),
        helper.make_node("Identity", ["s"], ["y"]),
        helper.make_node("Identity", ["s"], ["z"]),
        helper.make_node("Identity", ["a"], ["w"]),
        helper.make_node("Abs", ["a"], ["p"]),
        helper.make_node("Identity", ["p"], ["q"]),
        helper.make_node("Identity", ["c"], ["d"]),
        helper.make_node("If", ["d"], ["v"], then_branch=branch("Neg"), else_branch=branch("Exp")),
    ]
    outputs = [VALUE(name, TensorProto.FLOAT, ["n"]) for name in "yzwv"]
    inputs = [VALUE("a", TensorProto.FLOAT, ["n"]), VALUE("c", TensorProto.BOOL, [])]
    model = helper.make_model(helper.make_graph(nodes, "g", inputs, outputs))
    drop_identities(model)
    onnx.checker.check_model(model, full_check=True)
    found = [(node.op_type, *node.input, *node.output) for node in model.graph.node]
    assert found == [
        ("Relu", "a", "y"),
        ("Identity", "y", "z"),
        ("Identity", "a", "w"),
        ("Abs", "a", "p"),
        ("Identity", "p", "q"),
        ("If", "c", "v"),
    ]


def branch(kind: str) -> onnx.GraphProto:
    output = [VALUE("b", TensorProto.FLOAT, ["n"])]
    return helper.make_graph([helper.make_node(kind, ["q"], ["b"], name=kind)], kind, [], output)
