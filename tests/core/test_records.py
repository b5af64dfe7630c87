"""Records of other packages are found; one that cannot be loaded takes nothing else with it."""

from __future__ import annotations

from dataclasses import dataclass

import pytest

from edgerecon.core.records import find_records
from tests.support.plug_in import plug_in

GROUP = "edgerecon.tests"


@dataclass(frozen=True)
class Record:
    name: str


def test_a_record_of_another_package_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    plug_in(monkeypatch, GROUP, Record("theirs"))
    assert find_records(Record, "RECORD", (), GROUP) == [Record("theirs")]


@pytest.mark.parametrize(
    ("broken", "said"),
    [(ImportError("no module named theirs"), "cannot be loaded: no module named theirs"), ("text", "is no Record")],
)
def test_a_broken_plug_in_is_left_out(monkeypatch, caplog, broken: object, said: str) -> None:
    plug_in(monkeypatch, GROUP, broken)
    assert find_records(Record, "RECORD", (), GROUP) == []
    assert f"the plug-in 'mine' of {GROUP} {said}" in caplog.text
