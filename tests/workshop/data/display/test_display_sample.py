"""Pairs of a scanner's display: repeatable, equal in brightness, and equal where there is no tissue."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import h5py
import numpy as np
import pytest

from edgerecon.core.errors import DataError, UsageError
from edgerecon.workshop.data.datasets import load_pairs
from edgerecon.workshop.data.display.overlay import put, random_overlays
from edgerecon.workshop.data.display.sample import (
    NAMES,
    SIZE,
    simulate_recorded,
    simulate_sample,
    simulate_small_lesions,
)
from edgerecon.workshop.data.display.structures import NOTHING_DB, Tissue, small_lesions
from edgerecon.workshop.data.display.tissue import random_tissue
from edgerecon.workshop.data.simulate import simulate
from edgerecon.workshop.data.simulate.dataset import Sample


def test_the_same_seed_gives_the_same_pair() -> None:
    first, facts = simulate_sample(3, 4)
    second, _ = simulate_sample(3, 4)
    other, _ = simulate_sample(3, 5)
    assert tuple(first) == NAMES and facts["looks"] >= 1
    for name in NAMES:
        assert first[name].shape == (SIZE, SIZE) and first[name].dtype == np.uint8
        np.testing.assert_array_equal(first[name], second[name])
    assert (first["shown"] != other["shown"]).any()


def test_mean_brightness_is_the_same_on_both_sides() -> None:
    moved = []
    for index in range(24):
        pair, _ = simulate_sample(11, index)
        moved.append(float(pair["shown"].mean()) - float(pair["expected"].mean()))
    assert abs(np.mean(moved)) < 0.5  # grey levels of 255
    assert np.median(np.abs(moved)) < 1


def test_the_target_has_less_variance_than_the_input() -> None:
    for index in range(8):
        pair, _ = simulate_sample(12, index)
        assert pair["expected"].astype(float).var() <= 1.02 * pair["shown"].astype(float).var() + 1


def test_overlays_hide_both_frames_alike(rng: np.random.Generator) -> None:
    view = np.zeros((64, 64), np.float32)
    view[:, :40] = 1
    overlays = random_overlays(rng, view)
    a, b = (put(rng.random((64, 64), dtype=np.float32), overlays) for _ in range(2))
    np.testing.assert_array_equal(a[:, 40:], b[:, 40:])
    assert (a[:, :40] != b[:, :40]).any()


def test_a_display_file_trains_and_extends(tmp_path: Path) -> None:
    path = tmp_path / "display.h5"
    assert simulate(path, 2, 5, workers=1, kind="display") == 2
    assert simulate(path, 3, 5, workers=1, kind="display") == 1
    pairs = load_pairs(path, NAMES)
    assert pairs.fields["shown"].shape == (3, SIZE, SIZE)
    np.testing.assert_array_equal(pairs.fields["expected"][2], simulate_sample(5, 2)[0]["expected"])
    with h5py.File(path) as file:
        assert file.attrs["kind"] == "display"
    with pytest.raises(DataError, match="another kind"):
        simulate(path, 4, 5, workers=1)


def test_kinds_refuse_what_they_cannot_make(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="leave out --sequence"):
        simulate(tmp_path / "a.h5", 1, 0, frames=3, kind="display")
    with pytest.raises(UsageError, match="acoustic, display"):
        simulate(tmp_path / "a.h5", 1, 0, kind="optical")


def test_a_texture_of_ones_own_stands_without_structures(rng: np.random.Generator) -> None:
    tissue = random_tissue(rng, 32, lambda _, side: np.full((side, side), 3, np.float32))
    np.testing.assert_allclose(tissue.diffuse - tissue.specular, 3 - NOTHING_DB, atol=1e-4)


@pytest.mark.parametrize("simulated", [simulate_small_lesions, simulate_recorded], ids=["lesions", "recorded"])
def test_other_kinds_keep_brightness_and_name_finite_looks(simulated: Callable[[int, int], Sample]) -> None:
    moved = []
    for index in range(8):
        pair, facts = simulated(4, index)
        assert tuple(pair) == NAMES and int(facts["looks"]) >= 1 and int(facts["persistence"]) >= 1
        assert all(frame.shape == (SIZE, SIZE) and frame.dtype == np.uint8 for frame in pair.values())
        moved.append(float(pair["shown"].mean()) - float(pair["expected"].mean()))
    assert np.median(np.abs(moved)) < 2  # grey levels of 255; strong coding moves some


def test_small_lesions_differ_by_three_decibels(rng: np.random.Generator) -> None:
    flat = np.zeros((96, 96), np.float32)
    tissue = Tissue(flat.copy(), np.full_like(flat, NOTHING_DB))
    small_lesions(rng, tissue)
    assert np.abs(tissue.diffuse).max() > 2.9
