"""Speckle, scan geometry and grey maps of the display generator against closed forms."""

from __future__ import annotations

import numpy as np
import pytest

from edgerecon.workshop.data.display.fields import fractal_noise, smooth_noise
from edgerecon.workshop.data.display.greymap import LEVELS, GreyMap
from edgerecon.workshop.data.display.scan import random_scan
from edgerecon.workshop.data.display.speckle import Grain, echoes

EVEN = np.ones((240, 240), np.float32)
NO_MIRROR = np.zeros_like(EVEN)
QUIET = -90.0


def _grain(axial: float = 1.5, lateral: float = 2.5, growth: float = 1.0, looks: int = 1) -> Grain:
    return Grain(axial, lateral, growth, looks, QUIET, 0.0)


@pytest.mark.parametrize("looks", [1, 4])
def test_intensity_of_even_tissue_is_gamma_of_the_looks(rng: np.random.Generator, looks: int) -> None:
    echo = echoes(EVEN, NO_MIRROR, _grain(looks=looks), (1.0, 1.0))
    intensity = np.stack([echo.realise(rng, looks)[20:-20, 20:-20] for _ in range(4)])
    np.testing.assert_allclose(echo.mean, 1, atol=1e-3)
    assert intensity.mean() == pytest.approx(1, abs=0.05)
    assert intensity.var() == pytest.approx(1 / looks, rel=0.15)


def test_grain_has_the_asked_width_and_grows_with_depth(rng: np.random.Generator) -> None:
    echo = echoes(EVEN, NO_MIRROR, _grain(1.5, 2.0, growth=2.0), (1.0, 1.0))
    intensity = np.stack([echo.realise(rng, 1) for _ in range(12)]) - 1
    top, bottom = intensity[:, 5:25], intensity[:, -25:-5]
    assert _width(np.moveaxis(top, 1, 2)) == pytest.approx(2.0, rel=0.2)
    assert _width(np.moveaxis(bottom, 1, 2)) == pytest.approx(4.0, rel=0.2)
    assert _width(intensity) == pytest.approx(1.5, rel=0.2)


def _width(intensity: np.ndarray) -> float:
    """σ of the autocovariance along axis 1, a Gaussian of the point-spread amplitude's own σ."""
    one = (intensity[:, 1:] * intensity[:, :-1]).mean() / (intensity**2).mean()
    return float(np.sqrt(-1 / (2 * np.log(one))))


def test_noise_grows_with_depth() -> None:
    echo = echoes(EVEN, NO_MIRROR, Grain(1, 2, 1, 1, -20, 20), (1.0, 1.0))
    assert echo.mean[0].mean() == pytest.approx(1.01, abs=2e-3)
    assert echo.mean[-1].mean() == pytest.approx(2, abs=2e-2)


@pytest.mark.parametrize("looks", [1, 4])
@pytest.mark.parametrize("mirror", [0.0, 3.0])
@pytest.mark.parametrize("level_db", [-50.0, -20.0, 0.0])
def test_expected_level_is_the_mean_of_the_shown(
    rng: np.random.Generator, looks: int, mirror: float, level_db: float
) -> None:
    """Also where black and white clip; where mirrors shine, as near as a gamma comes to Rice's distribution."""
    curve = np.linspace(0, 1, LEVELS + 1, dtype=np.float32) ** 0.8
    grey = GreyMap(0.0, 55.0, curve)
    power = np.float32(10 ** (level_db / 10))
    echo = echoes(EVEN * power, EVEN * power * np.float32(mirror), _grain(0.3, 0.3), (1.0, 1.0))
    shown = np.mean([grey.show(echo.realise(rng, looks)).mean() for _ in range(4)])
    expected = float(grey.show_mean(echo.mean, echo.coherent, looks).mean())
    assert 255 * abs(shown - expected) < (1.5 if mirror else 0.8)


def test_scan_conversion_undoes_sampling(rng: np.random.Generator) -> None:
    """Where the display shows tissue, a smooth map comes back from beams as it was."""
    smooth = smooth_noise(rng, (160, 160), 50, 50)
    for _ in range(6):
        scan = random_scan(rng, 160, (1.0, 1.0))
        inside = scan.view == 1
        inside[:8], inside[-8:], inside[:, :8], inside[:, -8:] = False, False, False, False
        back = scan.to_display(scan.to_beams(smooth))
        assert np.abs(back - smooth)[inside].max() < 0.1


def test_smooth_fields_have_unit_variance(rng: np.random.Generator) -> None:
    fields = [smooth_noise(rng, (200, 200), 4, 9) for _ in range(4)]
    assert np.std(fields) == pytest.approx(1, abs=0.1)
    assert np.std([fractal_noise(rng, (128, 128), 0.8) for _ in range(30)]) == pytest.approx(1, abs=0.2)
