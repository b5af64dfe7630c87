"""Every model family comes from a recipe, takes its parameters and trains."""

from __future__ import annotations

from pathlib import Path

import h5py
import numpy as np
import pytest
import torch
from pydantic import ValidationError

from edgerecon.core.errors import DataError, RecipeError
from edgerecon.workshop.models import family as records
from edgerecon.workshop.models.family import families
from edgerecon.workshop.recipe import Recipe, load_recipe
from edgerecon.workshop.train.checkpoint import load_model, new_model
from edgerecon.workshop.train.loop import train
from tests.support.plug_in import plug_in

SMALL = {
    "apodisation": "parts = 2\nwidth = 4\ndepth = 1\ndilations = [1]",
    "compact": "width = 4\ndepth = 3\ndilations = [1, 2, 1]",
    "conv_rnn": 'width = 4\ncell = "lstm"',
    "densenet": "blocks = [1, 1]\ngrowth = 4\nwidth = 8",
    "dncnn": "width = 4\ndilations = [1, 2, 1]",
    "enhance_cnn": "width = 4\nhidden = 0",
    "hybrid": "width = 4",
    "inpainting": "width = 4",
    "residual_unet": 'width = 4\ndepth = 2\nblock = "dilated"\nattention = true',
    "row_rnn": "width = 4",
    "rrdb": "scale = 4\nwidth = 4\ngrowth = 4\nblocks = 1",
    "srcnn": "scale = 3\nwidth = 4",
    "srresnet": "scale = 2\nwidth = 4\nblocks = 1",
    "two_scale": "width = 4\ndepth = 1",
    "unet": "width = 4\ndepth = 1\nseparable = true",
}
OTHER_SIZE = ("densenet", "rrdb", "srcnn", "srresnet")


@pytest.fixture(scope="module")
def pairs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    rng = np.random.default_rng(0)
    path = tmp_path_factory.mktemp("pairs") / "pairs.h5"
    with h5py.File(path, "w") as file:
        file.attrs["format"] = "edgerecon-pairs/1"
        for index in range(4):
            group = file.create_group(f"sample_{index:05d}")
            group["clean"] = group["pw31"] = rng.integers(0, 256, (32, 32), dtype=np.uint8)
            group["parts"] = rng.standard_normal((4, 32, 32)).astype(np.float16)
    return path


def _recipe(folder: Path, pairs: Path, family: str) -> Path:
    path = folder / "r.toml"
    task, given = ("beamform", "parts") if family == "apodisation" else ("despeckle", "pw31")
    path.write_text(
        f'''
[model]
name = "tiny"
task = "{task}"
family = "{family}"
[model.params]
{SMALL[family]}
[data]
simulate = "-"
file = "{pairs}"
inputs = ["{given}"]
target = "clean"
validation = 0.25
[train]
steps = 2
batch = 2
crop = 32
validate_every = 2
'''
    )
    return path


def test_every_family_is_tried() -> None:
    assert set(SMALL) == set(families())


@pytest.mark.parametrize("family", [name for name in SMALL if name not in OTHER_SIZE])
def test_a_family_trains_from_a_recipe(family: str, tmp_path: Path, pairs: Path) -> None:
    recipe = load_recipe(_recipe(tmp_path, pairs, family))
    network = new_model(recipe)
    assert dict(recipe.model.shape).items() >= {"width": 4}.items()
    assert network.count_parameters() < new_model(_defaults(recipe)).count_parameters()
    best = load_model(recipe, train(recipe, run_dir=tmp_path / "run"))
    with torch.no_grad():
        assert best(torch.rand(1, network.input_channels, 17, 12)).shape == (1, 1, 17, 12)


@pytest.mark.parametrize("family", OTHER_SIZE)
def test_a_family_of_another_output_size_is_refused(family: str, tmp_path: Path, pairs: Path) -> None:
    recipe = load_recipe(_recipe(tmp_path, pairs, family))
    with pytest.raises(RecipeError, match=f"model.family: {family} does not give pictures of the frame's size"):
        train(recipe, run_dir=tmp_path / "run")


@pytest.mark.parametrize(
    ("before", "after", "error", "message"),
    [
        ('task = "beamform"', 'task = "despeckle"', RecipeError, "apodisation takes parts of an aperture, which task"),
        ('inputs = ["parts"]', 'inputs = ["pw31"]', DataError, "the inputs have 1 channels, and the network takes 4"),
        ("parts = 2", "parts = 3", DataError, "the inputs have 4 channels, and the network takes 6"),
    ],
)
def test_parts_of_an_aperture_go_to_their_task_alone(
    tmp_path: Path, pairs: Path, before: str, after: str, error: type[Exception], message: str
) -> None:
    path = _recipe(tmp_path, pairs, "apodisation")
    path.write_text(path.read_text().replace(before, after))
    with pytest.raises(error, match=message):
        train(load_recipe(path), run_dir=tmp_path / "run")


@pytest.mark.parametrize("family", SMALL)
def test_a_family_names_an_unknown_parameter(family: str, tmp_path: Path, pairs: Path) -> None:
    path = _recipe(tmp_path, pairs, family)
    path.write_text(path.read_text().replace("[model.params]\n", "[model.params]\nwidht = 4\n"))
    with pytest.raises(RecipeError, match=r"r\.toml:7: model\.params\.widht: .*(did you mean width\?|Known: )"):
        load_recipe(path)


@pytest.mark.parametrize("family", families().values(), ids=lambda one: one.name)
def test_the_defaults_of_record_and_network_agree(family: records.Family) -> None:
    with torch.device("meta"):  # shapes without values
        by_record, by_network = family.build(**dict(family.params())), family.build()
    assert by_record.count_parameters() == by_network.count_parameters()
    with pytest.raises(ValidationError):
        family.params.model_validate({"width": 0})


def test_another_package_adds_a_family(monkeypatch: pytest.MonkeyPatch) -> None:
    compact = families()["compact"]
    plug_in(monkeypatch, "edgerecon.families", records.Family("theirs", compact.params, compact.build))
    assert "theirs" in families.__wrapped__()  # type: ignore[attr-defined]


def _defaults(recipe: Recipe) -> Recipe:
    return recipe.model_copy(update={"model": recipe.model.model_copy(update={"params": {}})})
