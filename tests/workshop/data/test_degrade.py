"""What spoils a frame, against physics, formulas written pixel by pixel, and what must be left alone."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from edgerecon.workshop.data import degrade


@pytest.fixture
def frame(rng: np.random.Generator) -> np.ndarray:
    return rng.random((48, 64), dtype=np.float32)


@pytest.mark.parametrize(
    "spoil",
    [
        lambda x, rng: degrade.electronic_noise(x, 0.1, rng),
        lambda x, rng: degrade.speckle(x, 1.5, rng),
        lambda x, rng: degrade.interference(x, 5, 0.7, rng),
        lambda x, rng: degrade.weak_lines(x, 5, 12.0, rng),
        lambda x, rng: degrade.reverberation(x, 9, 10.0),
        lambda x, rng: degrade.lost_contrast(x, 0.5, 0.3, 1.2, 0.1),
        lambda x, rng: degrade.lost_lines(x, 0.2, 4, rng),
        lambda x, rng: degrade.lost_regions(x, 3, (3, 8), rng),
    ],
)
def test_a_frame_stays_a_frame_and_the_seed_decides(frame: np.ndarray, spoil: Callable[..., Any]) -> None:
    before = frame.copy()
    found = spoil(frame, np.random.default_rng(1))
    assert found.shape == frame.shape and found.dtype == np.float32 and np.array_equal(frame, before)
    assert 0 <= found.min() and found.max() <= 1 and not np.array_equal(found, frame)
    assert np.array_equal(found, spoil(frame, np.random.default_rng(1)))


def test_noise_has_its_deviation(rng: np.random.Generator) -> None:
    flat = np.full((200, 200), 0.5, np.float32)
    assert degrade.electronic_noise(flat, 0.05, rng).std() == pytest.approx(0.05, rel=0.03)


def test_speckle_is_rayleigh(rng: np.random.Generator) -> None:
    """The envelope's mean over its deviation is 1.91, √(π / (4 − π)), and its power is that of the frame."""
    flat = np.full((400, 400), 0.7, np.float32)
    envelope = 10.0 ** ((degrade.speckle(flat, 1.0, rng) - flat).astype(np.float64) * degrade.RANGE_DB / 20)
    assert envelope.mean() / envelope.std() == pytest.approx((np.pi / (4 - np.pi)) ** 0.5, rel=0.03)
    assert (envelope**2).mean() == pytest.approx(1, rel=0.02)


def test_lines_are_spoilt_and_others_left(frame: np.ndarray, rng: np.random.Generator) -> None:
    for found, sign in ((degrade.interference(frame, 6, 0.9, rng), 1), (degrade.weak_lines(frame, 6, 15, rng), -1)):
        changed = np.any(found != frame, axis=0)
        assert changed.sum() == 6
        assert np.all(sign * (found - frame) >= 0)
    weak = degrade.weak_lines(frame, 64, 15, rng)
    np.testing.assert_allclose(weak, np.maximum(frame - 15 / 60, 0), atol=1e-6)


def test_reverberation_is_the_formula(frame: np.ndarray) -> None:
    found = degrade.reverberation(frame, 10, 6.0)
    for z in range(len(frame)):
        copies = [frame[z - 10 * k] - k * 6.0 / 60 for k in range(z // 10 + 1)]
        np.testing.assert_allclose(found[z], np.max(copies, axis=0), atol=1e-6)


def test_lost_contrast_is_the_formula(frame: np.ndarray) -> None:
    found = degrade.lost_contrast(frame, 0.6, 0.5, 1.3, 0.2)
    depth = np.arange(48)[:, None] / 48
    np.testing.assert_allclose(found, 0.2 + 0.6 * (1 - 0.5 * depth) * frame.astype(np.float64) ** 1.3, atol=1e-6)


def test_holes_are_zero_and_nothing_else_is(rng: np.random.Generator) -> None:
    black = np.zeros((60, 80), np.float32)
    lines = degrade.lost_lines(black, 0.25, 4, rng)
    columns = np.all(lines == 0, axis=0)
    assert np.array_equal(lines == 0, np.broadcast_to(columns, lines.shape)) and 0.25 <= columns.mean() < 0.31
    regions = degrade.lost_regions(black, 3, (4, 8), rng)
    assert 0 < (regions == 0).mean() < 0.2
    assert set(np.unique(lines)) == set(np.unique(regions)) == {np.float32(0), np.float32(1 / 255)}
