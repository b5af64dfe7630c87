"""Shapes that nobody trained, against the network of torch with the same weights."""

from __future__ import annotations

import shutil
import sys
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import numpy as np
import onnx
import pytest
import torch

from edgerecon.core.errors import ModelError
from edgerecon.core.shipped import resource_dir
from edgerecon.deploy.export.network_file import network_graph
from edgerecon.deploy.fit.candidates import Candidate
from edgerecon.deploy.fit.untrained import reshape_network, untrained
from edgerecon.engines import open_engine
from edgerecon.modelfile.file import read_model
from edgerecon.workshop.models import build_model
from edgerecon.workshop.models.compact import Compact

BASE = resource_dir("export") / "compact-despeckle-small.onnx"


def _way(path: Path, precision: str = "fp32") -> Candidate:
    return Candidate(path, precision, "onnxruntime", 1, 28.0, 0.8, 0.7, 2592.0)


@pytest.fixture
def models(tmp_path: Path) -> Path:
    for suffix in (".onnx", ".toml"):
        shutil.copy(BASE.with_suffix(suffix), tmp_path / f"net{suffix}")
    return tmp_path


@pytest.mark.parametrize(("width", "depth", "spread"), [(8, 4, (1, 3, 3, 1)), (24, 8, (1, 2, 3, 3, 3, 3, 2, 1))])
def test_it_computes_what_the_torch_network_computes(
    width: int, depth: int, spread: tuple[int, ...], tmp_path: Path
) -> None:
    model = reshape_network(BASE.read_bytes(), width, depth)
    onnx.save(model, path := tmp_path / "a.onnx")
    network = Compact(width, depth, spread)
    values = {tensor.name: torch.tensor(onnx.numpy_helper.to_array(tensor)) for tensor in model.graph.initializer}
    for i, layer in enumerate(network.layers):
        layer.load_state_dict({"weight": values[f"weight{i}"], "bias": values[f"bias{i}"]})
    frame = np.random.default_rng(0).random((48, 64), np.float32)
    with closing(open_engine(path, "onnxruntime")) as engine, torch.no_grad():
        expected = network(torch.tensor(frame)[None, None])[0, 0].numpy().clip(0, 1)
        np.testing.assert_allclose(np.clip(engine.run(frame), 0, 1), expected, atol=1e-4)
    spec = read_model(path).spec
    assert (spec.macs_per_pixel, spec.receptive_field) == (network.macs_per_pixel(), network.receptive_field)
    assert spec.quality == {} and spec.task == "despeckle" and spec.precision == "fp32"


def test_a_file_without_dilations_gives_shapes_without() -> None:
    compound = resource_dir("export") / "compact-compound.onnx"
    nodes = reshape_network(compound.read_bytes(), 8, 6).graph.node
    steps = [a.ints[0] for node in nodes for a in node.attribute if a.name == "dilations"]
    assert steps == [1] * 6


def test_the_base_is_the_best_of_the_compact_family(models: Path, tmp_path: Path) -> None:
    facts = {"name": "two", "task": "despeckle", "recipe_hash": "", "licence": "-"}
    onnx.save(network_graph(build_model("two_scale"), facts), models / "two.onnx")
    shutil.copy(BASE.with_suffix(".toml"), models / "two.toml")
    best = replace(_way(models / "two.onnx"), ssim=0.9)
    made = untrained([best, _way(models / "net.onnx")], [_way(Path("x"))], tmp_path)
    assert made and all(one.path.stem.startswith("net-w") for one in made)


def test_every_shape_that_no_file_has_is_there_on_every_way(models: Path, tmp_path: Path) -> None:
    trained = [_way(models / "net.onnx"), _way(models / "net-small.onnx")]
    made = untrained(trained, [_way(Path("x")), _way(Path("x"), "int8")], tmp_path)
    shapes = {one.path.stem for one in made if one.precision == "fp32"}
    assert len(made) == 22 and len(shapes) == 11 and "net-w16d6" not in shapes and "net-w32d8" in shapes
    for one in made:
        assert (
            np.isnan(one.ssim) and one.backend == "onnxruntime" and read_model(one.path).spec.precision == one.precision
        )
        assert one.train.startswith("edgerecon train ") and "net.toml --width " in one.train
    assert {one.macs for one in made if one.path.stem.startswith("net-w32d8")} == {14400.0}
    with closing(made[1].open()) as engine:
        assert engine.spec.precision == "int8" and np.isfinite(engine.run(np.zeros((16, 16), np.float32))).all()


def test_there_are_none_without_recipe_network_or_onnx(
    models: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    way = _way(models / "net.onnx")
    assert untrained([_way(BASE, "int8")], [way], tmp_path) == []
    assert untrained([_way(tmp_path / "alone.onnx")], [way], tmp_path) == []
    int8 = BASE.with_name("compact-despeckle-small-int8.onnx")
    with pytest.raises(ModelError):
        reshape_network(int8.read_bytes(), 8, 4)
    model = onnx.load(BASE)
    next(node for node in model.graph.node if node.op_type == "Relu").op_type = "Sigmoid"
    with pytest.raises(ModelError, match="compact-despeckle-small is not of the compact family"):
        reshape_network(model.SerializeToString(), 8, 4)
    for name in ("onnx", "edgerecon.workshop.compress.graph"):
        monkeypatch.delitem(sys.modules, name, raising=False)
    monkeypatch.setitem(sys.modules, "onnx", None)
    monkeypatch.delattr("edgerecon.workshop.compress.graph", raising=False)
    assert untrained([way], [way], tmp_path) == []
