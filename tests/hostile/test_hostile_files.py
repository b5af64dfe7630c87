"""Small images, arrays, NRRD and MetaImage that declare much: refused or read within the memory of a frame."""

from __future__ import annotations

import gzip
import io
import os
import struct
import tracemalloc
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import numpy as np
import pytest
from PIL import Image as Pillow

from edgerecon.core.errors import SourceError
from edgerecon.stream.sources import open_source
from edgerecon.stream.sources.files import metaimage, tiff_directory
from edgerecon.stream.sources.scaling import SAMPLED_VALUES

NRRD = b"NRRD0004\ntype: uint8\ndimension: 3\nsizes: 30 20 4\nencoding: "
META = "NDims = 3\nDimSize = {}\nElementType = MET_FLOAT\n{}ElementDataFile = LOCAL\n"


@pytest.fixture
def peak() -> Iterator[list[int]]:
    """Holds the most bytes that were taken, once asked for."""
    tracemalloc.start()
    try:
        yield []
    finally:
        tracemalloc.stop()


def refusal(path: Path) -> str:
    tracemalloc.reset_peak()  # of making the file
    with pytest.raises(SourceError) as caught:
        open_source(str(path))
    assert "\n" not in str(caught.value)
    assert tracemalloc.get_traced_memory()[1] < 60e6
    return str(caught.value)


def npy_header(shape: tuple[int, ...], descr: str = "|u1") -> bytes:
    file = io.BytesIO()
    np.lib.format.write_array_header_1_0(file, {"descr": descr, "fortran_order": False, "shape": shape})
    return file.getvalue()


def sparse(path: Path, head: bytes, size: int) -> Path:
    with path.open("wb") as file:
        file.write(head)
        file.truncate(size)
    return path


def directory(entries: dict[int, int], following: int) -> bytes:
    rows = b"".join(struct.pack("<HHLL", tag, 4, 1, value) for tag, value in sorted(entries.items()))
    return struct.pack("<H", len(entries)) + rows + struct.pack("<L", following)


def page(width: int, height: int, **more: int) -> dict[int, int]:
    tags = {256: width, 257: height, 258: 8, 259: 1, 262: 1, 273: 8, 277: 1, 278: height, 279: 20}
    return tags | {int(tag.removeprefix("tag")): value for tag, value in more.items()}


def test_long_header_of_an_npz(tmp_path: Path, peak: list[int]) -> None:
    with zipfile.ZipFile(tmp_path / "a.npz", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("frames.npy", b"\x93NUMPY\x02\0" + struct.pack("<I", 1 << 31) + b" " * (1 << 22))
    assert "longer than NumPy's" in refusal(tmp_path / "a.npz")


def test_npz_of_many_members_or_of_another_compression(tmp_path: Path, peak: list[int]) -> None:
    path = tmp_path / "a.npz"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_BZIP2) as archive:
        archive.writestr("frames.npy", npy_header((1, 4, 4)) + bytes(16))
    assert "a way that NumPy does not write" in refusal(path)
    end = struct.pack("<4s4H2LH", b"PK\5\6", 0, 0, 40_000, 40_000, 1 << 22, 30, 0)
    path.write_bytes(b"PK\3\4" + bytes(26) + bytes(1 << 22) + end)
    assert "directory is larger" in refusal(path)


def test_sparse_arrays(tmp_path: Path, peak: list[int]) -> None:
    wide = sparse(tmp_path / "a.npy", npy_header((1, 8000, 8000, 4), "<f8"), 1 << 31)
    assert "declares frames of 1953 MB" in refusal(wide)
    nested = b"\x93NUMPY\1\0" + struct.pack("<H", 9000) + b"(" * 9000
    (tmp_path / "b.npy").write_bytes(nested)
    assert "not a NumPy array" in refusal(tmp_path / "b.npy")


def test_scale_of_a_long_recording_is_taken_from_a_sample(tmp_path: Path) -> None:
    """Of 100 GB that take no room on the disk, less than a hundredth is read."""
    path = sparse(tmp_path / "a.npy", npy_header((100_000, 512, 512), "<f4"), 100_000 * (1 << 20) + 128)
    before = read_bytes()
    assert open_source(str(path)).length == 100_000
    assert read_bytes() - before < 8 * SAMPLED_VALUES


def read_bytes() -> int:
    """Bytes that this process has read so far."""
    fields = dict(line.split(": ") for line in Path("/proc/self/io").read_text().splitlines())
    return int(fields["rchar"])


@pytest.mark.parametrize("kind", ["MET_FLOAT", "MET_USHORT"])
def test_compressed_metaimage_is_sampled_within_a_bound(tmp_path: Path, kind: str, peak: list[int]) -> None:
    packer = zlib.compressobj(9)
    blocks = b"".join(packer.compress(bytes(1 << 22)) for _ in range(20)) + packer.flush()
    header = META.format("1024 1024 400", "CompressedData = True\n").replace("MET_FLOAT", kind)
    (tmp_path / "a.mha").write_bytes(header.encode() + blocks)
    assert open_source(str(tmp_path / "a.mha")).length == 400
    assert tracemalloc.get_traced_memory()[1] < 60e6


def test_rf_of_a_large_frame_takes_little_beside_it(tmp_path: Path, peak: list[int]) -> None:
    header = META.format("4000 4000 1", "").encode()
    path = sparse(tmp_path / "a.mha", header, len(header) + 64_000_000)
    assert open_source(f"{path}?rf").length == 1
    assert tracemalloc.get_traced_memory()[1] < 64e6 + 80e6


def test_headers_without_end(tmp_path: Path, peak: list[int], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(metaimage, "HEADER_LINES", 5000)
    (tmp_path / "a.mha").write_bytes(b"a=b\n" * 6000)
    assert "truncated" in refusal(tmp_path / "a.mha")
    (tmp_path / "a.nrrd").write_bytes(b"NRRD0004\n" + (b"x: " + b"y" * 65_000 + b"\n") * 600)
    assert "sizes" in refusal(tmp_path / "a.nrrd")


@pytest.mark.parametrize(
    "packed",
    [b"\x1f\x8b\x08\x08" + bytes(6) + b"a" * (1 << 22), gzip.compress(b"") * 60_000],
    ids=["a name without end", "members of nothing"],
)
def test_gzip_that_gives_nothing(tmp_path: Path, packed: bytes, peak: list[int]) -> None:
    (tmp_path / "a.nrrd").write_bytes(NRRD + b"gzip\n\n" + packed)
    assert "inflate to nothing" in refusal(tmp_path / "a.nrrd")


def test_skips_beyond_reason(tmp_path: Path, peak: list[int]) -> None:
    for skip, says in (
        (b"byte skip: 999999999999999", "decoded bytes are to be skipped: at most"),
        (b"line skip: 999999999", "it has no 999999999 lines to skip"),
        (b"byte skip: " + b"9" * 5000, "the field 'byte skip' holds no whole numbers"),
    ):
        (tmp_path / "a.nrrd").write_bytes(NRRD + b"gzip\n" + skip + b"\n\n" + gzip.compress(bytes(2400)))
        assert says in refusal(tmp_path / "a.nrrd")


def test_text_beyond_reason(tmp_path: Path, peak: list[int]) -> None:
    path = tmp_path / "a.mha"
    path.write_bytes(META.format("8000 8000 4", "BinaryData = False\n").encode() + b"1 " * 1000)
    assert "numbers in text" in refusal(path)
    path.write_bytes(META.format("30 20 4", "BinaryData = False\n").encode() + b"1" * (1 << 22))
    assert "characters" in refusal(path)


@pytest.mark.parametrize("more", [{}, {"tag259": 8}, {"tag259": 8, "tag258": 16}, {"tag258": 32}])
def test_second_page_of_a_tiff_is_refused_before_it_is_decoded(
    tmp_path: Path, more: dict[str, int], peak: list[int]
) -> None:
    first = page(4, 5)
    second = 28 + len(directory(first, 0))
    (tmp_path / "a.tif").write_bytes(
        b"II*\0" + struct.pack("<L", 28) + bytes(20) + directory(first, second) + directory(page(9000, 9000, **more), 0)
    )
    captures = list(open_source(str(tmp_path / "a.tif")).frames())
    assert captures[0].image is not None and "9000×9000 pixels" in str(captures[1].fault)
    assert tracemalloc.get_traced_memory()[1] < 60e6


def test_directories_of_a_tiff_without_end(tmp_path: Path, peak: list[int], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tiff_directory, "_PAGES_AT_MOST", 500)
    path, head = tmp_path / "a.tif", b"II*\0" + struct.pack("<L", 28) + bytes(20)
    path.write_bytes(head + directory(page(4, 5), 28))
    assert open_source(str(path)).length == 1
    step = len(directory(page(4, 5), 0))
    path.write_bytes(head + b"".join(directory(page(4, 5), 28 + (at + 1) * step) for at in range(501)))
    assert "more than 500 pages" in refusal(path)
    usual, endless = (struct.pack("<HHLL", 273, 4, count, 8) for count in (1, 1 << 29))
    long = directory(page(4, 5), 0).replace(usual, endless)
    assert "longer than 32 MB" in refusal(sparse(path, head + long, 1 << 32))


def test_frames_that_an_apng_only_declares(tmp_path: Path, peak: list[int]) -> None:
    frames = [Pillow.fromarray(np.full((4, 5), level, np.uint8)) for level in (10, 20, 30)]
    frames[0].save(tmp_path / "a.png", save_all=True, append_images=frames[1:])
    data = (tmp_path / "a.png").read_bytes()
    at = data.index(b"acTL")
    chunk = b"acTL" + struct.pack(">II", 0x7FFFFFFF, 0)
    (tmp_path / "a.png").write_bytes(data[:at] + chunk + struct.pack(">I", zlib.crc32(chunk)) + data[at + 16 :])
    captures = list(open_source(str(tmp_path / "a.png")).frames())
    assert len(captures) < 40 and [capture.image is not None for capture in captures[:4]] == [True, True, True, False]


def test_pipes_and_devices_are_not_waited_for(tmp_path: Path, peak: list[int]) -> None:
    folder = tmp_path / "images"
    folder.mkdir()
    os.mkfifo(folder / "a.png")
    (folder / "b.png").symlink_to("/dev/zero")
    assert "holds no images" in refusal(folder)
    os.mkfifo(tmp_path / "a.raw")
    (tmp_path / "b.raw").symlink_to("/dev/zero")
    for name in ("a.raw", "b.raw"):
        (tmp_path / "a.mhd").write_text(META.format("30 20 4", "").replace("LOCAL", name))
        assert "which is no file" in refusal(tmp_path / "a.mhd")
        (tmp_path / "a.nhdr").write_bytes(NRRD + f"raw\ndata file: {name}\n".encode())
        assert "which is no file" in refusal(tmp_path / "a.nhdr")


@pytest.mark.parametrize("damage", ["a deflated header", "a name", "a deflated fact"])
def test_damage_within_an_archive_is_a_short_line(tmp_path: Path, damage: str) -> None:
    path, random = tmp_path / "a.npz", np.random.default_rng(1).normal(size=(2, 200, 30))
    np.savez_compressed(path, frames=random, spacing_mm=(0.1, 0.2), fps=random[0, 0, 0])
    data = bytearray(path.read_bytes())
    if damage == "a name":  # of which the reader quotes all that it takes for it
        data[26:28] = b"\xff\xff"
    else:
        at = data.index(b"frames.npy" if damage == "a deflated header" else b"fps.npy")
        data[at + 32 : at + 50] = b"\xff" * 18
    path.write_bytes(data)
    if damage == "a deflated fact":
        with suppress(SourceError):
            open_source(str(path))
        return
    with pytest.raises(SourceError, match="damaged") as caught:
        open_source(str(path))
    assert len(str(caught.value)) < 400 and "\n" not in str(caught.value)


def test_whatever_a_decoder_raises_on_opening_is_one_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    np.save(tmp_path / "a.npy", np.zeros((2, 8, 8), np.uint8))
    for error in (zlib.error("Error -3"), KeyError("x"), RecursionError("deep"), MemoryError(), struct.error("a\nb")):

        def fail(path: Path, error: Exception = error) -> None:
            raise error

        monkeypatch.setattr("edgerecon.stream.sources.files.arrays.open_array", fail)
        with pytest.raises(SourceError, match="damaged") as caught:
            open_source(str(tmp_path / "a.npy"))
        assert "\n" not in str(caught.value)
