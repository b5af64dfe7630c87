"""Links of what people read: every file that a text names is there, and so is every heading."""

from __future__ import annotations

import re
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
FOLDERS = ("docs", "bench", "devices", "kernels", "export", "examples", ".github")
TEXTS = sorted({*ROOT.glob("*.md"), *(text for folder in FOLDERS for text in (ROOT / folder).rglob("*.md"))})
LINK = re.compile(r"\[[^\]]*\]\(([^)\s]+)(?:\s+\"[^\"]*\")?\)")


def prose(path: Path) -> str:
    """The text without its code: neither fenced, nor indented after an empty line, nor in backticks."""
    text = re.sub(r"^( *)(```+).*?^\1\2\s*$", "", path.read_text(encoding="utf-8"), flags=re.DOTALL | re.MULTILINE)
    text = re.sub(r"(?<=\n\n)(?:(?: {4}|\t).*\n)+", "", text)
    return re.sub(r"`[^`\n]+`", "`code`", text)


@cache
def anchors(path: Path) -> frozenset[str]:
    """Names of the headings, as GitHub and Python-Markdown make them."""
    text = re.sub(r"^```.*?^```", "", path.read_text(encoding="utf-8"), flags=re.DOTALL | re.MULTILINE)
    found = set()
    for heading in re.findall(r"^#+ (.+?)\s*$", text, flags=re.MULTILINE):
        plain = re.sub(r"\[([^\]]*)\]\([^)]*\)", r"\1", heading).lower()
        kept = re.sub(r"[^\w\s-]", "", plain)
        found |= {kept.replace(" ", "-"), re.sub(r"[-\s]+", "-", kept).strip("-")}
    return frozenset(found)


def broken(path: Path) -> list[str]:
    """Links of a text that lead nowhere in this checkout; the web is not asked."""
    faults = []
    for link in LINK.findall(prose(path)):
        if re.match(r"[a-z]+:", link):
            continue
        name, _, anchor = link.partition("#")
        target = (path.parent / name).resolve() if name else path
        if not target.exists() or (anchor and target.suffix == ".md" and anchor not in anchors(target)):
            faults.append(link)
    return faults


@pytest.mark.parametrize("path", TEXTS, ids=lambda path: str(path.relative_to(ROOT)))
def test_links_lead_somewhere(path: Path) -> None:
    assert broken(path) == []


def test_missing_files_and_headings_are_found(tmp_path: Path) -> None:
    (tmp_path / "there.md").write_text("# A heading, here\n")
    text = tmp_path / "text.md"
    text.write_text(
        "[a](there.md#a-heading-here) [b](there.md#gone) [c](gone.md)\n\n    [d](code.md)\n\n`[e](code.md)`\n"
    )
    assert broken(text) == ["there.md#gone", "gone.md"]


def test_readme_is_at_most_150_lines() -> None:
    assert len((ROOT / "README.md").read_text(encoding="utf-8").splitlines()) <= 150


def test_readme_names_every_verb() -> None:
    from typer.main import get_command

    from edgerecon.cli.main import app

    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    verbs = get_command(app).commands  # type: ignore[attr-defined]
    assert [verb for verb in verbs if not re.search(rf"`(edgerecon )?{verb}\b", readme)] == []
