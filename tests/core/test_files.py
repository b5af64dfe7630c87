"""A file is replaced whole or stays as it was, and what prevents it is one line."""

from __future__ import annotations

import errno
import os
import stat
from pathlib import Path

import pytest

from edgerecon.core.errors import EdgereconError
from edgerecon.core.files import write
from tests.support.disk_calls import calls_to_the_disk


def test_a_file_is_replaced_and_nothing_else_is_left(tmp_path: Path) -> None:
    for content in (b"first", b"", b"last"):
        write(tmp_path / "a", content)
    assert [(path.name, path.read_bytes()) for path in tmp_path.iterdir()] == [("a", b"last")]


def test_the_old_file_survives_a_disk_that_is_full(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write(tmp_path / "a", b"old")

    def full(source: Path, target: Path) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "replace", full)
    with pytest.raises(EdgereconError, match="cannot write .*a: No space left on device"):
        write(tmp_path / "a", b"new")
    assert [(path.name, path.read_bytes()) for path in tmp_path.iterdir()] == [("a", b"old")]


@pytest.mark.parametrize("place", ["absent/a", "file/a", "folder"])
def test_a_place_that_cannot_be_written_is_one_line(tmp_path: Path, place: str) -> None:
    (tmp_path / "file").write_text("")
    (tmp_path / "folder").mkdir()
    with pytest.raises(EdgereconError, match="cannot write"):
        write(tmp_path / place, b"")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["file", "folder"]


def test_pipe_or_device_is_written_to_and_stays(tmp_path: Path) -> None:
    """`--json /dev/null` as root once put a file in the place of the device."""
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    reader = os.open(pipe, os.O_RDONLY | os.O_NONBLOCK)
    try:
        write(pipe, b"found")
        assert os.read(reader, 99) == b"found" and pipe.is_fifo()
    finally:
        os.close(reader)
    assert [path.name for path in tmp_path.iterdir()] == ["pipe"]


def test_a_file_is_on_the_disk_before_it_takes_its_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    done = calls_to_the_disk(monkeypatch)
    write(tmp_path / "a", b"whole")
    assert done == ["flush .a.partial", "rename .a.partial", f"flush {tmp_path.name}"]


def test_a_file_system_that_syncs_no_folders_is_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(handle: int) -> None:
        if stat.S_ISDIR(os.fstat(handle).st_mode):
            raise OSError(errno.EINVAL, "Invalid argument")

    monkeypatch.setattr(os, "fsync", refuse)
    write(tmp_path / "a", b"whole")
    assert (tmp_path / "a").read_bytes() == b"whole"
