"""The tables of README.md and docs/results.md are those of the committed results."""

from __future__ import annotations

import importlib.util
import re
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parents[2]


def readme_script() -> Any:
    spec = importlib.util.spec_from_file_location("readme", ROOT / "bench/readme.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_no_table_has_drifted_from_the_results() -> None:
    script = readme_script()
    for page, makers in script.PAGES.items():
        text = (ROOT / page).read_text(encoding="utf-8")
        blocks = {name: make(script.RESULTS) for name, make in makers.items()}
        assert script.renewed(text, blocks) == text, f"{page}: run  python bench/readme.py"
        for name, block in blocks.items():
            assert re.search(r"20\d\d-\d\d-\d\d, commit [0-9a-f]{9}", block), (
                f"{name} does not say when it was measured"
            )
            assert script.renewed(text, {name: "another"}) != text
        with pytest.raises(ValueError, match="the page holds no"):
            script.renewed("no marks", blocks)


def test_the_readme_is_short_and_has_one_table() -> None:
    lines = (ROOT / "README.md").read_text(encoding="utf-8").splitlines()
    assert len(lines) <= 150
    assert sum(line.startswith("|--") for line in lines) == 1
