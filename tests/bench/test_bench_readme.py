"""The README's table is that of the committed result."""

from __future__ import annotations

import importlib.util
from pathlib import Path

import pytest

from edgerecon.bench.compare import read_result
from edgerecon.bench.markdown import markdown

ROOT = Path(__file__).resolve().parents[2]


def test_the_readme_has_not_drifted() -> None:
    spec = importlib.util.spec_from_file_location("readme", ROOT / "bench/readme.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    table = markdown(read_result(module.RESULT))
    assert module.renewed(text, table) == text, "run  python bench/readme.py"
    assert module.renewed(text, "another") != text
    with pytest.raises(ValueError, match="README.md holds no"):
        module.renewed("no marks", table)
