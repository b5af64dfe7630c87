"""NRRD in every encoding, with skips, lists and patterns, as the format's definition says."""

from __future__ import annotations

import bz2
import gzip
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest

from edgerecon.core.errors import SourceError
from edgerecon.stream.sources import open_source

RNG = np.random.default_rng(8)
FRAMES = RNG.integers(0, 256, (4, 20, 30), np.uint8)
RAW = FRAMES.tobytes()
HEAD = "NRRD0004\ntype: uint8\ndimension: 3\nsizes: 30 20 4\n"
TEXT = " ".join(map(str, FRAMES.ravel())).encode()


def images(path: Path) -> list[np.ndarray | None]:
    return [capture.image for capture in open_source(str(path)).frames()]


def refusal(path: Path) -> str:
    with pytest.raises(SourceError) as caught:
        open_source(str(path))
    assert "\n" not in str(caught.value)
    return str(caught.value)


def detached(folder: Path, data: bytes, fields: str, name: str = "a.raw") -> Path:
    (folder / name).write_bytes(data)
    (folder / "a.nhdr").write_text(f"{HEAD}{fields}\ndata file: {name}\n")
    return folder / "a.nhdr"


LINES, BYTES = b"a header\nof another format\n", bytes(range(100, 150))


@pytest.mark.parametrize(
    ("fields", "data"),
    [
        ("encoding: raw\nbyte skip: 50", BYTES + RAW),
        ("encoding: raw\nbyteskip: 50", BYTES + RAW),
        ("encoding: raw\nByte Skip: -1", LINES + BYTES + RAW),
        ("encoding: raw\nline skip: 2", LINES + RAW),
        ("encoding: raw\nlineskip: 2\nbyteskip: 50", LINES + BYTES + RAW),
        ("encoding: gzip\nline skip: 2\nbyte skip: 50", LINES + gzip.compress(BYTES + RAW)),
        ("encoding: gz\nbyte skip: -1", gzip.compress(BYTES + RAW)),
        ("encoding: bzip2\nline skip: 2\nbyte skip: 50", LINES + bz2.compress(BYTES + RAW)),
        ("encoding: bz2", bz2.compress(RAW)),
        ("encoding: gzip", gzip.compress(RAW[:999]) + gzip.compress(RAW[999:])),
        ("encoding: hex", RAW.hex().encode()),
        ("encoding: hex\nline skip: 2", LINES + b"\n".join(RAW.hex().encode()[i : i + 61] for i in range(0, 4800, 61))),
        ("encoding: text\nline skip: 2", LINES + TEXT),
        ("encoding: ascii", TEXT.replace(b" ", b",\n")),
        ("encoding: TXT\nbyte skip: 27", LINES + TEXT),
    ],
)
def test_encodings_and_skips(tmp_path: Path, fields: str, data: bytes) -> None:
    np.testing.assert_array_equal(images(detached(tmp_path, data, fields)), FRAMES)


def test_skips_of_attached_data_count_from_their_beginning(tmp_path: Path) -> None:
    for skip, data in (("byte skip: 50", BYTES + RAW), ("line skip: 2", LINES + RAW), ("byte skip: -1", LINES + RAW)):
        (tmp_path / "a.nrrd").write_bytes(f"{HEAD}encoding: raw\n{skip}\n\n".encode() + data)
        np.testing.assert_array_equal(images(tmp_path / "a.nrrd"), FRAMES)


@pytest.mark.parametrize("skip", ["byte skip: -2", "line skip: -1", "byte skip: many"])
def test_impossible_skips_are_refused(tmp_path: Path, skip: str) -> None:
    assert "a.nhdr" in refusal(detached(tmp_path, RAW, f"encoding: raw\n{skip}"))
    assert "cannot be" in refusal(detached(tmp_path, TEXT, "encoding: text\nbyte skip: -1"))


@pytest.mark.parametrize("dtype", ["int8", "int16", "uint16", "int32", "float", "double"])
@pytest.mark.parametrize("endian", ["big", "little"])
def test_text_and_raw_give_the_same(tmp_path: Path, dtype: str, endian: str) -> None:
    letters = {"int8": "i1", "int16": "i2", "uint16": "u2", "int32": "i4", "float": "f4", "double": "f8"}
    values = (FRAMES.astype(float) - (0 if dtype == "uint16" else 100)).clip(-128, 127).astype(letters[dtype])
    raw = values.astype(values.dtype.newbyteorder("<" if endian == "little" else ">")).tobytes()
    found = []
    for name, encoding, data in (
        ("a.raw", "raw", raw),
        ("a.txt", "text", " ".join(map(str, values.ravel().tolist())).encode()),
    ):
        path = detached(tmp_path, data, f"encoding: {encoding}\nendian: {endian}", name)
        path.write_text(path.read_text().replace("uint8", dtype))
        found.append(images(path))
    np.testing.assert_array_equal(*found)
    expected = values.astype(float)
    if dtype != "uint16":
        np.testing.assert_allclose(found[0], (expected - expected.min()) / np.ptp(expected), atol=1e-6)


def test_list_of_files(tmp_path: Path) -> None:
    for index, frame in enumerate(FRAMES):
        (tmp_path / f"slice {index}.raw").write_bytes(b"skip" + frame.tobytes())
    names = "".join(f"slice {index}.raw\n" for index in range(4))
    for words in ("LIST", "LIST 2"):
        (tmp_path / "a.nhdr").write_text(f"{HEAD}encoding: raw\nbyte skip: 4\ndata file: {words}\n{names}")
        np.testing.assert_array_equal(images(tmp_path / "a.nhdr"), FRAMES)
    (tmp_path / "a.nhdr").write_text(f"{HEAD}encoding: raw\ndata file: LIST\n{names[:-12]}")
    assert "4 frames in 3 files" in refusal(tmp_path / "a.nhdr")
    (tmp_path / "a.nhdr").write_text(f"{HEAD}encoding: raw\ndata file: LIST\n")
    assert "names 0 data files" in refusal(tmp_path / "a.nhdr")


@pytest.mark.parametrize(("pattern", "numbers"), [("f%03d.gz 1 4 1", range(1, 5)), ("f%d.gz 9 3 -2 2", (9, 7, 5, 3))])
def test_pattern_of_files(tmp_path: Path, pattern: str, numbers: Sequence[int]) -> None:
    for number, frame in zip(numbers, FRAMES, strict=True):
        (tmp_path / (pattern.split()[0] % number)).write_bytes(gzip.compress(frame.tobytes()))
    (tmp_path / "a.nhdr").write_text(f"{HEAD}encoding: gzip\ndata file: {pattern}\n")
    np.testing.assert_array_equal(images(tmp_path / "a.nhdr"), FRAMES)


def test_file_that_is_short_costs_its_own_frames(tmp_path: Path) -> None:
    for index, frame in enumerate(FRAMES):
        (tmp_path / f"{index}.raw").write_bytes(frame.tobytes()[: 100 if index == 1 else None])
    (tmp_path / "a.nhdr").write_text(f"{HEAD}encoding: raw\ndata file: %d.raw 0 3 1\n")
    found = images(tmp_path / "a.nhdr")
    assert found[1] is None
    np.testing.assert_array_equal([found[0], found[2], found[3]], FRAMES[[0, 2, 3]])


def test_three_columns_are_colours(tmp_path: Path) -> None:
    colour = RNG.integers(0, 256, (20, 30, 3), np.uint8)
    head = "NRRD0004\ntype: uint8\ndimension: 3\nsizes: 3 30 20\nencoding: raw\n\n"
    (tmp_path / "a.nrrd").write_bytes(head.encode() + colour.tobytes())
    np.testing.assert_array_equal(images(tmp_path / "a.nrrd"), [colour])


def test_colours_on_a_later_axis_are_refused(tmp_path: Path) -> None:
    head = "NRRD0004\ntype: uint8\ndimension: 3\nsizes: 30 20 3\nkinds: domain domain RGB-color\nencoding: raw\n\n"
    (tmp_path / "a.nrrd").write_bytes(head.encode() + RAW[:1800])
    assert "colours on a later axis" in refusal(tmp_path / "a.nrrd")


def test_keys_of_the_users_are_no_fields(tmp_path: Path) -> None:
    (tmp_path / "a.nrrd").write_bytes(f"{HEAD}encoding: raw\nsizes:=1 1 1\nspacings:=9 9 9\n\n".encode() + RAW)
    np.testing.assert_array_equal(images(tmp_path / "a.nrrd"), FRAMES)
    assert open_source(str(tmp_path / "a.nrrd")).spacing_mm is None


@pytest.mark.parametrize("bad", ["300", "x", "-1"])
def test_text_that_is_no_pixel_is_a_fault(tmp_path: Path, bad: str) -> None:
    tokens = TEXT.split()
    tokens[700] = bad.encode()
    data = b" ".join(tokens[:600]) + b"\n" * 70000 + b" ".join(tokens[600:])
    captures = list(open_source(str(detached(tmp_path, data, "encoding: text"))).frames())
    assert captures[0].image is not None and "damaged" in str(captures[1].fault)
