"""What is launched for delay-and-sum, on a stand-in for the GPU."""

from __future__ import annotations

import ctypes
from typing import Any

import numpy as np
import pytest

from edgerecon.beamform import CartesianGrid, Settings
from edgerecon.beamform.job import make_job
from edgerecon.cuda.kernels.das import DelayAndSum
from tests.beamform.conftest import TRANSMITS, acquisition_of
from tests.beamform.formulas import CARRIER, RATE


class Recorded:
    """A module of one function, which keeps what it was launched with."""

    def function(self, name: str) -> Recorded:
        self.name = name
        return self

    def launch(self, grid: Any, block: Any, arguments: Any, stream: int, shape: str) -> None:
        self.grid, self.block, self.arguments, self.stream, self.shape = grid, block, arguments, stream, shape


@pytest.mark.parametrize(("rows", "blocks"), [(16, 1), (17, 2)])
def test_every_pixel_has_a_thread(rows: int, blocks: int) -> None:
    acquisition = acquisition_of(TRANSMITS["plane"], TRANSMITS["focused"], iq=True, elements=12)
    grid = CartesianGrid(np.linspace(-3e-3, 3e-3, 16), np.linspace(4e-3, 15e-3, rows))
    job = make_job(acquisition, acquisition.transmits, grid, Settings(f_number=1.5), 450, RATE, CARRIER, "das")
    module = Recorded()
    kernel = DelayAndSum(module, job)  # type: ignore[arg-type]
    kernel.run(1, 2, 3, 4, 5, 6, 7, scale=0.5, stream=9)
    assert (module.name, module.grid, module.block, module.stream) == ("das_iq", (blocks, 1, 1), (256, 1, 1), 9)
    values = [one.value for one in module.arguments]
    assert values[:10] == [1, 2, 3, 4, 5, 6, rows * 16, 12, 2, 450] and values[-1] == 7
    assert values[10:16] == [pytest.approx(one) for one in (CARRIER / RATE, 3.0, 0.5, 0.5, 0.0, 0.5)]
    assert [type(one) for one in module.arguments[6:10]] == [ctypes.c_int] * 4
    assert kernel.elements.shape == (5, 12) and kernel.elements.dtype == np.float32
