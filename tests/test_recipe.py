from __future__ import annotations

from pathlib import Path

import pytest

from edgerecon.errors import RecipeError
from edgerecon.recipe import load_recipe
from edgerecon.resources import resource_dir

TEXT = """
[model]
name = "tiny"
task = "despeckle"
[data]
simulate = "edgerecon simulate t.h5 --samples 4 --seed 1"
file = "t.h5"
inputs = ["pw31"]
target = "clean"
[train]
steps = 10
"""


def _write(tmp_path: Path, text: str) -> Path:
    path = tmp_path / "r.toml"
    path.write_text(text)
    return path


def test_the_hash_is_of_the_meaning(tmp_path: Path) -> None:
    first = load_recipe(_write(tmp_path, TEXT)).sha256()
    assert load_recipe(_write(tmp_path, "# a comment\n" + TEXT + "seed = 1\n")).sha256() == first
    assert load_recipe(_write(tmp_path, TEXT + "seed = 2\n")).sha256() != first


@pytest.mark.parametrize(
    ("text", "says"),
    [
        (TEXT.replace("steps = 10", "steps = 0"), r"r\.toml:11: train\.steps"),
        (TEXT.replace("steps = 10", "steps = 10\nstepps = 3"), r"r\.toml:12: train\.stepps"),
        (TEXT.replace('task = "despeckle"', 'task = "upscale"'), r"model\.task"),
        (TEXT.replace('target = "clean"', ""), r"data\.target: field required"),
        (TEXT.replace('"tiny"', '"../tiny"'), r"model\.name"),
        (TEXT.replace('["pw31"]', "[]"), r"data\.inputs"),
        (TEXT.replace("[data]", "dilations = [1, 2]\n[data]"), r"model\.dilations: .*give 6 numbers"),
        (TEXT + "[augment]\nzoom = [2.0, 1.0]\n", r"augment\.zoom"),
        (TEXT + "[augment]\ngain = [0.0, 1.0]\n", r"augment\.gain"),
        (TEXT + "crop = 20\n[train.loss]\nedge = 1.0\n", r"train\.crop"),
        (TEXT + "[train.loss]\nssim = -1\n", r"r\.toml:13: train\.loss\.ssim"),
        (TEXT + "[shapes]\nmin = [600, 64]\n", r"r\.toml:\d+: shapes: .*ascending order"),
        (TEXT + "[shapes]\nfixed = [0, 64]\n", r"shapes\.fixed"),
        (TEXT + "[prune]\nratio = 1.0\n", r"prune\.ratio"),
        (TEXT + '[calibration]\nmethod = "median"\n', r"calibration\.method"),
        (TEXT + '[targets]\nprecisions = ["int4"]\n', r"targets\.precisions"),
        (TEXT + "[gates]\nmax_drop_psnr = 1\n", r"r\.toml:\d+: gates\.max_drop_psnr:"),
        ("[model\n", "not valid TOML"),
    ],
)
def test_a_mistake_is_named(tmp_path: Path, text: str, says: str) -> None:
    with pytest.raises(RecipeError, match=says) as caught:
        load_recipe(_write(tmp_path, text))
    assert "\n" not in str(caught.value)


def test_files_that_are_no_recipes(tmp_path: Path) -> None:
    (tmp_path / "b.toml").write_bytes(b"\xff\xfe\x00")
    for path in (tmp_path / "absent.toml", tmp_path, tmp_path / "b.toml"):
        with pytest.raises(RecipeError, match="cannot read"):
            load_recipe(path)


def test_the_shipped_recipes_are_valid() -> None:
    recipes = [load_recipe(path) for path in sorted(resource_dir("export").glob("*.toml"))]
    assert {"compact-compound", "compact-despeckle"} <= {recipe.model.name for recipe in recipes}
