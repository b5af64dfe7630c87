"""Records are found in folders and in other packages, and no file is imported before its record is asked for."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from pathlib import Path

import pytest

from edgerecon.core.records import Records
from tests.support.plug_in import plug_in

GROUP = "edgerecon.tests"


@dataclass(frozen=True)
class Record:
    name: str
    rank: int = 0


def records(*folders: str) -> Records[Record]:
    return Records(Record, "RECORD", folders, GROUP, order=lambda one: one.rank)


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """A package with a record in each of three files: one like its file, one called otherwise, and two in one file."""
    name = f"rooms_{tmp_path.name.replace('-', '_')}"
    (tmp_path / name).mkdir()
    files = {"__init__": "", "first": 'RECORD = Record("first", 3)', "second": 'RECORD = Record("other", 2)'}
    files |= {"third": 'RECORD = (Record("third", 1), Record("fourth", 4))', "plain": "X = 1"}
    for file, text in files.items():
        (tmp_path / name / f"{file}.py").write_text(f"from {__name__} import Record\n{text}\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    return name


def imported(folder: str) -> set[str]:
    return {name.rpartition(".")[2] for name in sys.modules if name.startswith(f"{folder}.")}


def test_a_record_costs_the_import_of_its_file_alone(folder: str) -> None:
    found = records(folder)
    assert imported(folder) == set()
    assert found["first"] == Record("first", 3) and imported(folder) == {"first"}
    assert "third" in found and imported(folder) == {"first", "third"}
    assert list(found) == ["third", "other", "first", "fourth"] and len(found) == 4
    assert found["other"].rank == 2 and "none" not in found and "no.name" not in found and 7 not in found
    with pytest.raises(KeyError):
        found["plain"]


def test_a_record_of_another_package_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    plug_in(monkeypatch, GROUP, Record("theirs"))
    assert dict(records()) == {"theirs": Record("theirs")}


def test_another_package_may_bring_several_records(monkeypatch: pytest.MonkeyPatch) -> None:
    plug_in(monkeypatch, GROUP, (Record("one"), Record("two")))
    assert list(records()) == ["one", "two"]


def test_a_name_that_is_taken_stays_ours(folder: str, monkeypatch, caplog) -> None:
    plug_in(monkeypatch, GROUP, Record("first", 9))
    found = records(folder)
    assert len(found) == 4 and found["first"].rank == 3
    assert "brings 'first', a name that is taken: it is left out" in caplog.text


@pytest.mark.parametrize(
    ("broken", "said"),
    [
        (ImportError("no module named theirs"), "cannot be loaded: no module named theirs"),
        (SystemExit("it wants a licence"), "cannot be loaded: SystemExit: it wants a licence"),
        ("text", "is no Record"),
    ],
)
def test_a_broken_plug_in_is_left_out(monkeypatch, caplog, broken: object, said: str) -> None:
    plug_in(monkeypatch, GROUP, broken)
    assert len(records()) == 0
    assert f"the plug-in 'mine' of {GROUP} {said}" in caplog.text
