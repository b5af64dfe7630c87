"""A package that is absent, and one that is there and does not load, are two things."""

from __future__ import annotations

import ast
import sys
from pathlib import Path

import pytest

import edgerecon
from edgerecon.cli import main as cli
from edgerecon.core.errors import DependencyError, LoadError, needed
from edgerecon.engines import open_engine

OUT_OF_MEMORY = "libav.so: failed to map segment from shared object: Cannot allocate memory"


def test_absent_and_broken_are_told_apart(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(DependencyError, match=r"^pyuff-ustb is not installed: run  pip install 'edgerecon\[stream\]'$"):
        with needed("stream", "pyuff-ustb"):
            raise ModuleNotFoundError("No module named 'pyuff_ustb'", name="pyuff_ustb")
    with pytest.raises(DependencyError, match=r"^numba is not installed"), needed("train"):
        raise ModuleNotFoundError("No module named 'numba.core'", name="numba.core")
    for error in (ImportError(OUT_OF_MEMORY, name="av"), OSError(12, "Cannot allocate memory"), MemoryError()):
        with (
            pytest.raises(LoadError, match="^av is installed and does not load .*: free memory"),
            needed("stream", "av"),
        ):
            raise error


def test_no_other_place_calls_a_failed_import_absent() -> None:
    """``except ImportError`` takes both; whoever says "not installed" goes through ``needed``."""
    found = []
    for file in Path(edgerecon.__file__).parent.rglob("*.py"):
        for node in ast.walk(ast.parse(file.read_text())):
            if isinstance(node, ast.ExceptHandler) and node.type is not None:
                takes_both = "ImportError" in ast.unparse(node.type).replace("ModuleNotFoundError", "")
                if takes_both and "DependencyError" in ast.unparse(ast.Module(node.body, [])):
                    found.append(f"{file.name}:{node.lineno}")
    assert found == []


@pytest.mark.parametrize(
    ("error", "says"),
    [
        (ImportError(OUT_OF_MEMORY, name="torch"), "torch is installed and does not load"),
        (ModuleNotFoundError("No module named 'torch'", name="torch"), "torch is not installed"),
        (MemoryError(), "out of memory"),
    ],
)
def test_the_command_line_says_which(
    error: Exception, says: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def fails() -> None:
        raise error

    monkeypatch.setattr(cli, "app", fails)
    with pytest.raises(SystemExit) as left:
        cli.main()
    assert left.value.code == 1 and f"edgerecon: {says}" in capsys.readouterr().err


def test_a_runtime_that_does_not_load_is_not_called_absent(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    broken = tmp_path / "onnxruntime"
    broken.mkdir()
    (broken / "__init__.py").write_text(f"raise ImportError({OUT_OF_MEMORY!r}, name='onnxruntime')\n")
    for name in [name for name in sys.modules if name.partition(".")[0] == "onnxruntime"]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.syspath_prepend(str(tmp_path))
    with pytest.raises(LoadError, match="onnxruntime is installed and does not load"):
        open_engine("compact-despeckle", "onnxruntime")
