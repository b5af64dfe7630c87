"""Networks from recipes: every family gets its parameters, and foreign ones are named."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from edgerecon.core.errors import DataError, RecipeError, UsageError
from edgerecon.workshop.models import build_model
from edgerecon.workshop.recipe import Recipe
from edgerecon.workshop.train.checkpoint import load_model, new_model, save_checkpoint

OTHER_SIZE = ("srcnn", "srresnet", "rrdb", "densenet")


def recipe(**model: Any) -> Recipe:
    return Recipe.model_validate(
        {
            "model": {"name": "tiny", "task": "despeckle", **model},
            "data": {"simulate": "edgerecon simulate t.h5", "file": "t.h5", "inputs": ["pw31"], "target": "clean"},
            "train": {"steps": 1},
        }
    )


@pytest.mark.parametrize("family", OTHER_SIZE)
def test_a_family_with_pictures_of_another_size_is_refused(family: str) -> None:
    with pytest.raises(RecipeError, match=f"model.family: {family} does not give pictures of the frame's size"):
        new_model(recipe(family=family, width=4))


def test_a_recipe_shapes_the_network() -> None:
    assert (
        new_model(recipe(width=4, depth=3)).count_parameters() < new_model(recipe(width=8, depth=3)).count_parameters()
    )
    dncnn = new_model(recipe(family="dncnn", params={"width": 4, "dilations": [1, 2, 1]}))
    assert dncnn.receptive_field == build_model("dncnn", width=4, dilations=(1, 2, 1)).receptive_field


@pytest.mark.parametrize(
    ("model", "message"),
    [
        ({"family": "hybrid", "depth": 4}, "family 'hybrid': depth: there is no such key: .*Known: width$"),
        ({"family": "conv_rnn", "depth": 2, "dilations": [1, 2]}, "dilations: there is no such key"),
        ({"family": "unet", "depth": 2, "dilations": [1, 2]}, "dilations: there is no such key"),
    ],
)
def test_a_key_that_a_family_does_not_take_is_named(model: dict[str, Any], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        new_model(recipe(**model))


def test_arguments_of_a_family_are_named_without_python(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="family 'hybrid': colour: there is no such key: remove it. Known: width$"):
        build_model("hybrid", width=4, colour=1)
    with pytest.raises(UsageError, match="unknown model family 'gan': choose one of apodisation, compact, conv_rnn, "):
        build_model("gan")
    save_checkpoint(tmp_path / "a.pt", {"model": {}, "channels": [3, 3]})
    with pytest.raises(DataError, match="was pruned, and the family hybrid cannot be"):
        load_model(recipe(family="hybrid"), tmp_path / "a.pt")
