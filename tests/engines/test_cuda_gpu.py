"""The cuda engine on an NVIDIA GPU, where there is one."""

from __future__ import annotations

from contextlib import closing
from typing import Any

import numpy as np
import pytest

from edgerecon.core.errors import EdgereconError
from edgerecon.engines import open_engine


def test_stages_apart_leave_the_picture_alone(rng: np.random.Generator) -> None:
    frame = rng.random((240, 320), dtype=np.float32)
    try:
        engine: Any = open_engine("compact-despeckle-small", "cuda")
    except EdgereconError as error:
        pytest.skip(str(error))
    with closing(engine), closing(open_engine("compact-despeckle-small", "onnxruntime")) as reference:
        before = engine.run(frame)
        runs = [engine.stage_times() for _ in range(30)]
        np.testing.assert_array_equal(engine.run(frame), before)
        np.testing.assert_allclose(before, reference.run(frame), atol=1e-4)
    assert all(list(run) == ["to_device", "compute", "to_host"] for run in runs)
    assert all(ms > 0 for run in runs for ms in run.values())
