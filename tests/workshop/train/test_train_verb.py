"""`edgerecon train` at another width and depth, as `fit` prints it, and the recipe it keeps."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from edgerecon.cli.main import app
from edgerecon.core.shipped import resource_dir
from edgerecon.workshop.recipe import Recipe, load_recipe
from edgerecon.workshop.train import loop
from edgerecon.workshop.train.checkpoint import load_model, new_model, save_checkpoint

RECIPE = resource_dir("export") / "compact-despeckle-small.toml"


def test_another_shape_is_another_model_with_its_recipe(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def untaught(recipe: Recipe, *, run_dir: Path, **others: Any) -> Path:
        run_dir.mkdir(parents=True)
        save_checkpoint(run_dir / "best.pt", {"model": new_model(recipe).state_dict()})
        return run_dir / "best.pt"

    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(loop, "train", untaught)
    asked = ["train", str(RECIPE), "--width", "8", "--depth", "4"]
    result = CliRunner().invoke(app, asked, catch_exceptions=False)
    assert result.exit_code == 0
    folder = Path("edgerecon-runs/compact-despeckle-small-w8d4")
    kept = folder / "compact-despeckle-small-w8d4.toml"
    assert f"edgerecon export {kept} --checkpoint {folder / 'best.pt'}" in " ".join(result.output.split())
    model = load_model(load_recipe(kept), folder / "best.pt")
    assert model.macs_per_pixel() == 432 and load_recipe(kept).data == load_recipe(RECIPE).data


def test_a_shape_that_cannot_be_is_refused() -> None:
    for option in (["--width", "0"], ["--depth", "1"]):
        assert CliRunner().invoke(app, ["train", str(RECIPE), *option]).exit_code == 2
