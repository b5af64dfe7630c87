"""What a call of the command line returns."""

from __future__ import annotations

from collections.abc import Callable

Cli = Callable[..., tuple[int, str, str]]


def assert_one_line(result: tuple[int, str, str], status: int, says: str) -> None:
    assert result[0] == status
    assert says in result[2]
    assert result[2].startswith("edgerecon: ") and result[2].count("\n") == 1, result[2]
