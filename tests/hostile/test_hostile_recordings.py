"""A folder in which somebody else has put what looks like recordings that were cut off, and ``recover`` in it."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from edgerecon.stream.sinks.files.part import leftovers
from edgerecon.stream.sinks.files.recover import recover

h5py = pytest.importorskip("h5py", reason="h5py is not installed: pip install 'edgerecon[stream]'")
zarr = pytest.importorskip("zarr", reason="zarr is not installed: pip install 'edgerecon[stream]'")

COLUMNS = {
    "frames": ("u1", (8, 8)),
    "before": ("u1", (8, 8)),
    "timestamps": ("f8", ()),
    "sequence": ("i8", ()),
    "frame_spacing_mm": ("f8", (2,)),
    "late": ("u1", ()),
}
TOLD = ("source", "model", "backend", "precision", "spacing_mm", "live", "lossy", "why")


def cut(folder: Path, ending: str) -> Path:
    return folder / f".out.{ending}.4194999.part"


def journal(folder: Path, shape: Any = (4, 4), query: Any = None, ending: str = "npz") -> Path:
    """A journal of three frames. Returns where their pixels lie."""
    info = dict.fromkeys(TOLD, "") | {"period_s": 0.1, "deadline_ms": 100.0, "spacing_mm": None}
    head = {"shape": shape, "query": query or {}, "began": "", "info": info}
    stamp = json.dumps([0, 0, 0, False, False, None, None])
    cut(folder, ending).write_text("\n".join([json.dumps(head), stamp, stamp, stamp, ""]))
    return cut(folder, ending).with_suffix(".spool")


def hdf5(folder: Path, rows: int, columns: Mapping[str, tuple[str, tuple[int, ...]]] = COLUMNS) -> None:
    with h5py.File(cut(folder, "h5"), "w") as file:
        file.attrs["period_s"] = 0.1
        for name, (kind, more) in columns.items():
            file.create_dataset(name, (rows, *more), kind, maxshape=(None, *more), chunks=(1, *more))


def zarr_group(folder: Path, rows: int = 3, chunk: int = 1, compressors: Any = None) -> Path:
    group = zarr.open_group(cut(folder, "zarr"), mode="w", zarr_format=3, attributes={"period_s": 0.1})
    for name, (kind, more) in COLUMNS.items():
        group.create_array(name, shape=(rows, *more), chunks=(chunk, *more), dtype=kind, compressors=compressors)
    return cut(folder, "zarr")


def sparse(path: Path, size: int, head: bytes = b"") -> None:
    with path.open("wb") as file:
        file.write(head)
        file.truncate(size)


REFUSED: dict[str, Callable[[Path], object]] = {
    "folder for a journal": lambda folder: cut(folder, "npz").mkdir(),
    "deep journal": lambda folder: cut(folder, "npz").write_bytes(b"[" * 200_000),
    "journal of digits": lambda folder: cut(folder, "npz").write_bytes(b'{"shape": [' + b"9" * 6000 + b", 1]}\n"),
    "journal of a list": lambda folder: cut(folder, "npz").write_bytes(b"[1, 2]\n"),
    "journal of 6 GB without a line": lambda folder: sparse(cut(folder, "npz"), 6 << 30),
    "frames of 10 gigapixels": lambda folder: sparse(journal(folder, (100_000, 100_000)), 40 << 30),
    "frames of no pixel": lambda folder: sparse(journal(folder, (0, 4)), 1000),
    "frames of a negative size": lambda folder: sparse(journal(folder, (-4, -4)), 1000),
    "pixels from a pipe": lambda folder: os.mkfifo(journal(folder)),
    "pixels of another file": lambda folder: journal(folder).symlink_to(__file__),
    "options of no sink": lambda folder: journal(folder, query={"kind": "nonsense"}, ending="dcm"),
    "options that are no words": lambda folder: journal(folder, query={"kind": 7, "source": [1]}, ending="dcm"),
    "name of a process of 200 digits": lambda folder: (folder / f".out.npz.{'9' * 200}.part").touch(),
    "name of process 0": lambda folder: (folder / ".out.npz.0.part").touch(),
    "hdf5 without frames": lambda folder: hdf5(folder, 3, {}),
    "hdf5 of words": lambda folder: hdf5(folder, 3, {name: (h5py.string_dtype(), ()) for name in COLUMNS}),
    "zarr with a link": lambda folder: (zarr_group(folder) / "x").symlink_to("/dev/zero"),
    "zarr with a pipe": lambda folder: os.mkfifo(zarr_group(folder) / "x"),
    "zarr of a trillion frames": lambda folder: zarr_group(folder, 10**12),
    "zarr of huge chunks": lambda folder: zarr_group(folder, chunk=10**9),
    "zarr that is compressed": lambda folder: zarr_group(folder, compressors="auto"),
    "zarr of deep json": lambda folder: (zarr_group(folder) / "zarr.json").write_bytes(b"[" * 100_000),
    "zarr without frames": lambda folder: (zarr_group(folder) / "frames" / "zarr.json").unlink(),
    "playlist for an mp4": lambda folder: cut(folder, "mp4").write_text("ffconcat version 1.0\nfile /etc/passwd\n"),
    "index of 2 GB for an mp4": lambda folder: sparse(
        cut(folder, "mp4"), 3 << 30, b"\0\0\0\x10ftypisom\0\0\0\0\x7f\xff\xff\xffmoov"
    ),
}


@pytest.mark.parametrize("made", REFUSED)
def test_what_is_no_recording_is_refused_in_one_line_and_stays(tmp_path: Path, made: str) -> None:
    REFUSED[made](tmp_path)
    before = sorted(tmp_path.iterdir())
    (found,) = recover(tmp_path)
    assert found.path is None and found.fault and "\n" not in found.fault and len(found.fault) < 600
    assert sorted(tmp_path.iterdir()) == before


def test_no_link_and_no_pipe_is_taken_for_a_recording(tmp_path: Path) -> None:
    os.mkfifo(cut(tmp_path, "npz"))
    cut(tmp_path, "h5").symlink_to("/dev/zero")
    cut(tmp_path, "mp4").symlink_to(__file__)
    assert leftovers(tmp_path) == []


def test_no_more_frames_are_recovered_than_the_file_can_hold(tmp_path: Path) -> None:
    hdf5(tmp_path, 10**10)
    size = cut(tmp_path, "h5").stat().st_size
    (found,) = recover(tmp_path)
    assert found.fault is None and found.frames == size // 128 and found.path is not None
    with h5py.File(found.path) as file:
        assert not np.any(file["frames"])
