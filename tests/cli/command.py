"""The command line, called in this process, and what a call returns."""

from __future__ import annotations

import sys
from collections.abc import Callable

import pytest

from edgerecon.cli import main as cli

Cli = Callable[..., tuple[int, str, str]]


def in_this_process(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Cli:
    """A function that runs the command line → (exit status, stdout, stderr)."""

    def run(*arguments: object) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", ["edgerecon", *map(str, arguments)])
        monkeypatch.setenv("COLUMNS", "160")
        status = 0
        try:
            cli.main()
        except SystemExit as end:
            status = int(end.code or 0)
        captured = capsys.readouterr()
        return status, captured.out, captured.err

    return run


def assert_one_line(result: tuple[int, str, str], status: int, says: str) -> None:
    assert result[0] == status
    assert says in result[2]
    assert result[2].startswith("edgerecon: ") and result[2].count("\n") == 1, result[2]
