"""One line of a library's own is left out of stderr, and nothing else is."""

from __future__ import annotations

import os

import pytest

from edgerecon.engines.stderr_line import without_line


def test_other_lines_follow(capfd: pytest.CaptureFixture[str]) -> None:
    with without_line(b"a delegate"):
        os.write(2, b"before\nINFO: a delegate\nafter\n")
    os.write(2, b"later\n")
    assert capfd.readouterr().err == "before\nafter\nlater\n"


def test_other_lines_follow_when_the_body_fails(capfd: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(OSError, match="of the body"), without_line(b"a delegate"):
        os.write(2, b"the reason\n")
        raise OSError("of the body")
    assert capfd.readouterr().err == "the reason\n"
