"""Still images and animations: upright, one picture a file, one scale a recording; against Pillow's own answers."""

from __future__ import annotations

import logging
from io import BytesIO
from pathlib import Path

import cv2
import numpy as np
import pytest
from PIL import Image as Pillow

from edgerecon.core.errors import SourceError
from edgerecon.core.frame import to_unit
from edgerecon.stream.sources import open_source

RNG = np.random.default_rng(5)
GREY = RNG.integers(0, 256, (6, 9), np.uint8)
COLOUR = RNG.integers(0, 256, (6, 9, 3), np.uint8)


def images(path: Path) -> list[np.ndarray]:
    captures = list(open_source(str(path)).frames())
    assert [capture.fault for capture in captures] == [None] * len(captures)
    return [capture.image for capture in captures]


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize(
    ("name", "pixels", "options"),
    [
        ("a.jpg", GREY, {"quality": 95}),
        ("a.png", GREY, {}),
        ("a.png", GREY.astype(np.uint16) * 257, {}),
        ("a.webp", COLOUR, {"lossless": True}),
        ("a.tif", GREY, {}),
        ("a.tif", COLOUR, {"compression": "tiff_lzw"}),
    ],
)
def test_exif_orientation(tmp_path: Path, orientation: int, name: str, pixels: np.ndarray, options: dict) -> None:
    exif = Pillow.Exif()
    exif[0x0112] = orientation
    Pillow.fromarray(pixels).save(tmp_path / name, exif=exif, **options)
    (image,) = images(tmp_path / name)
    np.testing.assert_allclose(image, turned(pixels, orientation), atol=25 if name == "a.jpg" else 0)


def turned(pixels: np.ndarray, orientation: int) -> np.ndarray:
    """What the EXIF standard says of rows and columns."""
    sideways = pixels.swapaxes(0, 1)
    return {
        1: pixels,
        2: pixels[:, ::-1],
        3: pixels[::-1, ::-1],
        4: pixels[::-1],
        5: sideways,
        6: sideways[:, ::-1],
        7: sideways[::-1, ::-1],
        8: sideways[::-1],
    }[orientation]


@pytest.mark.filterwarnings("ignore:Corrupt EXIF")
def test_damaged_exif_costs_nothing_but_itself(tmp_path: Path) -> None:
    Pillow.fromarray(GREY).save(tmp_path / "a.png", exif=b"Exif\0\0II*\0\x08\0\0\0\xff\xff" + b"\xff" * 40)
    np.testing.assert_array_equal(images(tmp_path / "a.png"), [GREY])


def test_jpeg_with_a_second_picture_is_one_frame(tmp_path: Path) -> None:
    first, second = Pillow.fromarray(GREY), Pillow.fromarray(255 - GREY)
    first.save(tmp_path / "a.jpg", format="MPO", save_all=True, append_images=[second], quality=100)
    source = open_source(str(tmp_path / "a.jpg"))
    with Pillow.open(tmp_path / "a.jpg") as image:
        assert image.n_frames == 2 and source.length == 1
        np.testing.assert_array_equal(images(tmp_path / "a.jpg"), [np.asarray(image)])


@pytest.mark.parametrize("name", ["a.png", "a.webp"])
def test_animations_play_at_their_pace(tmp_path: Path, name: str) -> None:
    frames = [np.full((6, 9, 3), level, np.uint8) for level in (40, 90, 200)]
    first, *others = map(Pillow.fromarray, frames)
    options = {"lossless": True} if name == "a.webp" else {}
    first.save(tmp_path / name, save_all=True, append_images=others, duration=50, **options)
    source = open_source(str(tmp_path / name))
    assert (source.length, source.period_s) == (3, 0.05)
    assert [round(255 * to_unit(image).mean()) for image in images(tmp_path / name)] == [40, 90, 200]


def test_fallback_picture_of_an_apng_is_no_frame(tmp_path: Path) -> None:
    still, *frames = (Pillow.fromarray(np.full((6, 9), level, np.uint8)) for level in (255, 10, 20))
    still.save(tmp_path / "a.png", save_all=True, append_images=frames, default_image=True)
    assert [image.max() for image in images(tmp_path / "a.png")] == [10, 20]


@pytest.mark.parametrize("mode", ["RGBA", "LA", "P", "1"])
def test_transparent_pixels_are_black(tmp_path: Path, mode: str) -> None:
    rgba = np.full((6, 9, 4), 255, np.uint8)
    rgba[:, :4, 3] = 0  # white, and not to be seen
    image = Pillow.fromarray(rgba)
    if mode == "P":
        image = Pillow.fromarray(np.where(rgba[..., 3] > 0, 1, 0).astype(np.uint8), "L").convert("P")
        image.putpalette([255] * 768)
        image.save(tmp_path / "a.png", transparency=0)
    elif mode == "1":
        Pillow.fromarray(rgba[..., 3]).convert("1").save(tmp_path / "a.png")
    else:
        image.convert(mode).save(tmp_path / "a.png")
    unit = to_unit(images(tmp_path / "a.png")[0])
    assert not unit[:, :4].any() and np.all(unit[:, 4:] == 1)


def test_transparency_is_partial(tmp_path: Path) -> None:
    rgba = np.full((6, 9, 4), 200, np.uint8)
    rgba[..., 3] = 128
    Pillow.fromarray(rgba).save(tmp_path / "a.png")
    np.testing.assert_allclose(to_unit(images(tmp_path / "a.png")[0]), 200 * 128 / 255**2, atol=0.003)


@pytest.mark.parametrize("channels", [3, 4])
def test_sixteen_bit_colours_keep_their_bits(tmp_path: Path, channels: int) -> None:
    deep = RNG.integers(0, 65536, (6, 9, channels)).astype(np.uint16)
    cv2.imwrite(str(tmp_path / "a.png"), deep[..., [2, 1, 0, 3][:channels]])
    np.testing.assert_array_equal(images(tmp_path / "a.png")[0], deep)


def test_folder_has_one_scale(tmp_path: Path) -> None:
    for index in (1, 2, 3):
        Pillow.fromarray(GREY.astype(np.float32) * index).save(tmp_path / f"{index}.tif")
    span = 3.0 * GREY.max() - GREY.min()
    expected = [(GREY * float(index) - GREY.min()) / span for index in (1, 2, 3)]
    np.testing.assert_allclose(images(tmp_path), expected, atol=1e-6)


@pytest.mark.parametrize("suffix", [".png", ".tif"])
def test_twelve_bits_in_sixteen_are_stretched_once(
    tmp_path: Path, suffix: str, caplog: pytest.LogCaptureFixture
) -> None:
    for index, white in enumerate((500, 4095, 1000)):
        pixels = np.full((6, 9), white, np.uint16)
        cv2.imwrite(str(tmp_path / f"{index}{suffix}"), pixels)
    with caplog.at_level(logging.WARNING):
        units = [to_unit(image).max() for image in images(tmp_path)]
    np.testing.assert_allclose(units, [500 / 4095, 1, 1000 / 4095], atol=1e-4)
    assert [record.getMessage() for record in caplog.records].count(
        f"{tmp_path.name} holds 12 bits in 16: 4095 is shown as white"
    ) == 1


def test_digits_that_are_no_numbers_in_names(tmp_path: Path) -> None:
    for level, name in enumerate(("2²3.png", "10.png", "9.png", "٣.png", "①.png")):
        Pillow.fromarray(np.full((4, 5), level, np.uint8)).save(tmp_path / name)
    found = [int(image[0, 0]) for image in images(tmp_path)]
    assert sorted(found) == [0, 1, 2, 3, 4] and found.index(0) < found.index(2) < found.index(1)


def test_colours_of_print_and_pictures_of_few_bits(tmp_path: Path) -> None:
    image = Pillow.fromarray(COLOUR)
    for mode, name in (("CMYK", "a.tif"), ("YCbCr", "a.tif"), ("CMYK", "a.jpg"), ("P", "a.bmp"), ("1", "a.tif")):
        image.convert(mode).save(tmp_path / name)
        with Pillow.open(tmp_path / name) as stored:
            expected = np.asarray(stored.convert("L" if mode == "1" else "RGB"))
        np.testing.assert_array_equal(images(tmp_path / name)[0], expected)


def test_colour_is_known_by_content_not_by_name(tmp_path: Path) -> None:
    for form in ("PNG", "WEBP", "BMP", "TIFF"):
        content = BytesIO()
        Pillow.fromarray(GREY).save(content, form, **({"lossless": True} if form == "WEBP" else {}))
        (tmp_path / "a.bin").write_bytes(content.getvalue())
        assert to_unit(images(tmp_path / "a.bin")[0]) == pytest.approx(GREY / 255, abs=1e-6)


@pytest.mark.parametrize("name", ["a.webp", "a.png", "a.gif"])
def test_frames_of_an_animation_are_shown_as_long_as_each_says(tmp_path: Path, name: str) -> None:
    frames = [Pillow.fromarray(np.full((8, 9), 40 * level, np.uint8)) for level in range(5)]
    options = {"lossless": True} if name == "a.webp" else {}
    durations = [40, 40, 500, 40, 40]
    frames[0].save(tmp_path / name, save_all=True, append_images=frames[1:], duration=durations, **options)
    source = open_source(str(tmp_path / name))
    assert source.period_s == pytest.approx(0.04)
    times = [capture.time_s for capture in source.frames()]
    assert times == pytest.approx([0.0, 0.04, 0.08, 0.58, 0.62])


def test_an_animation_that_leaves_the_time_to_the_viewer(tmp_path: Path) -> None:
    frames = [Pillow.fromarray(np.full((8, 9), 40 * level, np.uint8)) for level in range(4)]
    frames[0].save(tmp_path / "a.png", save_all=True, append_images=frames[1:], duration=[100, 0, 50, 50])
    assert [capture.time_s for capture in open_source(str(tmp_path / "a.png")).frames()] == [0.0, 0.1, None, None]


def test_names_that_lie_are_refused_without_names_of_python(tmp_path: Path) -> None:
    (tmp_path / "a.png").write_bytes(b"\0")
    with pytest.raises(SourceError, match="it is none that is known, or its beginning is damaged$"):
        open_source(str(tmp_path / "a.png"))
    (tmp_path / "a.zarr").mkdir()
    (tmp_path / "a.zarr" / "zarr.json").write_text("{}")
    with pytest.raises(SourceError, match=r"a Zarr store, which is written and not read: record into \.h5"):
        open_source(str(tmp_path / "a.zarr"))
