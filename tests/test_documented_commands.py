"""Every command that a text tells to type exists: its verb and its options, or its target of make."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from typer.main import get_command

from edgerecon.cli.main import app

ROOT = Path(__file__).parents[1]
PAGES = ("*.md", "docs/*.md", "docs/*/*.md", "*/README.md", "kernels/hls/README.md")
TEXTS = sorted({path for page in PAGES for path in ROOT.glob(page)})
CODE = re.compile(r"^```\w*\n((?s:.*?))^```|((?:^(?: {4}|\t).*\n)+)|`([^`\n]+)`", re.MULTILINE)
TYPED = re.compile(r"\s*(?:[A-Z_]+=\S+ )*(?:\S*bin/)?((?:edgerecon(?! needs)|make) [a-z].*)")
TARGETS = re.findall(r"^([a-z][\w -]*?)(?:: | [^:=\n]*: |:$)", (ROOT / "Makefile").read_text(encoding="utf-8"), re.M)

VERBS = get_command(app)


def commands(text: str) -> Iterator[str]:
    """What stands in code, continued lines joined, without comments."""
    for block in map("".join, CODE.findall(text.replace("\\\n", " "))):
        for line in block.splitlines():
            if found := TYPED.match(line):
                yield found[1].partition(" #")[0].strip()


def faults(command: str) -> list[str]:
    """Targets, verbs and options that are not there."""
    program, *words = command.replace('"', " ").replace("'", " ").split()
    if program == "make":
        return [word for word in words[:1] if word not in " ".join(TARGETS).split()]
    tree: Any = VERBS
    while words and hasattr(tree, "commands") and re.fullmatch(r"[a-z][\w-]*,?", words[0]):
        verb = words.pop(0).rstrip(",")
        if verb not in tree.commands:
            return [verb]
        tree = tree.commands[verb]
    known = {"--help", *(name for one in tree.params for name in (*one.opts, *one.secondary_opts))}
    options = [word.partition("=")[0] for word in words if re.match(r"--[a-z]", word)]
    return [name for name in options if name.rstrip(",;:") not in known]


@pytest.mark.parametrize("path", TEXTS, ids=lambda path: str(path.relative_to(ROOT)))
def test_commands_of_a_text_exist(path: Path) -> None:
    wrong = {command: faults(command) for command in commands(path.read_text(encoding="utf-8"))}
    assert {command: found for command, found in wrong.items() if found} == {}


def test_wrong_verbs_options_and_targets_are_found() -> None:
    assert faults("edgerecon steam sample") == ["steam"] and faults("make tea") == ["tea"] and faults("make demo") == []
    assert faults("edgerecon stream sample --looop") == ["--looop"]
    assert list(commands("text\n\n    edgerecon bench --json x.json   # all\n\nand `make demo`")) == [
        "edgerecon bench --json x.json",
        "make demo",
    ]
