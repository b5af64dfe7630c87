"""TIFF of every depth, order and packing, written by tifffile or by hand, comes out as it went in."""

from __future__ import annotations

import struct
from pathlib import Path

import numpy as np
import pytest

from edgerecon.core.errors import SourceError
from edgerecon.core.frame import to_unit
from edgerecon.stream.sources import open_source
from edgerecon.stream.sources.files.tiff import TiffImage

tifffile = pytest.importorskip("tifffile")

RNG = np.random.default_rng(6)
INTEGERS = ("u1", "u2", "u4", "i1", "i2", "i4")
FLOATS = ("f4", "f8")


def values(dtype: str, shape: tuple[int, ...] = (11, 13)) -> np.ndarray:
    if dtype in ("f2", *FLOATS):
        return RNG.random(shape).astype(dtype)
    limits = np.iinfo(dtype)
    return RNG.integers(limits.min, limits.max, shape, dtype, endpoint=True)


def page(path: Path, index: int = 0) -> np.ndarray:
    image = TiffImage(path)
    try:
        return image.page(index)
    finally:
        image.close()


def images(path: Path) -> list[np.ndarray]:
    captures = list(open_source(str(path)).frames())
    assert [capture.fault for capture in captures] == [None] * len(captures)
    return [to_unit(capture.image) for capture in captures]


def by_hand(path: Path, pixels: np.ndarray, bits: int, order: str = "<", **tags: int) -> Path:
    """A TIFF of unsigned samples of any depth, packed as the specification says: the highest bit first."""
    each = (pixels[..., None] >> np.arange(bits - 1, -1, -1)) & 1
    data = np.packbits(each.astype(np.uint8).reshape(len(pixels), -1), axis=1).tobytes()
    height, width = pixels.shape
    entries = {256: width, 257: height, 258: bits, 259: 1, 262: 1, 273: 8, 277: 1, 278: height, 279: len(data)}
    entries |= {int(tag.removeprefix("tag")): value for tag, value in tags.items()}
    data += b"\0" * (len(data) % 2)
    directory = b"".join(struct.pack(order + "HHLL", tag, 4, 1, value) for tag, value in sorted(entries.items()))
    mark = b"II" if order == "<" else b"MM"
    path.write_bytes(
        mark
        + struct.pack(order + "HL", 42, 8 + len(data))
        + data
        + struct.pack(order + "H", len(entries))
        + directory
        + struct.pack(order + "L", 0)
    )
    return path


@pytest.mark.parametrize("byteorder", "<>")
@pytest.mark.parametrize("compression", [None, "zlib"])
@pytest.mark.parametrize("dtype", [*INTEGERS, *FLOATS])
def test_depths_orders_and_compressions(tmp_path: Path, dtype: str, byteorder: str, compression: str | None) -> None:
    stored = values(dtype)
    tifffile.imwrite(tmp_path / "a.tif", stored, byteorder=byteorder, compression=compression)
    found = page(tmp_path / "a.tif")
    assert found.dtype == stored.dtype
    np.testing.assert_array_equal(found, stored)


@pytest.mark.parametrize("byteorder", "<>")
@pytest.mark.parametrize("dtype", ["u1", "u2", "f4"])
@pytest.mark.parametrize("planar", ["contig", "separate"])
def test_colours_pixel_by_pixel_or_apart(tmp_path: Path, dtype: str, byteorder: str, planar: str) -> None:
    colour = values(dtype, (11, 13, 3))
    stored = colour if planar == "contig" else np.moveaxis(colour, -1, 0)
    tifffile.imwrite(tmp_path / "a.tif", stored, byteorder=byteorder, photometric="rgb", planarconfig=planar)
    np.testing.assert_array_equal(page(tmp_path / "a.tif"), colour)


@pytest.mark.parametrize("dtype", ["u2", "f4", "f2"])
def test_strips_tiles_and_half_floats(tmp_path: Path, dtype: str) -> None:
    stored = values(dtype, (40, 50))
    tifffile.imwrite(tmp_path / "a.tif", stored, rowsperstrip=7)
    np.testing.assert_array_equal(page(tmp_path / "a.tif"), stored)
    if dtype != "f2":
        tifffile.imwrite(tmp_path / "a.tif", stored, tile=(16, 32))
        np.testing.assert_array_equal(page(tmp_path / "a.tif"), stored)
    tifffile.imwrite(tmp_path / "a.tif", stored, bigtiff=True)
    np.testing.assert_array_equal(page(tmp_path / "a.tif"), stored)


@pytest.mark.parametrize("order", "<>")
@pytest.mark.parametrize("bits", [3, 4, 6, 9, 10, 12, 14, 15])
def test_packed_samples_of_any_depth(tmp_path: Path, bits: int, order: str) -> None:
    white = (1 << bits) - 1
    stored = RNG.integers(0, white, (11, 13), endpoint=True)
    (found,) = images(by_hand(tmp_path / "a.tif", stored, bits, order))
    np.testing.assert_allclose(found, stored / white, atol=1e-6)
    (found,) = images(by_hand(tmp_path / "a.tif", stored, bits, order, tag262=0))
    np.testing.assert_allclose(found, 1 - stored / white, atol=1e-6)


def test_stated_depth_is_not_guessed_anew(tmp_path: Path) -> None:
    dark = np.full((11, 13), 100)
    np.testing.assert_allclose(images(by_hand(tmp_path / "a.tif", dark, 12)), 100 / 4095, atol=1e-6)
    np.testing.assert_allclose(images(by_hand(tmp_path / "a.tif", dark, 16, ">", tag281=4095)), 100 / 4095, atol=1e-6)


@pytest.mark.parametrize("dtype", ["u1", "u2", "i2", "f4"])
def test_white_is_zero(tmp_path: Path, dtype: str) -> None:
    ramp = np.linspace(0, 1, 140).reshape(10, 14)
    stored = ramp if dtype == "f4" else np.iinfo(dtype).min + ramp * (float(np.iinfo(dtype).max) - np.iinfo(dtype).min)
    stored = stored if dtype == "f4" else stored.round()
    tifffile.imwrite(tmp_path / "a.tif", stored.astype(dtype), photometric="miniswhite")
    np.testing.assert_allclose(images(tmp_path / "a.tif")[0], 1 - ramp, atol=0.003)


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("compression", [None, "zlib"])
@pytest.mark.parametrize("dtype", ["u1", "u2", "f4"])
def test_tiff_orientation(tmp_path: Path, orientation: int, compression: str | None, dtype: str) -> None:
    stored = values(dtype, (4, 7))
    tag = (274, "H", 1, orientation, True)
    tifffile.imwrite(tmp_path / "a.tif", stored, compression=compression, extratags=[tag], metadata=None)
    turned = {
        1: stored,
        2: stored[:, ::-1],
        3: stored[::-1, ::-1],
        4: stored[::-1],
        5: stored.T,
        6: stored.T[:, ::-1],
        7: stored.T[::-1, ::-1],
        8: stored.T[::-1],
    }
    np.testing.assert_array_equal(page(tmp_path / "a.tif"), turned[orientation])


@pytest.mark.parametrize("dtype", ["u2", "i1", "i2", "u4", "f4", "f8"])
@pytest.mark.parametrize("compression", [None, "zlib"])
def test_pages_have_the_scale_of_the_same_array(tmp_path: Path, dtype: str, compression: str | None) -> None:
    steps = np.linspace(0.2, 1, 5)[:, None, None] * np.linspace(0, 100, 143).reshape(11, 13)
    stack = steps.astype(dtype)
    tifffile.imwrite(tmp_path / "a.tif", stack, compression=compression)
    np.save(tmp_path / "a.npy", stack)
    expected = [to_unit(capture.image) for capture in open_source(str(tmp_path / "a.npy")).frames()]
    np.testing.assert_allclose(images(tmp_path / "a.tif"), expected, atol=1e-6)


def test_full_signed_range_is_an_image(tmp_path: Path) -> None:
    ramp = np.linspace(-128, 127, 256).reshape(16, 16).astype(np.int8)
    tifffile.imwrite(tmp_path / "a.tif", ramp)
    np.testing.assert_allclose(images(tmp_path / "a.tif")[0], (ramp + 128.0) / 255, atol=1e-6)


def test_smaller_versions_and_masks_are_no_pages(tmp_path: Path) -> None:
    full, half = values("u1", (16, 32)), values("u1", (8, 16))
    with tifffile.TiffWriter(tmp_path / "a.tif") as writer:
        for _ in range(2):
            writer.write(full)
            writer.write(half, subfiletype=1)
            writer.write(half > 127, subfiletype=4, photometric="minisblack")
    source = open_source(str(tmp_path / "a.tif"))
    assert source.length == 2
    np.testing.assert_array_equal([capture.image for capture in source.frames()], [full, full])


def test_transparent_deep_colours(tmp_path: Path) -> None:
    rgba = values("u2", (11, 13, 4))
    tifffile.imwrite(tmp_path / "a.tif", rgba, photometric="rgb", extrasamples=["unassalpha"])
    np.testing.assert_array_equal(page(tmp_path / "a.tif"), rgba)
    tifffile.imwrite(tmp_path / "a.tif", rgba, photometric="rgb", extrasamples=["unspecified"])
    np.testing.assert_array_equal(page(tmp_path / "a.tif"), rgba[..., :3])


@pytest.mark.parametrize("compression", [None, "zlib"])
@pytest.mark.parametrize("photometric", ["minisblack", "miniswhite", "rgb"])
def test_big_files_of_the_other_byte_order(tmp_path: Path, photometric: str, compression: str | None) -> None:
    """Pillow does not know them."""
    pixels = values("u1", (3, 11, 13, 3) if photometric == "rgb" else (3, 11, 13))
    options = {"byteorder": ">", "bigtiff": True, "photometric": photometric, "metadata": None}
    tifffile.imwrite(tmp_path / "a.tif", pixels, compression=compression, **options)
    expected = 255 - pixels if photometric == "miniswhite" else pixels
    found = [capture.image for capture in open_source(str(tmp_path / "a.tif")).frames()]
    np.testing.assert_array_equal(found, expected)


def test_a_stack_of_which_one_page_has_a_directory_is_refused(tmp_path: Path) -> None:
    """As ImageJ saves stacks of more than 4 GB: the other frames lie behind the first one."""
    frames = np.zeros((3, 8, 8), np.uint8)
    tifffile.imwrite(tmp_path / "whole.tif", frames, imagej=True)
    assert open_source(str(tmp_path / "whole.tif")).length == 3
    cut = bytearray((tmp_path / "whole.tif").read_bytes())
    order = "<" if cut.startswith(b"II") else ">"
    (at,) = struct.unpack_from(f"{order}I", cut, 4)
    (entries,) = struct.unpack_from(f"{order}H", cut, at)
    struct.pack_into(f"{order}I", cut, at + 2 + 12 * entries, 0)
    (tmp_path / "cut.tif").write_bytes(cut)
    with pytest.raises(SourceError, match="an ImageJ stack of 3 frames"):
        open_source(str(tmp_path / "cut.tif"))
