"""MetaImage in text, in several files, with lax headers; what ITK writes and reads."""

from __future__ import annotations

import zlib
from pathlib import Path

import numpy as np
import pytest

from edgerecon.core.errors import SourceError
from edgerecon.stream.sources import open_source

RNG = np.random.default_rng(9)
FRAMES = RNG.integers(0, 256, (4, 20, 30), np.uint8)
RAW = FRAMES.tobytes()
FIELDS = {"NDims": "3", "DimSize": "30 20 4", "ElementType": "MET_UCHAR", "ElementDataFile": "LOCAL"}


def images(path: Path) -> list[np.ndarray | None]:
    return [capture.image for capture in open_source(str(path)).frames()]


def refusal(path: Path) -> str:
    with pytest.raises(SourceError) as caught:
        open_source(str(path))
    return str(caught.value)


def write(path: Path, data: bytes = b"", **changes: str) -> Path:
    fields = FIELDS | changes
    fields["ElementDataFile"] = fields.pop("ElementDataFile")  # the last one
    path.write_bytes("".join(f"{key} = {value}\n" for key, value in fields.items()).encode() + data)
    return path


@pytest.mark.parametrize("kind", ["MET_UCHAR", "MET_SHORT", "MET_FLOAT"])
def test_text_is_read(tmp_path: Path, kind: str) -> None:
    text = "\n".join(" ".join(map(str, row)) for row in FRAMES.reshape(-1, 30)).encode()
    path = write(tmp_path / "a.mha", text, BinaryData="False", ElementType=kind)
    expected = FRAMES if kind == "MET_UCHAR" else FRAMES / 255.0
    np.testing.assert_allclose(images(path), expected, atol=1e-6)


@pytest.mark.parametrize("separator", [" = ", ": ", "=", ":", " : "])
def test_lax_headers(tmp_path: Path, separator: str) -> None:
    lines = [f"{key}{separator}{value}\n\n" for key, value in FIELDS.items()]
    (tmp_path / "a.mha").write_bytes("\n# a note\n".join(["", *lines]).strip("\n").encode() + b"\n" + RAW)
    np.testing.assert_array_equal(images(tmp_path / "a.mha"), FRAMES)


@pytest.mark.parametrize("words", ["LIST", "LIST 2", "list"])
def test_list_of_files(tmp_path: Path, words: str) -> None:
    for index, frame in enumerate(FRAMES):
        (tmp_path / f"slice{index}.raw").write_bytes(b"skip" + frame.tobytes())
    names = "\n".join(f"slice{index}.raw" for index in range(4)).encode()
    path = write(tmp_path / "a.mhd", names, ElementDataFile=words, HeaderSize="4")
    np.testing.assert_array_equal(images(path), FRAMES)
    path = write(tmp_path / "a.mhd", names, ElementDataFile=words, HeaderSize="-1")
    np.testing.assert_array_equal(images(path), FRAMES)
    assert "not beside it" in refusal(write(tmp_path / "a.mhd", names + b"x", ElementDataFile=words))


def test_pattern_of_files(tmp_path: Path) -> None:
    for index, frame in enumerate(FRAMES):
        (tmp_path / f"slice{index + 1:03d}.zraw").write_bytes(zlib.compress(frame.tobytes()))
    path = write(tmp_path / "a.mhd", ElementDataFile="slice%03d.zraw 1 4 1", CompressedData="True")
    np.testing.assert_array_equal(images(path), FRAMES)


@pytest.mark.parametrize("key", ["ElementByteOrderMSB", "BinaryDataByteOrderMSB"])
def test_big_endian(tmp_path: Path, key: str) -> None:
    deep = RNG.integers(0, 65536, (4, 20, 30)).astype(">u2")
    path = write(tmp_path / "a.mha", deep.tobytes(), ElementType="MET_USHORT", **{key: "True"})
    np.testing.assert_array_equal(images(path), deep.astype("u2"))


def test_header_size(tmp_path: Path) -> None:
    (tmp_path / "a.raw").write_bytes(b"preamble" + RAW)
    for size in ("8", "-1"):
        path = write(tmp_path / "a.mhd", ElementDataFile="a.raw", HeaderSize=size)
        np.testing.assert_array_equal(images(path), FRAMES)
    packed = zlib.compress(RAW)
    (tmp_path / "a.zraw").write_bytes(b"preamble" + packed)
    options = {"CompressedData": "True", "HeaderSize": "-1", "ElementDataFile": "a.zraw"}
    path = write(tmp_path / "a.mhd", CompressedDataSize=str(len(packed)), **options)
    np.testing.assert_array_equal(images(path), FRAMES)
    assert "HeaderSize = -1" in refusal(write(tmp_path / "a.mhd", **options))


def test_channels(tmp_path: Path) -> None:
    colour = RNG.integers(0, 256, (4, 20, 30, 3), np.uint8)
    path = write(tmp_path / "a.mha", colour.tobytes(), ElementNumberOfChannels="3")
    np.testing.assert_array_equal(images(path), colour)


def link(real: Path, place: Path) -> None:
    place.parent.mkdir(exist_ok=True)
    place.symlink_to(real)


@pytest.mark.parametrize("linked", ["header", "data", "both", "neither beside the other"])
def test_symbolic_links_of_annex_and_dvc(tmp_path: Path, linked: str) -> None:
    store, folder = tmp_path / "objects", tmp_path / "repository"
    store.mkdir()
    folder.mkdir()
    header = write(store / "a.mhd", ElementDataFile="a.raw")
    (store / ("key" if linked == "neither beside the other" else "a.raw")).write_bytes(RAW)
    if linked == "data":
        write(folder / "a.mhd", ElementDataFile="a.raw")
    else:
        link(header, folder / "a.mhd")
    if linked != "header":
        link(store / ("key" if linked == "neither beside the other" else "a.raw"), folder / "a.raw")
    np.testing.assert_array_equal(images(folder / "a.mhd"), FRAMES)


def test_data_elsewhere_are_refused_unless_a_link_leads_there(tmp_path: Path) -> None:
    (tmp_path / "secret.raw").write_bytes(RAW)
    (tmp_path / "in").mkdir()
    for name in ("../secret.raw", str(tmp_path / "secret.raw"), "x/../../secret.raw"):
        assert "outside its own folder" in refusal(write(tmp_path / "in/a.mhd", ElementDataFile=name))
        listed = write(tmp_path / "in/a.mhd", name.encode(), ElementDataFile="LIST")
        assert "outside its own folder" in refusal(listed)
    (tmp_path / "in/b.raw").write_bytes(RAW)
    path = write(tmp_path / "in/a.mhd", ElementDataFile=f"{tmp_path}/in/../in/b.raw")
    np.testing.assert_array_equal(images(path), FRAMES)


def test_the_size_of_voxels_stands_in_for_their_spacing(tmp_path: Path) -> None:
    path = write(tmp_path / "a.mha", RAW, ElementSize="0.2 0.3 1")  # as ITK reads it
    assert open_source(str(path)).spacing_mm == (0.3, 0.2)
    path = write(tmp_path / "a.mha", RAW, ElementSize="0.2 0.3 1", ElementSpacing="0.4 0.5 1")
    assert open_source(str(path)).spacing_mm == (0.5, 0.4)
