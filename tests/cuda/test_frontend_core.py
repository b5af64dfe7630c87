"""The arithmetic of frontend.cu, run on the CPU, against OpenCV and against NumPy in float64."""

from __future__ import annotations

import ctypes

import cv2
import numpy as np
import pytest

from edgerecon.cuda.kernels.frontend import Sector
from tests.cuda.conftest import HostRun

SIZES = [
    ((1, 1), (1, 1)),
    ((1, 1), (5, 3)),
    ((7, 5), (7, 5)),
    ((7, 5), (13, 11)),
    ((64, 48), (33, 17)),
    ((31, 33), (1, 1)),
    ((2, 300), (9, 31)),
    ((50, 40), (25, 10)),
]


def resized(on_host: HostRun, mode: str, image: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    return on_host("frontend", [mode, *image.shape, *size], [image]).reshape(size)


def cover(source: int, target: int) -> np.ndarray:
    """(target, source): the share of each source pixel in each output pixel."""
    edges = np.arange(target + 1) * source / target
    low, high = np.arange(source), np.arange(source) + 1
    shares = np.minimum(edges[1:, None], high) - np.maximum(edges[:-1, None], low)
    return np.clip(shares, 0, None) * target / source


@pytest.mark.parametrize(("size", "out"), SIZES)
def test_bilinear_is_opencvs(
    on_host: HostRun, rng: np.random.Generator, size: tuple[int, int], out: tuple[int, int]
) -> None:
    image = rng.integers(0, 256, size).astype(np.uint8)
    expected = cv2.resize(image / 255.0, out[::-1], interpolation=cv2.INTER_LINEAR).reshape(out)
    # OpenCV holds positions and weights in float32.
    assert np.abs(resized(on_host, "bilinear", image, out) - expected).max() < 2e-5


@pytest.mark.parametrize(("size", "out"), [pair for pair in SIZES if pair[1] <= pair[0] and pair[1][1] <= pair[0][1]])
def test_area_is_the_mean_and_opencvs(
    on_host: HostRun, rng: np.random.Generator, size: tuple[int, int], out: tuple[int, int]
) -> None:
    image = rng.integers(0, 256, size).astype(np.uint8)
    found = resized(on_host, "area", image, out)
    expected = cover(size[0], out[0]) @ (image / 255.0) @ cover(size[1], out[1]).T
    assert np.abs(found - expected).max() < 1e-6
    opencv = cv2.resize(image / 255.0, out[::-1], interpolation=cv2.INTER_AREA).reshape(out)
    assert np.abs(found - opencv).max() < 1e-4


@pytest.mark.parametrize("mode", ["bilinear", "area"])
def test_the_largest_sides_do_not_overflow(on_host: HostRun, mode: str) -> None:
    image = np.arange(16_384, dtype=np.int64).astype(np.uint8)[None]
    found = resized(on_host, mode, image, (1, 16_383))
    if mode == "area":  # differences of the integral
        integral = np.concatenate([[0], np.cumsum(image[0], dtype=np.float64)])
        edges = np.arange(16_384) * 16_384 / 16_383
        expected = np.diff(np.interp(edges, np.arange(16_385), integral)) * 16_383 / 16_384
    else:
        position = np.clip((np.arange(16_383) + 0.5) * 16_384 / 16_383 - 0.5, 0, 16_383)
        expected = np.interp(position, np.arange(16_384), image[0])
    assert np.abs(found[0] - expected / 255).max() < 1e-6


def test_log_compression(on_host: HostRun, rng: np.random.Generator) -> None:
    reference, dynamic_range = 3.0, 60.0
    iq = (rng.standard_normal((500, 2)) * 10 ** rng.uniform(-4, 1, (500, 1))).astype(np.float32)
    iq[:6] = [[0, 0], [3, 0], [0, -3], [1e30, 1e30], [1e-30, 0], [np.nan, 0]]
    found = on_host("frontend", ["log", 1 / reference, 1 / dynamic_range], [iq])
    with np.errstate(divide="ignore"):
        expected = np.clip(1 + 20 * np.log10(np.hypot(*iq.T.astype(np.float64)) / reference) / dynamic_range, 0, 1)
    expected[5] = 0
    assert np.abs(found - expected).max() < 1e-6 and list(found[:5]) == [0, 1, 1, 1, 0]


def test_bytes_round_halves_to_even_and_saturate(on_host: HostRun) -> None:
    levels = np.arange(0, 256, 0.25)
    values = np.concatenate([levels / 255, [-1, 2, np.inf, -np.inf, np.nan, -0.0]]).astype(np.float32)
    found = on_host("frontend", ["bytes"], [values], np.uint8)
    expected = np.clip(np.rint(values[: len(levels)] * np.float32(255)), 0, 255)
    assert np.array_equal(found[: len(levels)], expected) and list(found[len(levels) :]) == [0, 255, 255, 0, 0, 0]
    exact = np.arange(256, dtype=np.float32) / np.float32(255)
    assert np.array_equal(on_host("frontend", ["bytes"], [exact], np.uint8), np.arange(256))


def sector(size: tuple[int, int] = (90, 110), polar: tuple[int, int] = (70, 41)) -> Sector:
    return Sector(polar, (1.0, -4.0), (-0.6, 0.5), (6.0, 60.0), size, (-40.0, 0.0), (0.75, 0.65))


def positions(of: Sector) -> tuple[np.ndarray, np.ndarray]:
    """Sample and line, as fractions of indices, that each pixel of the picture looks at."""
    rows, columns = np.mgrid[: of.size[0], : of.size[1]]
    x, z = (
        start + index * step - apex
        for start, index, step, apex in zip(of.corner, (columns, rows), of.spacing, of.apex, strict=True)
    )
    depth, angle = np.hypot(x, z), np.arctan2(x, z)
    sample = (depth - of.depths[0]) / (of.depths[1] - of.depths[0]) * (of.polar[0] - 1)
    line = (angle - of.angles[0]) / (of.angles[1] - of.angles[0]) * (of.polar[1] - 1)
    return sample, line


def converted(on_host: HostRun, of: Sector, polar: np.ndarray) -> np.ndarray:
    layout = np.frombuffer(ctypes.string_at(ctypes.byref(of.struct()), ctypes.sizeof(of.struct())), np.uint8)
    return on_host("frontend", ["scan"], [layout, polar]).reshape(of.size)


def test_scan_conversion_is_bilinear_inside_and_zero_outside(on_host: HostRun, rng: np.random.Generator) -> None:
    shown = sector()
    polar = rng.random(shown.polar, dtype=np.float32)
    found, (sample, line) = converted(on_host, shown, polar), positions(shown)
    inside = (sample >= 0) & (sample <= 69) & (line >= 0) & (line <= 40)
    s, n = np.clip(sample.astype(int), 0, 68), np.clip(line.astype(int), 0, 39)
    u, v = sample - s, line - n
    table = polar.astype(np.float64)
    expected = (1 - u) * ((1 - v) * table[s, n] + v * table[s, n + 1]) + u * (
        (1 - v) * table[s + 1, n] + v * table[s + 1, n + 1]
    )
    clear = (np.abs(sample) > 1e-3) & (np.abs(sample - 69) > 1e-3) & (np.abs(line) > 1e-3) & (np.abs(line - 40) > 1e-3)
    assert 0.2 < inside.mean() < 0.8 and clear.mean() > 0.99
    assert np.abs(found - np.where(inside, expected, 0))[clear].max() < 5e-5
    remapped = cv2.remap(polar, line.astype(np.float32), sample.astype(np.float32), cv2.INTER_LINEAR)
    assert np.abs(found - remapped)[inside & clear].max() < 1 / 16  # OpenCV may hold positions to 1/32 of a pixel


def test_scan_conversion_of_one_pixel_and_of_the_smallest_sector(on_host: HostRun) -> None:
    smallest = Sector((2, 2), (0, 0), (-0.5, 0.5), (1.0, 3.0), (1, 1), (0.0, 2.0), (1.0, 1.0))
    polar = np.array([[0.0, 0.2], [0.4, 0.6]], np.float32)
    assert converted(on_host, smallest, polar)[0, 0] == pytest.approx(0.3, abs=1e-6)
    for depth, value in ((1.0, 0.1), (3.0, 0.5), (0.9, 0.0), (3.1, 0.0)):
        at = Sector((2, 2), (0, 0), (-0.5, 0.5), (1.0, 3.0), (1, 1), (0.0, depth), (1.0, 1.0))
        assert converted(on_host, at, polar)[0, 0] == pytest.approx(value, abs=1e-6)
