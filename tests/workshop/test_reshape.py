"""Another width or depth of a recipe: what follows, and the recipe that is kept."""

from __future__ import annotations

from pathlib import Path

import pytest

from edgerecon.core.errors import RecipeError
from edgerecon.core.shipped import resource_dir
from edgerecon.workshop.recipe import load_recipe
from edgerecon.workshop.reshape import DEPTHS, dilations, keep_recipe, reshaped

FOLDER = resource_dir("export")


@pytest.mark.parametrize("name", ["compact-despeckle-small", "compact-despeckle-w8d4"])
def test_the_dilations_are_those_of_the_shipped_recipes(name: str) -> None:
    shape = load_recipe(FOLDER / f"{name}.toml").model.shape.model_dump()
    assert dilations(shape["depth"]) == shape["dilations"]


def test_dilations_are_symmetric_and_keep_the_ends_dense() -> None:
    for depth in range(2, 20):
        spread = dilations(depth)
        assert len(spread) == depth and spread == spread[::-1] and spread[0] == 1 and max(spread) <= 3
    fields = [sum(dilations(depth)) for depth in DEPTHS]
    assert fields == sorted(set(fields)), "deeper sees further"


def test_the_kept_recipe_is_the_recipe(tmp_path: Path) -> None:
    for base, width, depth in (
        ("compact-despeckle-small", 24, 8),
        ("compact-despeckle-small", None, 4),
        ("compact-compound", 8, 4),
    ):
        path = FOLDER / f"{base}.toml"
        made = reshaped(load_recipe(path), width, depth)
        assert load_recipe(keep_recipe(made, path, tmp_path)) == made
        before, after = load_recipe(path), made.model.shape.model_dump()
        assert made.model.name == f"{base}-w{after['width']}d{after['depth']}"
        assert after["width"] == (width or before.model.params["width"])
        assert made.sha256() != before.sha256()
        assert bool(after["dilations"]) == (base == "compact-despeckle-small")
    narrow = reshaped(load_recipe(FOLDER / "compact-despeckle-small.toml"), 8, None)
    assert narrow.model.params["dilations"] == [1, 2, 3, 3, 2, 1]


@pytest.mark.parametrize(
    ("family", "depth", "message"),
    [
        ("hybrid", 3, "model.family: hybrid has no depth: leave out  --depth"),
        ("unet", 8, "model.depth: it should be less than or equal to 6, not 8"),
    ],
)
def test_a_shape_that_the_family_has_not_is_refused(family: str, depth: int, message: str) -> None:
    recipe = load_recipe(FOLDER / "compact-compound.toml")
    other = recipe.model.model_copy(update={"family": family, "params": {}})
    with pytest.raises(RecipeError, match=message):
        reshaped(recipe.model_copy(update={"model": other}), None, depth)


def test_a_name_without_room_is_said() -> None:
    recipe = load_recipe(FOLDER / "compact-despeckle.toml")
    long = recipe.model_copy(update={"model": recipe.model.model_copy(update={"name": "a" * 62})})
    with pytest.raises(RecipeError, match=r"model\.name"):
        reshaped(long, 8, 4)
