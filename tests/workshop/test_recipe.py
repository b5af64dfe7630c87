from __future__ import annotations

from pathlib import Path

import pytest

from edgerecon.core.errors import RecipeError
from edgerecon.core.shipped import resource_dir
from edgerecon.workshop.recipe import MOST_EXTENDED, load_recipe
from edgerecon.workshop.recipe_tables import PICTURE_GATES

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


def test_gates_of_the_picture_are_not_in_the_hash(tmp_path: Path) -> None:
    first, gate = load_recipe(_write(tmp_path, TEXT)).sha256(), "[gates]\nmin_structure = 0.9\nmax_spill = 1.0\n"
    assert load_recipe(_write(tmp_path, TEXT + gate)).sha256() == first
    assert load_recipe(_write(tmp_path, TEXT + gate + "max_drop_ssim = 0.1\n")).sha256() != first


@pytest.mark.parametrize(
    "name", ["compact-despeckle", "compact-despeckle-small", "compact-despeckle-w8d4", "compact-fpga"]
)
def test_shipped_despecklers_gate_the_picture(name: str) -> None:
    assert set(load_recipe(resource_dir("export") / f"{name}.toml").gates.picture) == set(PICTURE_GATES)


def test_parameters_count_in_the_hash_wherever_they_stand(tmp_path: Path) -> None:
    flat = load_recipe(_write(tmp_path, TEXT.replace("[data]", "width = 8\n[data]")))
    nested = load_recipe(_write(tmp_path, TEXT + "[model.params]\nwidth = 8\ndepth = 6\n"))
    assert flat.sha256() == nested.sha256() != load_recipe(_write(tmp_path, TEXT)).sha256()


def test_flat_parameters_replace_those_of_the_extended_recipe(tmp_path: Path) -> None:
    (tmp_path / "b.toml").write_text(TEXT + "[model.params]\nwidth = 8\ndepth = 4\n")
    recipe = load_recipe(_write(tmp_path, 'extends = "b.toml"\n[model]\nwidth = 12\n'))
    assert recipe.model.params == {"width": 12, "depth": 4}


@pytest.mark.parametrize(
    ("text", "says"),
    [
        (TEXT.replace("steps = 10", "steps = 0"), r"r\.toml:11: train\.steps"),
        (
            TEXT.replace("steps = 10", "steps = 10\nstepps = 3"),
            r"r\.toml:12: train\.stepps: .*did you mean steps\? Known: steps, batch",
        ),
        (
            TEXT.replace('task = "despeckle"', 'task = "upscale"'),
            r"model\.task: it should be 'despeckle', 'compound' or 'beamform', not 'upscale'",
        ),
        (TEXT.replace('target = "clean"', ""), r"data\.target: it is absent: give one"),
        (TEXT.replace('"tiny"', '"../tiny"'), r"model\.name"),
        (TEXT.replace('["pw31"]', "[]"), r"data\.inputs"),
        (TEXT.replace("[data]", "dilations = [1, 2]\n[data]"), r"model\.dilations: .*give 6 numbers"),
        (TEXT.replace("[data]", "depth = 65\n[data]"), r"r\.toml:5: model\.depth: it should be .*, not 65"),
        (TEXT + "[model.params]\nwidht = 4\n", r"r\.toml:13: model\.params\.widht: .*did you mean width\?"),
        (TEXT.replace("[data]", 'family = "unett"\n[data]'), r"r\.toml:5: model\.family: unknown .*'unett'"),
        (
            TEXT.replace("[data]", "width = 4\n[model.params]\nwidth = 5\n[data]"),
            r"r\.toml:5: model\.width: there is no such key",
        ),
        (
            TEXT.replace("[data]", 'family = "hybrid"\n[data]') + "[prune]\nratio = 0.5\n",
            r"r\.toml:14: prune\.ratio: the family hybrid cannot be pruned",
        ),
        (TEXT + "[augment]\nzoom = [2.0, 1.0]\n", r"augment\.zoom"),
        (TEXT + "[augment]\ngain = [0.0, 1.0]\n", r"augment\.gain"),
        (TEXT + "crop = 20\n[train.loss]\nedge = 1.0\n", r"train\.crop"),
        (TEXT + "[train.loss]\nssim = -1\n", r"r\.toml:13: train\.loss\.ssim: it should be .*, not -1"),
        (TEXT + "[train.loss]\nl2 = 1\n", r"r\.toml:13: train\.loss\.l2: .*Known: .*regions, ssim, edge$"),
        (TEXT + "[shapes]\nmin = [600, 64]\n", r"r\.toml:\d+: shapes: .*ascending order"),
        (TEXT + "[shapes]\nfixed = [0, 64]\n", r"shapes\.fixed"),
        (TEXT + "[prune]\nratio = 1.0\n", r"prune\.ratio"),
        (TEXT + '[calibration]\nmethod = "median"\n', r"calibration\.method"),
        (TEXT + '[targets]\nprecisions = ["int4"]\n', r"targets\.precisions"),
        (TEXT + "[gates]\nmax_drop_psnr = 1\n", r"r\.toml:\d+: gates\.max_drop_psnr:"),
        (
            TEXT.replace("steps = 10", "steps = true"),
            r"r\.toml:11: train\.steps: it should be a whole number, not True",
        ),
        (TEXT.replace("steps = 10", 'steps = "10"'), r"train\.steps: it should be a whole number, not '10'"),
        (TEXT + "seed = true\n", r"train\.seed: it should be a whole number, not True"),
        (TEXT + "seed = 4294967296\n", r"train\.seed: it should be less than 4294967296"),
        (TEXT + "learning_rate = inf\n", r"train\.learning_rate: it should be a finite number"),
        (TEXT + "[train.loss]\nssim = true\n", r"train\.loss\.ssim: it should be a number, not True"),
        (TEXT + "[augment]\nflip_axial = 1\n", r"augment\.flip_axial: it should be true or false, not 1"),
        (TEXT + "[augment]\nzoom = [true, 2.0]\n", r"augment\.zoom\.0: it should be a number, not True"),
        (TEXT.replace("[data]", "width = true\n[data]"), r"r\.toml:5: model\.width: it should be a whole number"),
        ("[model\n", "not valid TOML"),
    ],
)
def test_a_mistake_is_named(tmp_path: Path, text: str, says: str) -> None:
    with pytest.raises(RecipeError, match=says) as caught:
        load_recipe(_write(tmp_path, text))
    assert "\n" not in str(caught.value)


def test_a_recipe_may_extend_another(tmp_path: Path) -> None:
    _write(tmp_path, TEXT + "[train.loss]\nssim = 0.5\n")
    (tmp_path / "more").mkdir()
    child = tmp_path / "more" / "c.toml"
    child.write_text('extends = "../r.toml"\n[model]\nname = "other"\n[train.loss]\nedge = 2.0\n')
    whole = TEXT.replace('"tiny"', '"other"') + "[train.loss]\nssim = 0.5\nedge = 2.0\n"
    made = load_recipe(child)
    assert made == load_recipe(_write(tmp_path, whole))
    assert made.model.name == "other" and made.train.loss.ssim == 0.5


def test_a_licence_is_stated_by_each_recipe_for_itself(tmp_path: Path) -> None:
    bare = load_recipe(_write(tmp_path, TEXT))
    licensed = TEXT.replace("[model]\n", '[model]\nlicence = "Apache-2.0"\n', 1)
    base = load_recipe(_write(tmp_path, licensed))
    child = tmp_path / "child.toml"
    child.write_text('extends = "r.toml"\n')
    assert (bare.model.licence, base.model.licence, load_recipe(child).model.licence) == ("", "Apache-2.0", "")
    assert bare.sha256() == base.sha256(), "hashes from when it was the default stay valid"


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ('extends = "b.toml"\n[train]\nsteps = 0\n', r"a\.toml:3: train\.steps"),
        ('extends = "b.toml"\n[model]\nwidth = 4\n', r"b\.toml:12: train\.stepps"),  # its mistake, not this file's
        ('extends = "a.toml"\n', r"a\.toml: extends: .*a\.toml extends it in turn"),
        ('extends = "c.toml"\n', r"c\.toml: extends: .*a\.toml extends it in turn"),
        ('extends = "none.toml"\n', r"cannot read the recipe .*none\.toml, which .*a\.toml extends: No such"),
        ('extends = "."\n', r"cannot read the recipe .*, which .*a\.toml extends"),
        ("extends = 3\n", r"a\.toml: extends: give the name of a recipe file"),
        ('[extends]\nfile = "b.toml"\n', r"a\.toml: extends: give the name"),
    ],
)
def test_a_mistake_in_extending_names_the_file(tmp_path: Path, text: str, says: str) -> None:
    (tmp_path / "a.toml").write_text(text)
    (tmp_path / "b.toml").write_text(TEXT + "stepps = 3\n")
    (tmp_path / "c.toml").write_text('extends = "a.toml"\n')
    with pytest.raises(RecipeError, match=says) as caught:
        load_recipe(tmp_path / "a.toml")
    assert "\n" not in str(caught.value)


def test_long_chain_of_recipes_is_refused(tmp_path: Path) -> None:
    last = MOST_EXTENDED + 1
    for number in range(last):
        (tmp_path / f"{number}.toml").write_text(f'extends = "{number + 1}.toml"\n')
    (tmp_path / f"{last}.toml").write_text(TEXT)
    assert load_recipe(tmp_path / "1.toml").train.steps == load_recipe(tmp_path / f"{last}.toml").train.steps
    with pytest.raises(RecipeError, match=r"0\.toml: extends: a chain of over 16 recipes"):
        load_recipe(tmp_path / "0.toml")


def test_files_that_are_no_recipes(tmp_path: Path) -> None:
    (tmp_path / "b.toml").write_bytes(b"\xff\xfe\x00")
    for path in (tmp_path / "absent.toml", tmp_path, tmp_path / "b.toml"):
        with pytest.raises(RecipeError, match="cannot read"):
            load_recipe(path)


def test_the_shipped_recipes_are_valid() -> None:
    recipes = [load_recipe(path) for path in sorted(resource_dir("export").glob("*.toml"))]
    assert {"compact-compound", "compact-despeckle"} <= {recipe.model.name for recipe in recipes}


def test_a_loss_that_is_a_gate_is_refused(tmp_path: Path) -> None:
    shipped = (resource_dir("export") / "compact-compound.toml").read_text()
    trained = shipped.replace("[train.loss]", "[train.loss]\nedge = 4.0")
    gated = trained.replace("[gates]", "[gates]\nmin_structure = 0.95")
    for text in (trained, gated.replace("edge = 4.0", "edge = 0.0")):
        (tmp_path / "sound.toml").write_text(text)
        load_recipe(tmp_path / "sound.toml")
    (tmp_path / "refused.toml").write_text(gated)
    with pytest.raises(RecipeError, match=r"refused\.toml: train\.loss\.edge teaches"):
        load_recipe(tmp_path / "refused.toml")
