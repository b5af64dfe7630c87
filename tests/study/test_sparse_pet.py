"""The sparse PET task: events as they are counted, maximum likelihood, and the table."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from edgerecon.study.context import Context
from edgerecon.study.profile import Profile
from edgerecon.study.results import Result
from edgerecon.study.systems import sparse_pet
from edgerecon.workshop.data import ct, pet

SIDE = 24


@pytest.fixture(scope="module")
def disc() -> np.ndarray:
    away = np.hypot(*np.meshgrid(*2 * [np.arange(2 * SIDE) - SIDE]))
    return np.where(away < 0.6 * SIDE, 0.6, 0.0) + np.where(away < 0.2 * SIDE, 0.3, 0.0)


def test_a_slice_gives_the_events_asked_for(disc: np.ndarray) -> None:
    scan = pet.Scan(12, 1e6, 0.3)
    found = pet.measure(disc, scan, np.random.default_rng(0))
    assert found.counts.shape == (SIDE, 12) and found.counts.sum() == pytest.approx(1.3e6, rel=0.01)
    assert found.counts[0].mean() == pytest.approx(found.background, rel=0.02), "rays that miss count background alone"


def test_maximum_likelihood_finds_activity_and_gains_likelihood(disc: np.ndarray) -> None:
    found = pet.measure(disc, pet.Scan(20, 2e6, 0.3), np.random.default_rng(0))

    def likelihood(image: np.ndarray) -> float:
        expected = found.gain * ct.project(image, 20) + found.background
        return float((found.counts * np.log(expected) - expected).sum())

    images = [pet.maximum_likelihood(found, n) for n in (2, 8, 32)]
    assert likelihood(images[0]) < likelihood(images[1]) < likelihood(images[2])
    middle = slice(SIDE // 2 - 1, SIDE // 2 + 2)
    assert images[2][middle, middle].mean() == pytest.approx(0.9, abs=0.1)


def test_every_method_is_measured_on_the_same_slices(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Context, "ship", lambda *arguments: None)
    result = Result("sparse_pet", sparse_pet.TITLE, sparse_pet.PAPER)
    sparse_pet.run(Context(Profile("smoke"), tmp_path, result))
    (table,), (claim,) = result.tables, result.claims
    assert [row.method for row in table.rows] == ["FBP", "maximum likelihood", "U-Net"]
    assert all(np.isfinite(row.values["psnr_db"]["mean"]) for row in table.rows) and claim.holds in (True, False)
