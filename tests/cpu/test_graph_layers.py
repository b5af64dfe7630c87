"""Foreign networks as the layers of the CPU kernels: ranges and residuals become part of the convolutions."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from numpy.typing import ArrayLike
from onnx import helper, numpy_helper

from edgerecon.core.errors import ModelError
from edgerecon.cpu.graph_layers import read_layers
from edgerecon.deploy.adopt.foreign import read_foreign
from edgerecon.deploy.adopt.range_trial import DIRECT, MINUS, Reading
from edgerecon.deploy.adopt.ranges import RANGES
from edgerecon.deploy.adopt.sizes import find_network
from edgerecon.deploy.adopt.wrap import wrap
from edgerecon.engines import open_engine
from edgerecon.modelfile.file import read_model
from tests.support.foreign_networks import Foreign, build

FACTS = {"format": "1", "name": "mine", "task": "restore", "size_multiple": "1", "recipe_hash": "", "precision": "fp32"}
NETWORKS = {
    Foreign("plain"): 4,
    Foreign("noise", way="noise"): 5,
    Foreign("byte-noise", given="0..255", way="noise"): 6,
    Foreign("signed", given="-1..1", clip=True): 5,
    Foreign("imagenet", given="imagenet", channels=3): 6,
    Foreign("twice", given="-1..1", body="srresnet", scale=2): 6,
}
"""Network → its layers, with those that make a map of the frame and a frame of a map."""


def adopted(network: Foreign, folder: Path) -> Path:
    """The network with our ports and metadata, its range known."""
    (folder / "foreign.onnx").write_bytes(build(network).SerializeToString())
    foreign = read_foreign(folder / "foreign.onnx")
    found, sizes = find_network(foreign)
    given = next(one for one in RANGES if one.key == network.given)
    reading = Reading(given, given, MINUS if network.way == "noise" else DIRECT)
    return written(wrap(foreign.model, found, reading, sizes), folder, network.scale)


def written(model: onnx.ModelProto, folder: Path, scale: int = 1) -> Path:
    facts = FACTS | {"scale": str(scale)}
    helper.set_model_props(model, {f"edgerecon.{key}": value for key, value in facts.items()})
    (folder / "mine.onnx").write_bytes(model.SerializeToString())
    return folder / "mine.onnx"


@pytest.mark.parametrize(("network", "layers"), NETWORKS.items(), ids=[one.name for one in NETWORKS])
def test_foreign_network_agrees_with_onnxruntime(
    native: None, network: Foreign, layers: int, tmp_path: Path, rng: np.random.Generator
) -> None:
    """To the last pixel of the border, where a folded offset would be padded with another value."""
    path = adopted(network, tmp_path)
    frame = rng.random((45, 70), dtype=np.float32)
    reference, engine = (open_engine(path, name, threads=1) for name in ("onnxruntime", "native"))
    np.testing.assert_allclose(engine.run(frame), reference.run(frame), atol=1e-5)
    assert len(read_layers(read_model(path))) == layers


def graph(*nodes: onnx.NodeProto, **constants: np.ndarray) -> onnx.ModelProto:
    ports = [
        helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, ["n", 1, "h", "w"])
        for name in ("frame", "reconstruction")
    ]
    given = [numpy_helper.from_array(np.float32(value), name) for name, value in constants.items()]
    made = helper.make_graph(nodes, "g", ports[:1], ports[1:], given)
    return helper.make_model(made, opset_imports=[helper.make_opsetid("", 18)], ir_version=8)


CONV = helper.make_node("Conv", ["frame", "w"], ["t"], pads=[1] * 4)
ONE = np.full((1, 1, 3, 3), 1 / 9)


@pytest.mark.parametrize(
    ("nodes", "constants"),
    [
        ([("Sub", ["one", "t"])], {"one": 1.0}),
        ([("Div", ["t", "two"])], {"two": 2.0}),
        ([("Sub", ["t", "frame"])], {}),
        ([("Sub", ["t", "half"]), ("Clip", ["a0", "low", "high"])], {"half": 0.5, "low": -0.2, "high": 1.0}),
        ([("Relu", ["t"]), ("Mul", ["a0", "two"]), ("Sub", ["frame", "a1"])], {"two": 0.5}),
        ([("Mul", ["t", "two"]), ("Add", ["t", "a0"])], {"two": -0.5}),
    ],
    ids=["one minus", "half", "minus the frame", "limited", "half of a ReLU", "read twice"],
)
def test_steps_of_gain_and_offset_are_exact(
    native: None,
    nodes: list[tuple[str, list[str]]],
    constants: dict[str, float],
    tmp_path: Path,
    rng: np.random.Generator,
) -> None:
    steps = [
        helper.make_node(kind, inputs, ["reconstruction" if at == len(nodes) - 1 else f"a{at}"])
        for at, (kind, inputs) in enumerate(nodes)
    ]
    path = written(
        graph(CONV, *steps, w=ONE, **{name: np.float32(value) for name, value in constants.items()}), tmp_path
    )
    frame = rng.random((21, 34), dtype=np.float32)
    reference, engine = (open_engine(path, name, threads=1) for name in ("onnxruntime", "native"))
    np.testing.assert_allclose(engine.run(frame), reference.run(frame), atol=1e-5)


@pytest.mark.parametrize(
    ("kind", "inputs", "why"),
    [
        ("Clip", ["t", "low", "half"], r"no Clip but to \[0, 1\] at the end"),
        ("Div", ["one", "t"], "no Div of two maps"),
        ("Mul", ["t", "t"], "no Mul of two maps"),
        ("Mul", ["t", "row"], "by more than a number a channel"),
    ],
)
def test_other_arithmetic_is_refused_by_name(kind: str, inputs: list[str], why: str, tmp_path: Path) -> None:
    step = helper.make_node(kind, inputs, ["reconstruction"])
    constants = {"low": np.float32(0), "half": np.float32(0.5), "one": np.float32(1), "row": np.ones((1, 5))}
    path = written(graph(CONV, step, w=ONE, **constants), tmp_path)
    with pytest.raises(ModelError, match=why):
        read_layers(read_model(path))


SIGNED = np.random.default_rng(2).standard_normal((3, 1, 3, 3)) / 3
"""Of a layer whose three maps fall on both sides of zero."""
GIVEN: dict[str, ArrayLike] = {
    "w": SIGNED,
    "slopes": np.reshape([0.25, 1, -0.5], (3, 1, 1)),
    "half": np.full((1, 1, 1), 0.5),
    "gain": [1.5, -0.7, 1],
    "offset": [0.1, 0, -0.2],
    "mean": [0, 0.1, -0.1],
    "variance": [0.01, 0.5, 0.02],
    "last": np.random.default_rng(3).standard_normal((1, 3, 1, 1)),
}
NORMAL = ["gain", "offset", "mean", "variance"]


@pytest.mark.parametrize(
    "steps",
    [
        [("PRelu", ["t", "slopes"], {})],
        [("PRelu", ["t", "half"], {})],
        [("LeakyRelu", ["t"], {})],
        [("LeakyRelu", ["t"], {"alpha": 0.2}), ("LeakyRelu", ["a0"], {"alpha": 0.1})],
        [("BatchNormalization", ["t", *NORMAL], {"epsilon": 1e-3}), ("Relu", ["a0"], {})],
        [("BatchNormalization", ["t", *NORMAL], {})],
        [("Relu", ["t"], {}), ("BatchNormalization", ["a0", *NORMAL], {"epsilon": 0.1})],
    ],
    ids=["slopes", "slope", "leaky", "twice", "normalised", "plainly normalised", "after a ReLU"],
)
def test_slopes_and_normalisation_are_exact(
    native: None, steps: list[tuple[str, list[str], dict[str, Any]]], tmp_path: Path, rng: np.random.Generator
) -> None:
    nodes = [helper.make_node(kind, names, [f"a{at}"], **given) for at, (kind, names, given) in enumerate(steps)]
    end = helper.make_node("Conv", [f"a{len(nodes) - 1}", "last"], ["reconstruction"])
    path = written(
        graph(CONV, *nodes, end, **{name: np.asarray(value, np.float32) for name, value in GIVEN.items()}), tmp_path
    )
    frame = rng.random((21, 34), dtype=np.float32)
    reference, engine = (open_engine(path, name, threads=1) for name in ("onnxruntime", "native"))
    np.testing.assert_allclose(engine.run(frame), reference.run(frame), atol=5e-5)


@pytest.mark.parametrize(
    ("kind", "inputs", "attributes", "why"),
    [
        ("LeakyRelu", ["t"], {"alpha": 1.5}, "no LeakyRelu but with one slope of at most 1 a channel"),
        ("PRelu", ["t", "row"], {}, "no PRelu but with one slope"),
        ("BatchNormalization", ["t", *["one"] * 4], {"training_mode": 1}, "no BatchNormalization as in training"),
        ("MaxPool", ["t"], {"kernel_shape": [2, 2]}, "no operator MaxPool: use backend onnxruntime"),
    ],
)
def test_other_layers_are_refused_by_name(
    kind: str, inputs: list[str], attributes: dict[str, Any], why: str, tmp_path: Path
) -> None:
    step = helper.make_node(kind, inputs, ["reconstruction"], **attributes)
    path = written(graph(CONV, step, w=ONE, one=np.ones(1), row=np.full(34, 0.5)), tmp_path)
    with pytest.raises(ModelError, match=why):
        read_layers(read_model(path))
