"""A full disk costs a recording its final name, never what was written before."""

from __future__ import annotations

import errno
import re
import resource
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from edgerecon.stream.loop.report import StreamReport
from edgerecon.stream.loop.stream import stream
from edgerecon.stream.sinks import open_sink
from edgerecon.stream.sinks.files.recover import recover
from edgerecon.stream.sources.base import Capture
from tests.stream.sinks.test_recover import as_of_another_process, present
from tests.support.stream_fakes import KeepSink, ListSource, ramp

h5py = pytest.importorskip("h5py", reason="h5py is not installed: pip install 'edgerecon[stream]'")
zarr = pytest.importorskip("zarr", reason="zarr is not installed: pip install 'edgerecon[stream]'")

COUNT, SHAPE = 60, (96, 128)
SPOOLED = ["out.npz", "out.dcm", "out.mha", "out.nrrd"]


@contextmanager
def files_of_at_most(size: int) -> Iterator[None]:
    """The system writes no file larger than that, as on a full disk."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


@pytest.fixture(autouse=True)
def _few_frames_wait(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("edgerecon.stream.sinks.files.recording._WAITING_BYTES", 0)


def fill(folder: Path, name: str, most: int) -> str | None:
    """Record noisy frames where a file may hold ``most`` bytes. Returns what the stream says."""
    noise = np.random.default_rng(6).integers(0, 256, (COUNT, *SHAPE), np.uint8)
    sink = open_sink(str(folder / name))
    with files_of_at_most(most):
        report = stream(ListSource(map(Capture, noise)), None, [sink, KeepSink()], policy="every", pace=False)
    assert sink.recorded is None and report.presented == COUNT  # type: ignore[attr-defined]
    as_of_another_process(folder)
    return report.error


@pytest.mark.parametrize("name", ["out.mp4", "out.h5", *SPOOLED])
def test_a_recording_that_met_a_full_disk_is_partial(tmp_path: Path, name: str) -> None:
    said = fill(tmp_path, name, 300_000)
    assert said and said.startswith(f"cannot write {tmp_path / name}: ") and "edgerecon recover" in said
    assert not (tmp_path / name).exists()
    (found,) = recover(tmp_path)
    assert found.fault is None and 0 < found.frames < COUNT
    assert found.path == tmp_path / name.replace("out.", "out.partial.")


@pytest.mark.parametrize("name", SPOOLED)
def test_a_disk_full_while_packing_keeps_all_frames(tmp_path: Path, name: str) -> None:
    said = fill(tmp_path, name, COUNT * SHAPE[0] * SHAPE[1])  # the pixels fit, the head beside them does not
    assert said and said.startswith(f"cannot write {tmp_path / name}: ") and not (tmp_path / name).exists()
    (found,) = recover(tmp_path)
    assert (found.fault, found.frames) == (None, COUNT)


@pytest.mark.parametrize("name", ["out.mp4", "out.h5", "out.zarr", *SPOOLED])
def test_a_disk_full_while_recovering_is_one_line(tmp_path: Path, name: str) -> None:
    present(str(tmp_path / name), 5).abandon()
    as_of_another_process(tmp_path)
    cut = {path: path.stat().st_size for path in tmp_path.iterdir()}
    with files_of_at_most(10):
        (found,) = recover(tmp_path)
    assert found.fault and found.fault.endswith(": File too large") and len(found.fault) < 300
    assert {path: path.stat().st_size for path in tmp_path.iterdir()} == cut, "it stays as it was found"
    (found,) = recover(tmp_path)
    assert (found.fault, found.frames) == (None, 5)


@pytest.mark.parametrize("name", ["out.mp4", "out.h5", *SPOOLED])
def test_a_disk_that_is_full_from_the_start_leaves_nothing(tmp_path: Path, name: str) -> None:
    assert fill(tmp_path, name, 10) == f"cannot write {tmp_path / name}: File too large"
    assert list(tmp_path.iterdir()) == []


def test_zarr_writes_nothing_behind_a_write_that_failed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from zarr.storage import LocalStore

    write, calls = LocalStore.set, list[str]()

    async def write_but_one(store: Any, key: str, value: Any) -> None:
        calls.append(key)
        if "c/" in key and len([call for call in calls if "c/" in call]) == 1:
            raise OSError(errno.ENOSPC, "No space left on device")
        await write(store, key, value)

    monkeypatch.setattr(LocalStore, "set", write_but_one)
    said = fill(tmp_path, "out.zarr", 1_000_000)
    assert said == f"cannot write {tmp_path / 'out.zarr'}: No space left on device"
    assert "c/" in calls[-1] and list(tmp_path.iterdir()) == []


def moved_at_frame_20(folder: Path, name: str, to: Path) -> StreamReport:
    """Of a recording whose folder is moved meanwhile."""
    folder.mkdir()

    def move(call: int) -> None:
        if call == 20:
            folder.rename(to)

    sinks = [KeepSink(move), open_sink(str(folder / name))]
    return stream(ListSource(ramp(COUNT)), None, sinks, policy="every", pace=False)


@pytest.mark.parametrize("name", ["out.mp4", "out.h5", "out.zarr", *SPOOLED])
def test_a_folder_moved_while_recording_is_told_at_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    monkeypatch.setattr("edgerecon.stream.sinks.files.file_sink._LOOK_EVERY_S", 0.0)
    report = moved_at_frame_20(tmp_path / "moved", name, tmp_path / "elsewhere")
    found = re.search(r"is gone; the (\d+) frames until then were removed or moved$", report.error or "")
    assert found and int(found[1]) <= 20, report.error
    assert (report.presented, report.counts["sinks_lost"]) == (COUNT, 1)


def test_a_folder_moved_between_two_looks_is_told_at_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("edgerecon.stream.sinks.files.file_sink._LOOK_EVERY_S", 1e9)
    report = moved_at_frame_20(tmp_path / "moved", "out.zarr", tmp_path / "elsewhere")
    assert re.search(r"is gone; the \d+ frames until then were removed or moved$", report.error or ""), report.error
    assert not any((tmp_path / "moved").glob(".*"))


def test_zarr_writes_into_no_other_folder_than_its_own(tmp_path: Path) -> None:
    """As when a write makes the folder anew in the moment in which it is moved."""
    from edgerecon.stream.sinks.files.zarr import ZarrStore

    path, store, frame = tmp_path / "a.zarr", ZarrStore(), np.zeros((1, 4, 5), np.uint8)
    store.create(path, (4, 5), {}, {})
    store.append(1, {"frames": frame})
    path.rename(tmp_path / "elsewhere")
    shutil.copytree(tmp_path / "elsewhere", path)
    with pytest.raises(FileNotFoundError):
        store.append(1, {"frames": frame})
    assert not path.exists()
