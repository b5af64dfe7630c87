"""The conda recipe says what pyproject.toml says."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from edgerecon.core import __version__

yaml = pytest.importorskip("yaml", reason="pip install pyyaml")
ROOT = Path(__file__).resolve().parents[2]
RECIPE = yaml.safe_load((ROOT / "conda" / "recipe.yaml").read_text(encoding="utf-8"))
RENAMED = {"opencv-python-headless": "py-opencv"}
"""Name on PyPI → on conda-forge."""


def test_recipe_is_of_this_version() -> None:
    assert RECIPE["context"]["version"] == __version__


def test_recipe_needs_what_the_package_needs() -> None:
    text = (ROOT / "pyproject.toml").read_text(encoding="utf-8")
    (block,) = re.findall(r"^dependencies = \[\n(.*?)^\]", text, re.MULTILINE | re.DOTALL)
    wanted = {RENAMED.get(name, name): bound for name, bound in re.findall(r'"([\w-]+)(>=[\d.]+)', block)}
    given = dict(line.split() for line in RECIPE["requirements"]["run"])
    assert given.pop("python") == ">=3.10" and given == wanted
