"""Another package's entry points, for one test."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from edgerecon.core import records


class Point:
    """An entry point that gives a record, or raises what loading it raises."""

    def __init__(self, load: Callable[[], object]) -> None:
        self.name, self.load = "mine", load


def plug_in(monkeypatch: pytest.MonkeyPatch, group: str, record: object) -> None:
    """Install a package that brings one record. What was found before is to be forgotten by the caller."""
    points = records.points_of(group)

    def load() -> object:
        if isinstance(record, BaseException):
            raise record
        return record

    monkeypatch.setattr(records, "points_of", lambda asked: (*points, Point(load)) if asked == group else ())
