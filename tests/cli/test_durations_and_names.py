"""Durations and names of models, as every verb takes them."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from edgerecon.cli.main import app
from edgerecon.cli.verbs.duration import milliseconds, seconds
from edgerecon.cli.verbs.names import complete_model, recipe_path
from edgerecon.core.errors import RecipeError, UsageError
from edgerecon.core.shipped import resource_dir
from edgerecon.modelfile.catalogue import model_path, shipped_models


@pytest.mark.parametrize(
    ("text", "expected"),
    [("33", 33.0), ("33ms", 33.0), ("0.1s", 100.0), (" 5 MS ", 5.0), ("250us", 0.25), ("2min", 120e3)],
)
def test_a_duration_is_milliseconds_or_has_a_unit(text: str, expected: float) -> None:
    assert milliseconds(text) == pytest.approx(expected)


@pytest.mark.parametrize(("text", "expected"), [("10", 10.0), ("10s", 10.0), ("500ms", 0.5), ("1min", 60.0)])
def test_an_option_named_for_seconds_takes_seconds(text: str, expected: float) -> None:
    assert seconds(text) == pytest.approx(expected)


@pytest.mark.parametrize("text", ["soon", "", "0", "-3ms", "nan", "inf", "1e999s", "5 parsecs"])
def test_what_is_no_duration_is_refused(text: str) -> None:
    with pytest.raises(UsageError, match="give for example 33ms or 0.1s"):
        milliseconds(text)


def test_a_model_is_a_name_a_path_or_a_recipe(tmp_path: Path) -> None:
    folder = resource_dir("export")
    assert model_path(folder / "compact-despeckle.toml") == folder / "compact-despeckle.onnx"
    assert model_path(str(folder / "compact-despeckle-small.toml")) == folder / "compact-despeckle-small.onnx"
    (tmp_path / "empty.toml").write_text("[model]\n")
    with pytest.raises(RecipeError, match=r"\[model\] has no name"):
        model_path(tmp_path / "empty.toml")


def test_a_recipe_is_a_path_or_a_shipped_name(tmp_path: Path) -> None:
    folder = resource_dir("export")
    assert recipe_path("compact-despeckle") == folder / "compact-despeckle.toml"
    assert recipe_path("compact-despeckle-int8") == folder / "compact-despeckle.toml"
    assert recipe_path("mine.toml") == Path("mine.toml")


def test_the_shell_completes_shipped_names() -> None:
    assert set(complete_model("compact-fpga")) == {name for name in shipped_models() if name.startswith("compact-fpga")}


def test_models_lists_every_file_that_ships(tmp_path: Path) -> None:
    out = tmp_path / "models.json"
    result = CliRunner().invoke(app, ["models", "--json", str(out)])
    assert result.exit_code == 0, result.output
    rows = json.loads(out.read_text())
    assert [row["name"] for row in rows] == shipped_models()
    assert all(row["size_kb"] > 0 and row["task"] and row["variant"] for row in rows)


@pytest.mark.parametrize(
    "verb", ["", *(command.name or command.callback.__name__ for command in app.registered_commands)]
)
def test_help_lines_are_whole_at_80_columns(verb: str) -> None:
    shown = CliRunner().invoke(app, [verb, "--help"] if verb else ["--help"], env={"COLUMNS": "80"}).output
    assert max(map(len, shown.splitlines())) <= 80
    commands = shown.partition("Commands:")[2]
    assert "..." not in commands
