"""The rules of style that can be counted, see CONTRIBUTING.md."""

from __future__ import annotations

import ast
import re
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
LONGEST_NAME, LONGEST_FILE, LONGEST_FUNCTION, MOST_UNFORMATTED = 60, 400, 50, 40


def sources(*folders: str) -> dict[str, str]:
    """Path within the checkout → text."""
    paths = (path for folder in folders for path in (ROOT / folder).rglob("*.py"))
    return {str(path.relative_to(ROOT)): path.read_text(encoding="utf-8") for path in paths}


def test_names_of_tests_are_at_most_60_characters() -> None:
    names = {
        name: path for path, text in sources("tests").items() for name in re.findall(r"^ *def (test_\w+)", text, re.M)
    }
    assert len(names) > 1000
    assert {name: path for name, path in names.items() if len(name) > LONGEST_NAME} == {}


def test_a_file_has_at_most_400_lines() -> None:
    lengths = {
        path: len(text.splitlines()) for path, text in sources("edgerecon", "bench", "examples", "tests").items()
    }
    assert len(lengths) > 600
    assert {path: lines for path, lines in lengths.items() if lines > LONGEST_FILE} == {}


def test_a_function_has_at_most_50_lines_beside_its_docstring() -> None:
    lengths = {
        f"{path}: {one.name}": code_lines(one)
        for path, text in sources("edgerecon", "bench", "examples", "tools").items()
        for one in ast.walk(ast.parse(text))
        if isinstance(one, ast.FunctionDef | ast.AsyncFunctionDef)
    }
    assert len(lengths) > 2000
    assert {name: lines for name, lines in lengths.items() if lines > LONGEST_FUNCTION} == {}


def code_lines(function: ast.FunctionDef | ast.AsyncFunctionDef) -> int:
    """Lines of a function without its docstring, which describes and is never too long to read."""
    first = function.body[0]
    docstring = (first.end_lineno or 0) - first.lineno + 1 if ast.get_docstring(function) is not None else 0
    return (function.end_lineno or 0) - function.lineno + 1 - docstring


def test_programs_that_tests_run_have_a_limit_of_time() -> None:
    endless = [
        f"{path}:{call.lineno}"
        for path, text in sources("tests", "bench/suites").items()
        if "subprocess." in text
        for call in ast.walk(ast.parse(text))
        if isinstance(call, ast.Call) and ast.unparse(call.func) in ("subprocess.run", "subprocess.check_output")
        if not {"timeout", None} & {keyword.arg for keyword in call.keywords}
    ]
    assert endless == []


def test_the_formatter_formats_nearly_everything() -> None:
    skipped = sum(text.count("# fmt: skip") for text in sources("edgerecon", "bench", "tests", "examples").values())
    assert skipped < MOST_UNFORMATTED


def test_examples_have_the_heading_that_the_site_knows() -> None:
    """Under "Example:" the site shows ">>>" as three quotations."""
    known = [text.count("Examples:\n") for text in sources("edgerecon").values()]
    assert sum(known) > 10
    assert [path for path, text in sources("edgerecon").items() if re.search(r"^ *Example:\n *>>>", text, re.M)] == []
