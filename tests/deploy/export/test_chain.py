"""The chain: everything made, measured and gated, or nothing shipped."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import cv2
import h5py
import numpy as np
import onnx
import pytest
import torch

from edgerecon.core.checksums import sha256
from edgerecon.core.errors import DataError, EdgereconError, GateError
from edgerecon.deploy.export import chain as chain_module
from edgerecon.deploy.export import export as export_module
from edgerecon.deploy.export.chain import Chain
from edgerecon.deploy.export.report import DATA, REPORT, ExportReport
from edgerecon.deploy.export.steps import file_hash
from edgerecon.modelfile.file import PREFIX, read_model
from edgerecon.workshop.recipe import Recipe
from edgerecon.workshop.train.checkpoint import new_model, save_checkpoint

LOOSE = {"max_drop_psnr_db": 3.0, "max_drop_ssim": 0.2, "max_drop_gcnr": 0.2, "max_difference": 0.5}


@pytest.fixture(scope="module", autouse=True)
def _a_network_is_traced_once() -> Iterator[None]:
    """The same weights give the same graph (test_shipped.py), but for the facts that are handed in."""
    traced: dict[str, onnx.ModelProto] = {}
    trace = export_module.network_graph

    def network_graph(model: Any, facts: dict[str, str]) -> onnx.ModelProto:
        weights = b"".join(each.numpy().tobytes() for each in model.state_dict().values())
        key = sha256(weights)
        if key not in traced:
            traced[key] = trace(model, facts)
        graph = onnx.ModelProto()
        graph.CopyFrom(traced[key])
        kept = {entry.key: entry.value for entry in graph.metadata_props}
        onnx.helper.set_model_props(graph, kept | {PREFIX + name: value for name, value in facts.items()})
        return graph

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(export_module, "network_graph", network_graph)
        yield


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Smooth scenes under noise: what a blur improves."""
    rng = np.random.default_rng(2)
    path = tmp_path_factory.mktemp("data") / "pairs.h5"
    with h5py.File(path, "w") as file:
        file.attrs["format"] = "edgerecon-pairs/1"
        for index in range(6):
            clean = cv2.GaussianBlur(rng.random((64, 64)), (0, 0), 5)
            clean = (clean - clean.min()) / np.ptp(clean) * 200 + 20
            group = file.create_group(f"sample_{index:05d}")
            group["clean"] = clean.astype(np.uint8)
            group["pw31"] = np.clip(clean + rng.normal(0, 25, clean.shape), 0, 255).astype(np.uint8)
            group.attrs["complete"] = True
    return path


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    torch.manual_seed(1)
    model = new_model(recipe(Path("x.h5")))
    torch.nn.init.normal_(model.layers[-1].weight, std=0.05)  # type: ignore[union-attr]
    path = tmp_path_factory.mktemp("run") / "best.pt"
    save_checkpoint(path, {"model": model.state_dict(), "step": 7, "psnr_db": 28.5, "ssim": 0.8})
    return path


def recipe(data: Path, gates: dict[str, Any] = LOOSE, **tables: Any) -> Recipe:
    return Recipe.model_validate(
        {
            "model": {"name": "tiny", "task": "despeckle", "width": 8, "depth": 3, "dilations": [1, 2, 1]},
            "data": {
                "simulate": "edgerecon simulate t.h5 --samples 6 --seed 1",
                "file": str(data),
                "inputs": ["pw31"],
                "target": "clean",
                "validation": 0.34,
            },
            "train": {"steps": 2, "batch": 2, "crop": 32},
            "calibration": {"frames": 12},
            "shapes": {"min": [16, 16], "opt": [64, 80], "max": [128, 128]},
            "targets": {"precisions": ["fp16", "int8"], "backends": ["onnxruntime"]},
            "gates": gates,
            **tables,
        }
    )


def run(
    made: Recipe, checkpoint: Path, folder: Path, slower: dict[str, str] | None = None
) -> tuple[ExportReport, dict[str, str]]:
    """slower: files that are slower than fp32; how fast they are depends on the machine (test_speed_gate.py)."""
    states: dict[str, str] = {}
    chain = Chain(
        made,
        checkpoint,
        folder / "ship",
        folder / "work",
        "export/tiny.toml",
        timing_s=0.1,
        on_step=lambda name, state: states.update({name: state}),
    )
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(chain_module, "slower_than_parent", lambda rows, name: slower or {})
        return chain.run(), states


@pytest.fixture(scope="module")
def first(data: Path, checkpoint: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, ExportReport]:
    folder = tmp_path_factory.mktemp("chain")
    report, states = run(recipe(data), checkpoint, folder)
    assert states == dict.fromkeys(("fp32", "fp16", "int8", "measure"), "runs")
    return folder, report


def test_precision_that_is_slower_than_its_parent_stays(
    first: tuple[Path, ExportReport], data: Path, checkpoint: Path, tmp_path: Path
) -> None:
    shutil.copytree(first[0] / "work", tmp_path / "work")
    report, states = run(recipe(data), checkpoint, tmp_path, {"tiny-int8": "slower"})
    assert set(states.values()) == {"unchanged"} and report.left_out == {"tiny-int8": "slower"}
    assert "tiny-int8.onnx" not in report.shipped and "tiny-int8-trt.onnx" in report.shipped
    assert not (tmp_path / "ship" / "tiny-int8.onnx").exists()


def test_every_precision_ships_with_its_own_record(first: tuple[Path, ExportReport]) -> None:
    folder, report = first
    names = {"tiny.onnx", "tiny-fp16.onnx", "tiny-int8.onnx", "tiny-int8-trt.onnx", "tiny.md", "tiny.pt"}
    assert set(report.shipped) == names and {path.name for path in (folder / "ship").iterdir()} == {
        *names,
        "SHA256SUMS",
    }
    facts = {name: read_model(folder / "ship" / name).spec for name in sorted(names) if name.endswith(".onnx")}
    assert [spec.precision for spec in facts.values()] == ["fp16", "int8", "int8", "fp32"]
    assert (facts["tiny-int8.onnx"].form, facts["tiny-int8-trt.onnx"].form) == ("unsigned", "signed")
    records = [spec.quality["validation_psnr_db"] for name, spec in facts.items() if name != "tiny.onnx"]
    assert len(set(records)) == 3, "each was measured, none copied"
    sums = dict(reversed(line.split()) for line in (folder / "ship/SHA256SUMS").read_text().splitlines())
    assert sums == {name: file_hash(folder / "ship" / name) for name in names if not name.endswith(".md")}
    card = (folder / "ship/tiny.md").read_text()
    assert card.index("## Precisions") < card.index("## Limits") and "`tiny-int8.onnx` | int8" in card


def test_the_report_shows_quality_beside_speed(first: tuple[Path, ExportReport]) -> None:
    folder, report = first
    plain = json.loads((folder / "work" / DATA).read_text())
    rows = plain["rows"]
    assert [(row["model"], row["precision"]) for row in rows] == [
        ("tiny", "fp32"),
        ("tiny-fp16", "fp16"),
        ("tiny-int8", "int8"),
    ]
    for row in rows:
        assert row["status"] == "ok" and row["latency_ms"]["p99"] >= row["latency_ms"]["p50"] > 0
        assert row["psnr_db"] > 10 and 0 < row["ssim"] < 1 and row["size_kb"] > 1 and row["shape"] == [64, 80]
    assert rows[0]["speed"] == 1 and rows[0]["max_abs_error"] == 0 < rows[1]["max_abs_error"]
    assert plain["verdict"] == report.verdict and report.verdict.startswith("Ship ")
    page = (folder / "work" / REPORT).read_text()
    assert "int8 on onnxruntime" in page and report.verdict.split(":")[0] in page and "after training" in page


def test_a_second_run_does_nothing_again(first: tuple[Path, ExportReport], data: Path, checkpoint: Path) -> None:
    folder, report = first
    before = {path.name: path.read_bytes() for path in (folder / "ship").iterdir()}
    again, states = run(recipe(data), checkpoint, folder)
    assert set(states.values()) == {"unchanged"} and len(states) == 4
    assert [row.speed.latency_ms for row in again.rows] == [row.speed.latency_ms for row in report.rows]
    assert {path.name: path.read_bytes() for path in (folder / "ship").iterdir()} == before


def test_nothing_ships_past_a_gate(data: Path, checkpoint: Path, tmp_path: Path) -> None:
    run(recipe(data, targets={}), checkpoint, tmp_path)
    before = {path.name: path.read_bytes() for path in (tmp_path / "ship").iterdir()}
    assert set(before) == {"tiny.onnx", "tiny.md", "tiny.pt", "SHA256SUMS"}
    for gates, says in (
        ({"max_difference": 1e-6}, r"tiny-fp16.onnx: a pixel differs by .*, allowed is 1e-06: .* too much"),
        ({"max_latency_ms": 1e-4}, r"p99 of the fastest, .* is .* ms, allowed is 0.0001: .* ms too much"),
        ({"max_abs_error": 1e-12}, r"differ by .*, allowed is 1e-12"),
    ):
        with pytest.raises(GateError, match=says):
            run(recipe(data, gates), checkpoint, tmp_path)
        plain = json.loads((tmp_path / "work" / DATA).read_text())
        assert plain["refusals"] and plain["shipped"] == []
        assert "Nothing was shipped" in (tmp_path / "work" / REPORT).read_text()
    assert {path.name: path.read_bytes() for path in (tmp_path / "ship").iterdir()} == before


def test_a_gate_on_int8_brings_stronger_means(data: Path, checkpoint: Path, tmp_path: Path) -> None:
    with pytest.raises(GateError, match="allow fine-tuning with targets.qat_steps"):
        run(recipe(data, {"max_difference": 1e-5}, targets={"precisions": ["int8"]}), checkpoint, tmp_path)
    targets = {"precisions": ["int8"], "qat_steps": 2, "backends": ["onnxruntime"]}
    with pytest.raises(GateError) as refused:
        run(recipe(data, {"max_difference": 1e-5}, targets=targets), checkpoint, tmp_path)
    assert "qat_steps" not in str(refused.value), "it was tried"


def test_only_files_of_this_run_ship(data: Path, checkpoint: Path, tmp_path: Path) -> None:
    """A file of an earlier run or of another model, which no gate of this run has seen, stays where it lies."""
    (tmp_path / "work").mkdir()
    for name in ("tiny-int8.onnx", "tiny-old.onnx", "tinyother.onnx"):
        (tmp_path / "work" / name).write_bytes(b"stale")
    report, _ = run(recipe(data, targets={}), checkpoint, tmp_path)
    assert report.shipped == ["tiny.md", "tiny.onnx", "tiny.pt"]
    assert not list((tmp_path / "ship").glob("tiny*-*.onnx")) and not (tmp_path / "ship/tinyother.onnx").exists()


def test_the_network_is_traced_once(
    data: Path, checkpoint: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    traced: list[str] = []
    real = export_module.network_graph

    def counted(model: Any, facts: Any) -> Any:
        traced.append(facts["name"])
        return real(model, facts)

    monkeypatch.setattr(export_module, "network_graph", counted)
    run(recipe(data, targets={}), checkpoint, tmp_path)
    assert traced == ["tiny"]
    quality = read_model(tmp_path / "ship/tiny.onnx").spec.quality
    assert quality["sample_gcnr"] > 0 and quality["validation_psnr_db"] != 28.5, "measured on the file itself"


def test_pruning_comes_first_and_everything_follows_it(data: Path, checkpoint: Path, tmp_path: Path) -> None:
    pruned = recipe(data, prune={"ratio": 0.3, "iterations": 1, "steps": 2, "importance": "magnitude"}, targets={})
    report, states = run(pruned, checkpoint, tmp_path)
    assert list(states) == ["prune", "fp32", "measure"]
    left = report.pruning["macs_after"] / report.pruning["macs_before"]
    assert left <= 0.7
    whole = new_model(pruned).macs_per_pixel()
    assert read_model(tmp_path / "ship/tiny.onnx").spec.macs_per_pixel == pytest.approx(left * whole, rel=0.01)
    assert run(pruned, checkpoint, tmp_path)[1] == dict.fromkeys(states, "unchanged")
    (again := tmp_path / "again").mkdir()
    shipped, states = run(pruned, tmp_path / "ship/tiny.pt", again)
    assert list(states) == ["fp32", "measure"], "what ships is not pruned twice"
    assert shipped.pruning == report.pruning
    assert (again / "ship/tiny.onnx").read_bytes() == (tmp_path / "ship/tiny.onnx").read_bytes()


def test_missing_data_and_places_that_cannot_be_written(checkpoint: Path, data: Path, tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"absent.h5 does not exist"):
        run(recipe(tmp_path / "absent.h5"), checkpoint, tmp_path)
    report, _ = run(recipe(tmp_path / "absent.h5", targets={"backends": ["onnxruntime"]}), checkpoint, tmp_path)
    assert report.rows and np.isnan(report.rows[0].quality.psnr_db), "an fp32 file needs no calibration"
    with pytest.raises(DataError, match="absent.pt"):
        run(recipe(data), tmp_path / "absent.pt", tmp_path)
    (tmp_path / "file").write_text("")
    with pytest.raises(EdgereconError, match="cannot write"):
        Chain(recipe(data), checkpoint, tmp_path, tmp_path / "file" / "work", "r.toml").run()
