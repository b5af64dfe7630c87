from __future__ import annotations

import hashlib
import json
import os
import subprocess
from pathlib import Path

import numpy as np
import onnx
import pytest
import torch
from onnx.reference import ReferenceEvaluator

from edgerecon.core.errors import DataError, EdgereconError, GateError
from edgerecon.deploy.bundle.packed_model import of_recipe
from edgerecon.deploy.export import export as export_module
from edgerecon.deploy.export.card import Figure
from edgerecon.deploy.export.export import ExportResult, export
from edgerecon.deploy.export.parity import max_abs_error
from edgerecon.engines import open_engine
from edgerecon.workshop.recipe import Recipe
from edgerecon.workshop.train.checkpoint import load_model, new_model, save_checkpoint

RECIPE = Recipe.model_validate(
    {
        "model": {"name": "tiny", "task": "despeckle", "width": 8, "depth": 4},
        "data": {
            "simulate": "edgerecon simulate t.h5 --samples 4 --seed 1",
            "file": "t.h5",
            "inputs": ["pw31", "pw7"],
            "target": "clean",
        },
        "train": {"steps": 10},
    }
)
FIGURE = Figure("psnr_db", "PSNR, held-out scenes (dB)", 29.25, "edgerecon evaluate tiny --data held_out.h5")


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    torch.manual_seed(5)
    model = new_model(RECIPE)
    for parameter in model.parameters():
        torch.nn.init.normal_(parameter, std=0.15)
    path = tmp_path_factory.mktemp("run") / "best.pt"
    save_checkpoint(path, {"model": model.state_dict(), "step": 7, "psnr_db": 28.5, "ssim": 0.8})
    return path


@pytest.fixture(scope="module")
def shipped(checkpoint: Path, tmp_path_factory: pytest.TempPathFactory) -> ExportResult:
    return export(RECIPE, checkpoint, tmp_path_factory.mktemp("export") / "tiny.onnx", figures=[FIGURE])


def test_the_graph_is_plain(shipped: ExportResult) -> None:
    model = onnx.load(shipped.model)
    onnx.checker.check_model(model, full_check=True)
    operators = [node.op_type for node in model.graph.node]
    assert operators == ["SpaceToDepth", *["Conv", "Relu"] * 3, "Conv", "DepthToSpace", "Add"]
    assert [(entry.domain, entry.version) for entry in model.opset_import] == [("", 18)]
    assert model.ir_version == 8
    for port, name in ((model.graph.input, "frame"), (model.graph.output, "reconstruction")):
        dims = [dim.dim_param or dim.dim_value for dim in port[0].type.tensor_type.shape.dim]
        assert (port[0].name, dims, len(port)) == (name, ["N", 1, "H", "W"], 1)


def test_the_file_is_small_and_tells_nothing_of_this_machine(shipped: ExportResult) -> None:
    content = shipped.model.read_bytes()
    assert len(content) < 100_000
    weights = 4 * new_model(RECIPE).count_parameters()
    assert len(content) < weights + 4_000
    for secret in (os.getcwd(), str(Path.home()), "stack_trace", "site-packages", ".py"):
        assert secret.encode() not in content


def test_the_metadata(shipped: ExportResult) -> None:
    metadata = {entry.key: entry.value for entry in onnx.load(shipped.model).metadata_props}
    assert metadata["edgerecon.name"] == "tiny" and metadata["edgerecon.task"] == "despeckle"
    assert metadata["edgerecon.recipe_hash"] == RECIPE.sha256()
    assert metadata["edgerecon.receptive_field"] == "18" and float(metadata["edgerecon.macs_per_pixel"]) == 432
    assert "not for clinical use" in metadata["edgerecon.notice"]
    quality = json.loads(metadata["edgerecon.quality"])
    assert quality == {"validation_psnr_db": 28.5, "validation_ssim": 0.8, "psnr_db": 29.25}
    spec = open_engine(shipped.model).spec.model
    assert (spec.size_multiple, spec.scale, spec.precision, spec.quality) == (2, 1, "fp32", quality)


@pytest.mark.parametrize("shape", [(1, 1), (13, 21), (64, 96), (301, 200)])
def test_the_engine_does_what_torch_does(
    shipped: ExportResult, checkpoint: Path, shape: tuple[int, int], rng: np.random.Generator
) -> None:
    frame = rng.random(shape, dtype=np.float32)
    with torch.inference_mode():
        expected = load_model(RECIPE, checkpoint)(torch.from_numpy(frame)[None, None])[0, 0].clamp(0, 1).numpy()
    np.testing.assert_allclose(open_engine(shipped.model).run(frame), expected, atol=1e-5)


def test_a_third_implementation_agrees(shipped: ExportResult, rng: np.random.Generator) -> None:
    frame = rng.random((12, 20), dtype=np.float32)
    reference = ReferenceEvaluator(str(shipped.model)).run(None, {"frame": frame[None, None]})[0][0, 0]
    np.testing.assert_allclose(open_engine(shipped.model).run(frame), np.clip(reference, 0, 1), atol=1e-5)


def test_batches(shipped: ExportResult, checkpoint: Path, rng: np.random.Generator) -> None:
    import onnxruntime as ort

    frames = rng.random((3, 1, 10, 14), dtype=np.float32)
    found = ort.InferenceSession(str(shipped.model)).run(None, {"frame": frames})[0]
    with torch.inference_mode():
        np.testing.assert_allclose(found, load_model(RECIPE, checkpoint)(torch.from_numpy(frames)).numpy(), atol=1e-5)


def test_the_card_and_the_sums(shipped: ExportResult) -> None:
    card = shipped.card.read_text()
    for text in ("not for clinical use", "Simulated only", RECIPE.data.simulate, "29.25", FIGURE.command, "## Limits"):
        assert text in card
    digest = hashlib.sha256(shipped.model.read_bytes()).hexdigest()
    assert shipped.sha256 == digest
    assert (shipped.model.parent / "SHA256SUMS").read_text() == f"{digest}  tiny.onnx\n"
    done = subprocess.run(
        ["sha256sum", "--check", "SHA256SUMS"], cwd=shipped.model.parent, capture_output=True, timeout=120
    )
    assert done.returncode == 0


def test_an_unstated_licence_is_said_to_be_unstated(shipped: ExportResult) -> None:
    assert RECIPE.model.licence == "" and "| Licence | not stated |" in shipped.card.read_text()
    assert {one.key: one.value for one in onnx.load(shipped.model).metadata_props}["edgerecon.licence"] == "not stated"
    assert of_recipe(RECIPE, shipped.model.parent).licence == "LicenseRef-of-its-author"


def test_a_failed_gate_leaves_the_folder_as_it_was(
    shipped: ExportResult, checkpoint: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = shipped.model.parent
    before = {path.name: path.read_bytes() for path in folder.iterdir()}
    real = export_module.to_onnx

    def off_by_a_little(*arguments: object) -> onnx.ModelProto:
        graph = real(*arguments)  # type: ignore[arg-type]
        bias = next(tensor for tensor in graph.graph.initializer if tensor.name.endswith("bias"))
        bias.CopyFrom(onnx.numpy_helper.from_array(onnx.numpy_helper.to_array(bias) + np.float32(1e-3), bias.name))
        return graph

    monkeypatch.setattr(export_module, "to_onnx", off_by_a_little)
    with pytest.raises(GateError, match="differ by .*, allowed is 1e-05"):
        export(RECIPE, checkpoint, shipped.model)
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == before


def test_nan_does_not_pass_the_gate(shipped: ExportResult, checkpoint: Path) -> None:
    model = load_model(RECIPE, checkpoint)
    for parameter in model.parameters():
        parameter.data.fill_(float("nan"))
    assert not max_abs_error(shipped.model.read_bytes(), model) <= 1e9
    with pytest.raises(GateError, match="cannot run"):
        max_abs_error(b"no model", model)


def test_checkpoints_that_do_not_fit(checkpoint: Path, tmp_path: Path) -> None:
    wider = RECIPE.model_copy(update={"model": RECIPE.model.model_copy(update={"params": {"width": 9, "depth": 4}})})
    with pytest.raises(DataError, match="another network"):
        export(wider, checkpoint, tmp_path / "a.onnx")
    with pytest.raises(DataError, match="edgerecon train"):
        export(RECIPE, tmp_path / "absent.pt", tmp_path / "a.onnx")
    (tmp_path / "file").touch()
    with pytest.raises(EdgereconError, match="cannot write"):
        export(RECIPE, checkpoint, tmp_path / "file" / "a.onnx")
    assert [path.name for path in tmp_path.iterdir()] == ["file"]
