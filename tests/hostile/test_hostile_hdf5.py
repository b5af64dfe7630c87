"""HDF5 files that were made to take memory or time, or to make another file be read."""

from __future__ import annotations

import os
import shutil
import tracemalloc
import zlib
from pathlib import Path

import numpy as np
import pytest

from edgerecon.core.errors import SourceError
from edgerecon.stream.sources import open_source
from edgerecon.stream.sources.files.hdf5_superblock import lookup3

h5py = pytest.importorskip("h5py", reason="h5py is not installed: pip install 'edgerecon[stream]'")


def refusal(path: Path) -> str:
    with pytest.raises(SourceError) as caught:
        open_source(str(path))
    assert "\n" not in str(caught.value) and len(str(caught.value)) < 400
    return str(caught.value)


@pytest.mark.parametrize("link", ["group", "dataset", "unused", "deep"])
def test_a_soft_link_through_an_external_one_is_refused(tmp_path: Path, link: str) -> None:
    with h5py.File(tmp_path / "secret.h5", "w") as file:
        file["frames"] = np.full((2, 8, 8), 99, np.uint8)
    with h5py.File(tmp_path / "a.h5", "w") as file:
        if link == "group":
            file["door"] = h5py.ExternalLink("secret.h5", "/")
            file["frames"] = h5py.SoftLink("/door/frames")
        elif link == "dataset":
            file["door"] = h5py.ExternalLink("secret.h5", "/frames")
            file["frames"] = h5py.SoftLink("door")
        elif link == "deep":
            file["a/b/c"] = h5py.ExternalLink("secret.h5", "/frames")
            file["frames"] = h5py.SoftLink("/a/b/c")
        else:
            file["frames"] = np.zeros((2, 8, 8), np.uint8)
            file["door"] = h5py.ExternalLink("secret.h5", "/frames")
    assert "lies in another file" in refusal(tmp_path / "a.h5")


def test_a_link_to_a_pipe_does_not_hang(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.h5")
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file["frames"] = h5py.ExternalLink("pipe.h5", "frames")
    assert "lies in another file" in refusal(tmp_path / "a.h5")


def test_soft_links_within_the_file_are_followed(tmp_path: Path) -> None:
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file["data/images"] = np.full((2, 8, 8), 5, np.uint8)
        file["frames"] = h5py.SoftLink("/data/images")
        file["nowhere"] = h5py.SoftLink("/absent")
        file["data/loop"] = file["/"]
    assert open_source(str(tmp_path / "a.h5")).length == 2


@pytest.mark.parametrize("filters", [{}, {"shuffle": True}, {"fletcher32": True}])
def test_a_chunk_that_inflates_to_more_than_it_declares(tmp_path: Path, filters: dict) -> None:
    bomb = zlib.compress(bytes(200 << 20), 1)  # 200 MB in 1 MB
    with h5py.File(tmp_path / "a.h5", "w") as file:
        frames = file.create_dataset(
            "frames", (3, 1000, 1000), "u1", chunks=(1, 1000, 1000), compression="gzip", **filters
        )
        frames[1:] = 50
        frames.id.write_direct_chunk((0, 0, 0), bomb)
    tracemalloc.start()
    try:
        faults = [capture.fault for capture in open_source(str(tmp_path / "a.h5")).frames()]
        assert tracemalloc.get_traced_memory()[1] < 30e6
    finally:
        tracemalloc.stop()
    assert "more values than it should" in (faults[0] or "") and faults[1:] == [None, None]


def test_chunks_of_gigabytes_are_refused(tmp_path: Path) -> None:
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file.create_dataset("frames", (3000, 1000, 1000), "u1", chunks=(3000, 1000, 1000), compression="gzip")
    assert "are unpacked for one frame: repack it (h5repack) with a frame a chunk" in refusal(tmp_path / "a.h5")
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file.create_dataset("frames", (5000, 2000, 2000), "u1", chunks=(5000, 10, 10), compression="gzip")
    assert "are unpacked for one frame" in refusal(tmp_path / "a.h5")
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file.create_dataset("frames", (2, 2000, 2000), "u1", chunks=(1, 1, 1), compression="gzip")
    assert "a frame lies in 4,000,000 chunks" in refusal(tmp_path / "a.h5")


def test_compression_upon_compression_is_refused(tmp_path: Path) -> None:
    plan = h5py.h5p.create(h5py.h5p.DATASET_CREATE)
    plan.set_chunk((1, 8, 8))
    plan.set_deflate(9)
    plan.set_deflate(9)
    with h5py.File(tmp_path / "a.h5", "w") as file:
        space = h5py.h5s.create_simple((2, 8, 8))
        h5py.h5d.create(file.id, b"frames", h5py.h5t.NATIVE_UINT8, space, plan)
    assert "compressed 2 times over" in refusal(tmp_path / "a.h5")


def test_tables_that_declare_terabytes_are_refused(tmp_path: Path) -> None:
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file["frames"] = np.zeros((2, 8, 8), np.uint8)
        file.create_dataset("timestamps", (1 << 40,), "f8", chunks=(1 << 16,))
    assert "'timestamps' declares" in refusal(tmp_path / "a.h5")


def test_an_attribute_of_many_values_is_not_read(tmp_path: Path) -> None:
    with h5py.File(tmp_path / "a.h5", "w", libver="latest") as file:
        file["frames"] = np.zeros((2, 8, 8), np.uint8)
        file.attrs["period_s"] = np.ones(100_000)
    assert open_source(str(tmp_path / "a.h5")).period_s is None


def test_a_damaged_file_is_tried_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file["frames"] = np.zeros((2, 8, 8), np.uint8)
    data = (tmp_path / "a.h5").read_bytes()
    (tmp_path / "a.h5").write_bytes(data[: len(data) // 2])  # taken for one being written, it is tried a hundred times
    opened: list[dict] = []
    real = h5py.File
    monkeypatch.setattr(h5py, "File", lambda *path, **options: opened.append(options) or real(*path, **options))
    assert "damaged or truncated" in refusal(tmp_path / "a.h5")
    assert opened == [{}]


@pytest.fixture
def unclosed(tmp_path: Path) -> Path:
    """A recording of ten frames as a killed writer leaves it: its superblock says that it is being written."""
    with h5py.File(tmp_path / "whole.h5", "w", libver="latest") as file:
        frames = file.create_dataset("frames", (10, 16, 16), "u1", chunks=(1, 16, 16), maxshape=(None, 16, 16))
        frames[:] = np.arange(10, dtype=np.uint8)[:, None, None]
        for number in range(40):
            file[f"other {number}"] = number
        file.swmr_mode = True
        file.flush()
        shutil.copy(tmp_path / "whole.h5", tmp_path / "cut.h5")
    with pytest.raises(OSError):
        h5py.File(tmp_path / "cut.h5")
    return tmp_path / "cut.h5"


def test_what_a_killed_writer_left_is_read(unclosed: Path) -> None:
    shown = [capture.image for capture in open_source(str(unclosed)).frames()]
    assert [int(image[3, 3]) for image in shown if image is not None] == list(range(10))


@pytest.mark.parametrize("part", range(12))
def test_damage_in_an_unclosed_file_is_read_once(unclosed: Path, part: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """HDF5's own way to read such a file tried what was damaged again for hours."""
    real = h5py.File

    def once(*place: object, **options: object) -> h5py.File:
        assert "swmr" not in options
        return real(*place, **options)

    monkeypatch.setattr(h5py, "File", once)
    data = bytearray(unclosed.read_bytes())
    start = part * len(data) // 12
    for at in range(start, start + len(data) // 12, 17):
        data[at] ^= 0x55
    unclosed.write_bytes(data)
    try:
        for capture in open_source(str(unclosed)).frames():
            assert capture.image is not None or "\n" not in (capture.fault or "")
    except SourceError as error:
        assert "\n" not in str(error)


@pytest.mark.parametrize("size", [*range(0, 60, 4), 1000])
def test_an_unclosed_file_may_be_truncated_anywhere(unclosed: Path, size: int) -> None:
    unclosed.write_bytes(unclosed.read_bytes()[:size])
    assert refusal(unclosed)


@pytest.mark.parametrize(
    ("text", "checksum"),
    [(b"Four score and seven years ago", 0x17770551), (b"", 0xDEADBEEF)],
)
def test_the_checksum_is_that_of_its_author(text: bytes, checksum: int) -> None:
    assert lookup3(text) == checksum


@pytest.mark.parametrize("filters", [{}, {"shuffle": True}, {"fletcher32": True}])
def test_lzf_that_unpacks_to_more_than_it_declares(tmp_path: Path, filters: dict) -> None:
    bomb = b"\x00\x00" + b"\xe0\xff\x00" * 300_000  # 79 MB in 0.9 MB
    with h5py.File(tmp_path / "a.h5", "w") as file:
        frames = file.create_dataset("frames", (3, 700, 700), "u1", chunks=(1, 700, 700), compression="lzf", **filters)
        frames[1:] = np.random.default_rng(2).integers(0, 5, (2, 700, 700))
        expected = frames[1:]
        frames.id.write_direct_chunk((0, 0, 0), bomb)
    captures = list(open_source(str(tmp_path / "a.h5")).frames())
    assert "more values than it should" in (captures[0].fault or "")
    np.testing.assert_array_equal([capture.image for capture in captures[1:]], expected)


def test_filters_without_a_bound_that_is_known_are_refused(tmp_path: Path) -> None:
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file.create_dataset("frames", (3, 64, 64), "i4", chunks=(1, 64, 64), scaleoffset=0)
    assert "its filter 6 unpacks without a bound that is known: repack it" in refusal(tmp_path / "a.h5")


@pytest.mark.parametrize("size", [512, 1024, 2048])
def test_frames_behind_a_block_of_another_program(tmp_path: Path, size: int) -> None:
    """A .mat of MATLAB 7.3 begins with such a block: one that holds no channel data ended in a traceback."""
    with h5py.File(tmp_path / "a.h5", "w", userblock_size=size) as file:
        file["frames"] = np.full((2, 8, 8), 9, np.uint8)
    assert [int(capture.image.max()) for capture in open_source(str(tmp_path / "a.h5")).frames()] == [9, 9]
    with h5py.File(tmp_path / "a.mat", "w", userblock_size=size) as file:
        file["x"] = np.zeros((4, 4))
    assert "holds x: known are a dataset 'frames' and the layouts" in refusal(tmp_path / "a.mat")


def test_datasets_without_values_and_virtual_ones(tmp_path: Path) -> None:
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file["frames"] = h5py.Empty("u1")
    assert "'frames' is empty" in refusal(tmp_path / "a.h5")
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file["stored"] = np.zeros((2, 8, 8), np.uint8)
        layout = h5py.VirtualLayout((2, 8, 8), "u1")
        layout[:] = h5py.VirtualSource(".", "stored", (2, 8, 8))
        file.create_virtual_dataset("frames", layout)
    assert "put together of other datasets (virtual)" in refusal(tmp_path / "a.h5")
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file["frames"] = np.zeros((2, 8, 8), np.uint8)
        file.attrs["period_s"], file.attrs["spacing_mm"] = h5py.Empty("f8"), "wide"
    found = open_source(str(tmp_path / "a.h5"))
    assert (found.period_s, found.spacing_mm) == (None, None)


def test_groups_within_groups_without_end_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Three hundred took 2.5 s of processor time to look through, and it grows by the square."""
    with h5py.File(tmp_path / "a.h5", "w") as file:
        group: h5py.Group = file
        for _ in range(100):
            group = group.create_group("a")
        file["frames"] = np.zeros((2, 8, 8), np.uint8)
    assert "groups within groups, more than 32 deep" in refusal(tmp_path / "a.h5")
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file["frames"] = file["other"] = np.zeros((2, 8, 8), np.uint8)
    monkeypatch.setattr("edgerecon.stream.sources.hdf5_file._LOOKED_S", -1.0)
    assert "more objects than can be looked through" in refusal(tmp_path / "a.h5")
