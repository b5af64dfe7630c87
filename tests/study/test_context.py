"""What decides whether a checkpoint of the study is taken over."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from edgerecon.study.context import code_of


def plain(value: int) -> int:
    """Twice the value."""
    text = "kept"  # of the code
    return len(text) + 2 * value


def reworded() -> Callable[..., Any]:
    def plain(value: int) -> int:
        """
        The double.

        Of the value.
        """

        text = "kept"
        # the same sum
        return len(text) + 2 * value

    return plain


def changed_number() -> Callable[..., Any]:
    def plain(value: int) -> int:
        """Twice the value."""
        text = "kept"  # of the code
        return len(text) + 3 * value

    return plain


def changed_text() -> Callable[..., Any]:
    def plain(value: int) -> int:
        """Twice the value."""
        text = "other"  # of the code
        return len(text) + 2 * value

    return plain


def test_another_docstring_or_comment_is_the_same_code() -> None:
    assert code_of(plain) == code_of(reworded())


def test_another_number_or_text_is_other_code() -> None:
    assert len({code_of(plain), code_of(changed_number()), code_of(changed_text())}) == 3


def test_a_lambda_amid_a_call_keeps_its_source() -> None:
    found = [
        lambda value: value + 1,
    ]
    assert "value + 1" in code_of(found[0])
