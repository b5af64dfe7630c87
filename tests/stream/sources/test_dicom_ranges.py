"""DICOM: 16 bits of which nothing says how many are used, and frame times that contradict each other."""

from __future__ import annotations

import logging
from pathlib import Path

import numpy as np
import pytest
from pydicom import Dataset

from edgerecon.stream.sources import open_source
from tests.support.dicom_files import read, write

DEEP = np.random.default_rng(16).integers(0, 4096, (3, 6, 8)).astype(np.uint16)
DEEP[:, 0, :2] = 0, 4095
WHITE = np.rint(DEEP / 4095 * 65535)


@pytest.mark.parametrize("color", ["MONOCHROME2", "MONOCHROME1"])
def test_12_bits_in_16_are_stretched_once(tmp_path: Path, color: str, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING):
        found = read(write(tmp_path / "a.dcm", DEEP, PhotometricInterpretation=color))
    expected = WHITE if color == "MONOCHROME2" else 65535 - WHITE
    np.testing.assert_allclose(found, expected, atol=1)
    assert "states no range of its 16 bits: 0 is shown as black, 4095 as white" in caplog.text


def test_signed_16_bits_take_the_range_of_the_recording(tmp_path: Path) -> None:
    signed = (DEEP.astype(int) - 1000).astype(np.int16)
    signed[1] //= 2  # a darker frame stays darker
    expected = (signed.astype(float) - signed.min()) / np.ptp(signed.astype(float)) * 65535
    np.testing.assert_allclose(read(write(tmp_path / "a.dcm", signed)), expected, atol=1)


def test_colours_in_16_bits_are_stretched_alike(tmp_path: Path) -> None:
    colour = np.stack([DEEP, DEEP // 2, DEEP // 4], -1)
    np.testing.assert_allclose(read(write(tmp_path / "a.dcm", colour)), colour / 4095 * 65535, atol=17)


def test_padding_is_no_part_of_the_range(tmp_path: Path) -> None:
    padded = DEEP.copy()
    padded[:, 1] = 65535
    expected = WHITE.copy()
    expected[:, 1] = 0
    np.testing.assert_allclose(read(write(tmp_path / "a.dcm", padded, PixelPaddingValue=65535)), expected, atol=1)


@pytest.mark.parametrize("stated", [{"WindowCenter": "32768", "WindowWidth": "65536"}, {"BitsStored": 14}])
def test_a_range_that_is_stated_counts(tmp_path: Path, stated: dict) -> None:
    full = 16383 if "BitsStored" in stated else 65535
    found = read(write(tmp_path / "a.dcm", DEEP, **stated))
    np.testing.assert_allclose(found, DEEP / full * 65535, atol=2)


@pytest.mark.parametrize(
    ("stated", "period_s", "times_s"),
    [
        ({"FrameTime": "100", "FrameTimeVector": ["0", "40", "40"], "FrameIncrementPointer": 0x00181065}, 0.04, True),
        ({"FrameTime": "100", "FrameTimeVector": ["0", "40", "40"], "FrameIncrementPointer": 0x00181063}, 0.1, False),
        ({"FrameTime": "100", "FrameTimeVector": ["0", "40", "40"]}, 0.1, False),
        ({"FrameTime": "-5", "FrameTimeVector": ["0", "40", "40"]}, 0.04, True),
        ({"FrameTime": "-5", "CineRate": "20"}, 0.05, False),
        ({"FrameTime": "-5"}, None, False),
    ],
)
def test_the_time_that_counts(tmp_path: Path, stated: dict, period_s: float | None, times_s: bool) -> None:
    source = open_source(str(write(tmp_path / "a.dcm", DEEP.astype(np.uint8), **stated)))
    assert source.period_s == pytest.approx(period_s)
    found = [capture.time_s for capture in source.frames()]
    assert found == (pytest.approx([0, 0.04, 0.08]) if times_s else [None] * 3)


def test_a_word_in_small_letters_is_the_same_word(tmp_path: Path) -> None:
    grey = DEEP.astype(np.uint8)
    np.testing.assert_array_equal(read(write(tmp_path / "a.dcm", grey, PhotometricInterpretation="monochrome2")), grey)


@pytest.mark.parametrize("kind", [2, 3, 4, 5])
def test_a_spectrum_is_no_picture(tmp_path: Path, kind: int) -> None:
    """Though somebody wrote it in centimetres, and though it is larger."""
    grey = np.random.default_rng(1).integers(0, 256, (2, 40, 30), np.uint8)
    regions = []
    for top, bottom, spatial in ((0, 24, kind), (25, 39, 1)):
        region = Dataset()
        region.RegionSpatialFormat, region.RegionDataType = spatial, 1
        region.RegionLocationMinX0, region.RegionLocationMinY0 = 0, top
        region.RegionLocationMaxX1, region.RegionLocationMaxY1 = 29, bottom
        region.PhysicalUnitsXDirection = region.PhysicalUnitsYDirection = 3
        region.PhysicalDeltaX = region.PhysicalDeltaY = 0.01
        regions.append(region)
    path = write(tmp_path / "a.dcm", grey, SequenceOfUltrasoundRegions=regions)
    np.testing.assert_array_equal(read(path), grey[:, 25:])
