"""The fast simulator against what is known of speckle."""

from __future__ import annotations

import numpy as np
import pytest

from edgerecon.workshop.data.simulate import fast
from edgerecon.workshop.data.simulate.scene import RESOLUTION, Scene

LOOK = fast.Look(axial=1.0, lateral=1.5, wavelength=2.0, noise=0.0, dynamic_range_db=60, headroom_db=20)


def flat(db: float = 0.0) -> Scene:
    return Scene(np.full((RESOLUTION, RESOLUTION), db, np.float32), np.zeros((0, 3)))


@pytest.mark.parametrize("db", [0.0, -12.0])
def test_speckle_is_fully_developed(db: float) -> None:
    """Rayleigh envelope: mean over standard deviation √(π / (4 − π)) = 1.91, mean power as the tissue's dB say."""
    echoes = [np.abs(fast._echo(flat(db), LOOK, 128, 0.0, np.random.default_rng(i))) for i in range(8)]
    assert np.mean(np.square(echoes)) == pytest.approx(10 ** (db / 10), rel=0.05)
    assert np.mean(echoes) / np.std(echoes) == pytest.approx(1.91, rel=0.03)


def test_the_clean_image_is_the_mean_over_draws() -> None:
    rng = np.random.default_rng(3)
    scene = fast.random_scene(rng)
    draws = [np.abs(fast._echo(scene, LOOK, 64, 0.0, np.random.default_rng(i))) for i in range(200)]
    expected = fast._expected(scene, LOOK, 64, 0.0)
    where = expected > np.percentile(expected, 30)
    ratio = np.mean(draws, axis=0)[where] / expected[where]
    assert np.median(ratio) == pytest.approx(1.0, abs=0.05)


def test_the_grain_has_the_size_of_the_point_spread_function() -> None:
    """The intensity's correlation falls to 1/e at a lag of 2σ of the point-spread function."""
    echo = np.abs(fast._echo(flat(), LOOK, 256, 0.0, np.random.default_rng(0))) ** 2
    spectrum = np.abs(np.fft.fft2(echo - echo.mean())) ** 2
    correlation = np.fft.ifft2(spectrum).real
    assert correlation[2, 0] / correlation[0, 0] == pytest.approx(np.exp(-2), abs=0.1)
    assert correlation[0, 3] / correlation[0, 0] == pytest.approx(np.exp(-2), abs=0.1)


def test_the_same_seed_gives_the_same_frames_and_tissue_moves() -> None:
    first = fast.fast_sample(np.random.default_rng([1, 6]), 64, 3)
    again = fast.fast_sample(np.random.default_rng([1, 6]), 64, 3)
    assert all(np.array_equal(a, b) for a, b in zip(first, again, strict=True))
    assert first[0].shape == (3, 64, 64) and first[0].dtype == np.uint8
    assert (first[0][0] != first[0][1]).any()
