"""The tables of README.md and docs/ are those of the committed results and of the records."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from bench import readme, readme_kinds
from edgerecon.stream.filters.filter import stream_filters

ROOT = Path(__file__).resolve().parents[2]


def test_no_table_has_drifted_from_the_results() -> None:
    for page, makers in readme.PAGES.items():
        text = (ROOT / page).read_text(encoding="utf-8")
        blocks = {name: make(readme.RESULTS) for name, make in makers.items()}
        assert readme.renewed(text, blocks) == text, f"{page}: run  python bench/readme.py"
        for name, block in blocks.items():
            dated = re.search(r"20\d\d-\d\d-\d\d, commit [0-9a-f]{9}", block)
            from_records = makers[name].__module__ == readme_kinds.__name__
            assert dated or from_records or "\n" not in block, f"{name} does not say when it was measured"
            assert readme.renewed(text, {name: "another"}) != text
        with pytest.raises(ValueError, match="the page holds no"):
            readme.renewed("no marks", blocks)


def test_the_filters_of_a_stream_stand_with_their_defaults() -> None:
    text = (ROOT / "docs/stream/model.md").read_text(encoding="utf-8")
    for kind in stream_filters().values():
        values = ", ".join(f"`{one.name}={one.default:g}`" for one in kind.parameters)
        assert re.search(rf"^\| `{kind.name}` \| .* \| {re.escape(values)} \|$", text, re.MULTILINE), kind.name


def test_the_readme_is_short_and_has_one_table() -> None:
    lines = (ROOT / "README.md").read_text(encoding="utf-8").splitlines()
    assert len(lines) <= 150
    assert sum(line.startswith("|--") for line in lines) == 1
