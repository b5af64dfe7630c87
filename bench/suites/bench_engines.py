"""One 512×512 frame through every shipped despeckling file, on every CPU runtime."""

from __future__ import annotations

from contextlib import closing
from typing import Any

import numpy as np
import pytest

from edgerecon.bench.grid import Cell, list_cells
from edgerecon.core.errors import EngineError
from edgerecon.core.frame import to_unit
from edgerecon.engines import backends, open_engine

CELLS = list_cells(
    ["compact-despeckle", "compact-despeckle-small"],
    [one.name for one in backends().values() if one.kind == "cpu" and one.available],
)


@pytest.mark.parametrize("cell", CELLS, ids=lambda cell: cell.label)
def bench_engine(benchmark: Any, cell: Cell, frame: np.ndarray) -> None:
    try:
        engine = open_engine(cell.file, cell.backend, cell.precision, threads=cell.threads)
    except EngineError as error:
        pytest.skip(str(error))
    with closing(engine):
        unit = to_unit(frame)
        out = np.array(engine.run(unit))
        benchmark(engine.run, unit, out)
        assert np.isfinite(out).all()
