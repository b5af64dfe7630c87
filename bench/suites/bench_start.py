"""Start-up: a process that imports edgerecon, and opening a model until its first frame is done."""

from __future__ import annotations

import subprocess
import sys
from contextlib import closing
from typing import Any

import numpy as np
import pytest

from edgerecon.core.frame import to_unit
from edgerecon.engines import backends, open_engine


def bench_import(benchmark: Any) -> None:
    benchmark.pedantic(subprocess.run, ([sys.executable, "-c", "import edgerecon"],), {"check": True}, rounds=10)


@pytest.mark.parametrize("backend", [one.name for one in backends().values() if one.kind == "cpu" and one.available])
def bench_first_frame(benchmark: Any, backend: str, frame: np.ndarray) -> None:
    unit = to_unit(frame)

    def first() -> float:
        with closing(open_engine("compact-despeckle", backend)) as engine:
            return float(engine.run(unit).max())

    assert benchmark(first) > 0
