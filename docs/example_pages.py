"""For the site: a page of all examples, each with what it printed and the picture it made when the site was built."""

from __future__ import annotations

import ast
import io
import os
import runpy
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stdout
from pathlib import Path
from typing import Any
from unittest.mock import patch

EXAMPLES = Path(__file__).resolve().parents[1] / "examples"
PAGE = "examples.md"
EXECUTED = ("denoise_one_frame", "stream_to_numpy", "custom_source", "custom_engine", "beamform_points")
"""In the order of the page; the others follow, and need an archive, a training or a compiler."""
BEGINNING = """\
# Examples

Programs of under 40 lines, in `examples/` of the checkout. The output is what each gave when this site was built.
"""


def example_files() -> Iterator[tuple[str, bytes]]:
    """(name within the site's sources, content): the pictures, then the page.

    Raises:
        Exception: whatever an example raises; the site is not built then.
    """
    sections = [BEGINNING]
    for name in EXECUTED:
        path = EXAMPLES / f"{name}.py"
        said, pictures = executed(path)
        sections.append(section(path))
        sections.append(f"It prints:\n\n```text\n{said.strip()}\n```\n")
        for picture, content in pictures.items():
            yield f"examples/{picture}", content
            sections.append(f"![The picture that {path.name} writes](examples/{picture})\n")
    others = (path for path in EXAMPLES.iterdir() if path.is_file() and path.stem not in EXECUTED)
    sections += [section(path) for path in sorted(others)]
    yield PAGE, "\n".join(sections).encode()


def section(path: Path) -> str:
    """Heading and code of one example; of one in Python, its first sentence is the heading."""
    text, language = path.read_text(encoding="utf-8"), "c" if path.suffix == ".c" else "python"
    heading = path.name
    if language == "python":
        heading = (ast.get_docstring(ast.parse(text)) or path.name).partition("\n")[0].partition(":")[0].rstrip(".")
    return f"## {heading}\n\n`examples/{path.name}`\n\n```{language}\n{text.rstrip()}\n```\n"


def executed(path: Path) -> tuple[str, dict[str, bytes]]:
    """What an example prints, and the pictures that it writes into its working folder."""
    said = io.StringIO()
    with tempfile.TemporaryDirectory() as folder, working_in(folder), patch.object(sys, "argv", [str(path)]):
        with redirect_stdout(said):
            runpy.run_path(str(path), run_name="__main__")
        pictures = {picture.name: picture.read_bytes() for picture in sorted(Path(folder).glob("*.png"))}
    return said.getvalue(), pictures


@contextmanager
def working_in(folder: str) -> Iterator[None]:
    before = os.getcwd()
    os.chdir(folder)
    try:
        yield
    finally:
        os.chdir(before)


def on_files(files: Any, config: Any) -> Any:
    """Add the page and its pictures to the site (a hook of MkDocs)."""
    from mkdocs.structure.files import File

    for name, content in example_files():
        files.append(File.generated(config, name, content=content))
    return files
