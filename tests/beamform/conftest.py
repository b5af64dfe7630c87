"""What the tests of the beamformer share: the built kernels, and a small acquisition of every transmit."""

from __future__ import annotations

import numpy as np
import pytest

from edgerecon.beamform import (
    Acquisition,
    CartesianGrid,
    Transmit,
    diverging_wave,
    focused_wave,
    linear_array,
    plane_wave,
    single_element,
)
from tests.beamform.formulas import CARRIER, RATE, SPEED

START = 2e-6
TRANSMITS: dict[str, Transmit] = {
    "plane": plane_wave(np.radians(-5), START),
    "diverging": diverging_wave(1e-3, -8e-3, START),
    "focused": focused_wave(1e-3, 11e-3, START),
    "element": single_element(0.6e-3, 0.0, START),
}


def acquisition_of(*transmits: Transmit, iq: bool = False, samples: int = 450, elements: int = 24) -> Acquisition:
    return Acquisition(linear_array(elements, 0.3e-3), transmits, samples, RATE, CARRIER, SPEED, iq)


@pytest.fixture(scope="session")
def grid() -> CartesianGrid:
    return CartesianGrid(np.linspace(-4e-3, 4e-3, 19), np.linspace(4e-3, 15e-3, 37))


@pytest.fixture(params=[pytest.param("kernels", marks=pytest.mark.slow), "numpy"])  # slow: they are compiled
def kernels(request: pytest.FixtureRequest) -> bool:
    """Whether the CPU kernels beamform, or NumPy."""
    if request.param == "kernels":
        request.getfixturevalue("native")
        return True
    return False
