"""One scale for a whole recording, in every format that frames lie in; three columns are colours."""

from __future__ import annotations

import logging
from pathlib import Path

import h5py
import numpy as np
import pytest

from edgerecon.core.frame import to_unit
from edgerecon.stream.sources import open_source
from edgerecon.stream.sources.scaling import SAMPLED_VALUES, Scale, sampled

RNG = np.random.default_rng(12)
FORMATS = ("a.npy", "a.npz", "packed.npz", "a.h5", "a.mha", "a.nrrd")


def write(folder: Path, name: str, frames: np.ndarray) -> Path:
    path = folder / name
    sizes = " ".join(map(str, frames.shape[::-1]))
    kind, element = {"uint16": ("uint16", "MET_USHORT"), "float32": ("float", "MET_FLOAT")}.get(
        frames.dtype.name, ("uint8", "MET_UCHAR")
    )
    if name == "a.npy":
        np.save(path, frames)
    elif name.endswith(".npz"):
        (np.savez_compressed if name == "packed.npz" else np.savez)(path, frames=frames)
    elif name == "a.h5":
        with h5py.File(path, "w") as file:
            file["frames"] = frames
    elif name == "a.mha":
        head = f"NDims = {frames.ndim}\nDimSize = {sizes}\nElementType = {element}\nElementDataFile = LOCAL\n"
        path.write_bytes(head.encode() + frames.tobytes())
    else:
        head = f"NRRD0004\ntype: {kind}\ndimension: {frames.ndim}\nsizes: {sizes}\nencoding: raw\nendian: little\n\n"
        path.write_bytes(head.encode() + frames.tobytes())
    return path


def units(path: Path) -> np.ndarray:
    return np.array([to_unit(capture.image) for capture in open_source(str(path)).frames()])


@pytest.mark.parametrize("name", FORMATS)
@pytest.mark.parametrize("bits", [8, 10, 12, 14])
def test_few_bits_in_sixteen_are_stretched_once_and_said(
    tmp_path: Path, name: str, bits: int, caplog: pytest.LogCaptureFixture
) -> None:
    white = (1 << bits) - 1
    frames = RNG.integers(0, white // 8, (3, 6, 9)).astype(np.uint16)
    frames[1, 2, 3] = white
    with caplog.at_level(logging.WARNING):
        found = units(write(tmp_path, name, frames))
    np.testing.assert_allclose(found, frames / white, atol=2e-5)
    assert f"{name} holds {bits} bits in 16: {white} is shown as white" in caplog.text


@pytest.mark.parametrize("name", FORMATS)
def test_sixteen_bits_and_blackness_stay(tmp_path: Path, name: str, caplog: pytest.LogCaptureFixture) -> None:
    frames = RNG.integers(0, 65536, (3, 6, 9)).astype(np.uint16)
    frames[0, 0, 0] = 65535
    np.testing.assert_allclose(units(write(tmp_path, name, frames)), frames / 65535, atol=1e-6)
    assert not units(write(tmp_path, name, np.zeros((3, 6, 9), np.uint16))).any()
    assert not caplog.records


@pytest.mark.parametrize("name", ["a.npy", "a.npz", "packed.npz", "a.h5", "a.nrrd"])
@pytest.mark.parametrize("channels", [3, 4])
def test_picture_of_colours_is_one_frame(tmp_path: Path, name: str, channels: int) -> None:
    picture = RNG.integers(0, 256, (20, 30, channels), np.uint8)
    source = open_source(str(write(tmp_path, name, picture)))
    assert source.length == 1
    np.testing.assert_array_equal([capture.image for capture in source.frames()], [picture])
    sequence = RNG.integers(0, 256, (5, 20, 30, channels), np.uint8)
    source = open_source(str(write(tmp_path, name, sequence)))
    np.testing.assert_array_equal([capture.image for capture in source.frames()], sequence)


def test_transparent_pixels_of_arrays_are_black(tmp_path: Path) -> None:
    for dtype, white in ((np.uint8, 255), (np.uint16, 65535), (np.float32, 1.0)):
        picture = np.full((20, 30, 4), white, dtype)
        picture[:10, :, 3] = 0
        (found,) = units(write(tmp_path, "a.npy", picture))
        assert not found[:10].any() and np.all(found[10:] == 1)


def test_sample_is_bounded_and_has_both_ends() -> None:
    assert sampled(7, 100) == list(range(7))
    many = sampled(10_000, 512 * 512)
    assert many[0] == 0 and many[-1] == 9_999 and len(many) * 512 * 512 <= SAMPLED_VALUES
    assert np.ptp(np.diff(many)) <= 1
    assert sampled(3, 10 * SAMPLED_VALUES) == [0]


def test_what_the_sample_did_not_hold_saturates_and_is_said_once(caplog: pytest.LogCaptureFixture) -> None:
    for dtype, low, high in ((np.uint16, 4000, 60000), (np.float32, 50.0, 70.0)):
        caplog.clear()
        sample = np.linspace(0, low, 12).reshape(3, 4).astype(dtype)
        scale = Scale("a", [sample])
        for _ in range(2):
            assert to_unit(scale(np.full((3, 4), high, dtype))).min() == 1
        assert caplog.text.count("they saturate") == 1


def test_large_images_are_scaled_by_rows_without_a_seam() -> None:
    image = RNG.normal(50, 20, (3000, 700))
    expected = (image - image.min()) / np.ptp(image)
    np.testing.assert_allclose(Scale("a", [image])(image), expected, atol=1e-6)
