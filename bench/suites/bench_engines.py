"""One 512×512 frame through every shipped despeckling file, on every CPU runtime."""

from __future__ import annotations

from contextlib import closing
from typing import Any

import numpy as np
import pytest

from edgerecon.core.errors import EngineError
from edgerecon.core.frame import to_unit
from edgerecon.engines import available_backends, open_engine
from edgerecon.engines.grid import Way, find_ways
from edgerecon.modelfile.variants import CPU

WAYS = find_ways(
    ["compact-despeckle", "compact-despeckle-small"], [name for name in CPU if name in available_backends()]
)


@pytest.mark.parametrize("way", WAYS, ids=lambda way: way.label)
def bench_engine(benchmark: Any, way: Way, frame: np.ndarray) -> None:
    try:
        engine = open_engine(way.path, way.backend, way.precision, threads=way.threads)
    except EngineError as error:
        pytest.skip(str(error))
    with closing(engine):
        unit = to_unit(frame)
        out = np.array(engine.run(unit))
        benchmark(engine.run, unit, out)
        assert np.isfinite(out).all()
