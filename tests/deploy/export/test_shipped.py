"""What ships under export/ is what its recipe and checkpoint make."""

from __future__ import annotations

from pathlib import Path

import onnx
import pytest

from edgerecon.core.checksums import SUMS
from edgerecon.core.shipped import resource_dir
from edgerecon.deploy.export.export import SUMMED, to_onnx
from edgerecon.deploy.export.parity import max_abs_error
from edgerecon.deploy.export.steps import file_hash
from edgerecon.modelfile.file import read_model
from edgerecon.workshop.recipe import load_recipe
from edgerecon.workshop.train.checkpoint import load_model

FOLDER = resource_dir("export")
RECIPES = sorted(FOLDER.glob("*.toml"))


TRACED = ("compact-beamform", "compact-compound", "compact-fpga")
"""Of each family and number of inputs the smallest: to trace a network anew takes seconds."""


@pytest.mark.parametrize("path", RECIPES, ids=lambda path: path.stem)
def test_the_shipped_file_computes_what_its_checkpoint_does(path: Path) -> None:
    recipe = load_recipe(path)
    model = load_model(recipe, path.with_suffix(".pt"))
    assert max_abs_error(path.with_suffix(".onnx").read_bytes(), model) <= recipe.gates.max_abs_error


@pytest.mark.parametrize("name", TRACED)
def test_the_shipped_graph_is_that_of_recipe_and_checkpoint(name: str) -> None:
    path = FOLDER / f"{name}.toml"
    recipe = load_recipe(path)
    shipped = onnx.load(path.with_suffix(".onnx"))
    made = to_onnx(load_model(recipe, path.with_suffix(".pt")), recipe, {})
    del shipped.metadata_props[:], made.metadata_props[:]
    made.producer_version = shipped.producer_version  # of the edgerecon that made it
    assert shipped.SerializeToString(deterministic=True) == made.SerializeToString(deterministic=True)


@pytest.mark.parametrize("path", RECIPES, ids=lambda path: path.stem)
def test_every_file_of_a_recipe_is_of_it_and_small(path: Path) -> None:
    recipe = load_recipe(path)
    suffixes = {"fp16": ["-fp16"], "int8": ["-int8", "-int8-trt"], "int16": ["-int16"], "po2": ["-po2"]}
    wanted = ["", *(suffix for precision in recipe.targets.precisions for suffix in suffixes[precision])]
    assert path.with_suffix(".md").exists()
    for suffix in wanted:
        file = path.with_name(f"{path.stem}{suffix}.onnx")
        spec = read_model(file).spec
        assert spec.recipe_hash == recipe.sha256() and spec.task == recipe.model.task
        real = {"sample_gcnr"} if spec.channels == 1 else set()
        assert {"validation_psnr_db", "validation_ssim"} | real <= set(spec.quality)
        assert file.stat().st_size < 1_000_000


def test_the_checksums_are_of_all_files() -> None:
    lines = (FOLDER / SUMS).read_text(encoding="utf-8").splitlines()
    listed = {name: digest for digest, name in (line.split("  ") for line in lines)}
    assert listed == {p.name: file_hash(p) for p in FOLDER.iterdir() if p.suffix in SUMMED}
