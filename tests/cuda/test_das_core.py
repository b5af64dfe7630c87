"""The arithmetic of das.cu, run pixel by pixel on the CPU, against the formulas in float64."""

from __future__ import annotations

import numpy as np
import pytest

from edgerecon.beamform import CartesianGrid, Settings
from edgerecon.beamform.job import make_job
from edgerecon.cpu.das import MARGIN
from tests.beamform.conftest import TRANSMITS, acquisition_of
from tests.beamform.formulas import CARRIER, RATE, aperture_data, error_db
from tests.cuda.conftest import HostRun


@pytest.mark.parametrize(
    ("kinds", "settings"),
    [
        (("plane",), Settings(f_number=0.0, window="boxcar")),
        (("plane", "focused", "diverging"), Settings(f_number=1.2)),
        (("element",), Settings(f_number=1.0, window="tukey25")),
    ],
)
def test_pixels_are_the_sum_itself(
    on_host: HostRun, rng: np.random.Generator, kinds: tuple, settings: Settings
) -> None:
    acquisition = acquisition_of(*(TRANSMITS[kind] for kind in kinds), iq=True, elements=12)
    grid = CartesianGrid(np.linspace(-3e-3, 3e-3, 9), np.linspace(4e-3, 15e-3, 17))
    samples = rng.integers(-20000, 20000, (*acquisition.shape, 2)).astype(np.int16)
    job = make_job(acquisition, acquisition.transmits, grid, settings, acquisition.samples, RATE, CARRIER, "das")
    rows = np.pad(samples, ((0, 0), (0, 0), (MARGIN, MARGIN), (0, 0)))
    elements = [job.element_x, job.element_z, job.element_sine, job.element_cosine, job.element_lens]
    facts = [job.x.size, job.element_x.size, len(job.transmit), job.samples]
    numbers = [job.cycles, job.slope, job.level, job.swing, job.flat]
    inputs = [
        rows,
        *(np.asarray(one, np.float32) for one in (job.x, job.z, np.stack(elements), job.transmit, job.turns)),
    ]
    found = on_host("das", [*facts, *numbers], inputs).view(np.complex64).reshape(grid.shape)
    expected = aperture_data(acquisition, grid, settings, samples[..., 0] + 1j * samples[..., 1]).sum((0, 3))
    assert error_db(found, expected) < -60
