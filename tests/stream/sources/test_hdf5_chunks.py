"""HDF5 values that are unpacked here are those that HDF5 unpacks."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from edgerecon.stream.sources import open_source

h5py = pytest.importorskip("h5py", reason="h5py is not installed: pip install 'edgerecon[stream]'")

from edgerecon.stream.sources.files.hdf5_chunks import Frames, read  # noqa: E402

VALUES = np.random.default_rng(4).integers(0, 50, (7, 10, 13)) * 3


@pytest.mark.parametrize("chunks", [None, (1, 10, 13), (3, 10, 13), (2, 4, 5), (7, 10, 13), (4, 3, 13)])
@pytest.mark.parametrize(
    "filters",
    [
        {},
        {"compression": "gzip"},
        {"compression": "gzip", "shuffle": True},
        {"compression": "lzf"},
        {"compression": "gzip", "shuffle": True, "fletcher32": True},
        {"shuffle": True, "fletcher32": True},
    ],
)
@pytest.mark.parametrize("dtype", ["u1", "<u2", ">i2", "<f4", ">f8"])
def test_values_are_those_of_h5py(tmp_path: Path, chunks: tuple | None, filters: dict, dtype: str) -> None:
    if chunks is None and filters:
        pytest.skip("what is filtered lies in chunks")
    with h5py.File(tmp_path / "a.h5", "w") as file:
        found = file.create_dataset("frames", data=VALUES.astype(dtype), chunks=chunks, **filters)
        frames = Frames(found)
        for index in (0, 1, 6, 2, 5):
            np.testing.assert_array_equal(frames[index], found[index])
            assert frames[index].dtype.isnative
        np.testing.assert_array_equal(read(found, 2, 9, axis=2), found[:, :, 2:9])


def test_chunks_that_were_never_written_hold_the_fill_value(tmp_path: Path) -> None:
    with h5py.File(tmp_path / "a.h5", "w") as file:
        found = file.create_dataset("frames", (6, 8, 9), "u1", chunks=(1, 4, 9), compression="gzip", fillvalue=7)
        found[2, :4] = 100
        np.testing.assert_array_equal(read(found, 0, 6), found[:])


def test_a_chunk_of_many_frames_is_unpacked_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    frames = np.random.default_rng(1).integers(0, 256, (40, 16, 16), np.uint8)
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file.create_dataset("frames", data=frames, chunks=(20, 16, 16), compression="gzip")
    unpacked: list[int] = []
    from edgerecon.stream.sources.files import hdf5_chunks

    inflated = hdf5_chunks._inflated
    monkeypatch.setattr(hdf5_chunks, "_inflated", lambda data, most: unpacked.append(1) or inflated(data, most))
    source = open_source(str(tmp_path / "a.h5"))
    unpacked.clear()
    np.testing.assert_array_equal([capture.image for capture in source.frames()], frames)
    assert len(unpacked) == 2


def test_recordings_play_at_the_times_they_were_taken(tmp_path: Path) -> None:
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file["frames"] = np.zeros((3, 4, 5), np.uint8)
        file["timestamps"] = [0.0, 0.04, 2.0]
    assert [capture.time_s for capture in open_source(str(tmp_path / "a.h5")).frames()] == [0.0, 0.04, 2.0]
    with h5py.File(tmp_path / "a.h5", "a") as file:
        file["timestamps"][1] = np.nan
    assert [capture.time_s for capture in open_source(str(tmp_path / "a.h5")).frames()] == [None] * 3
