"""What the suites share: real frames, resized; and what their result holds."""

from __future__ import annotations

from typing import Any

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from bench.suites.suite_rows import suite_rows
from edgerecon.bench.run import SCHEMA, real_frames
from edgerecon.hardware.host import host_profile


@pytest.fixture(scope="session")
def frame() -> NDArray[np.uint8]:
    """One real frame, uint8 512×512."""
    return np.asarray(cv2.resize(real_frames("sample")[0], (512, 512)), np.uint8)


def pytest_benchmark_update_json(output_json: dict[str, Any]) -> None:
    """Rows that ``edgerecon bench --compare`` reads, and the host; the times of all runs, megabytes, stay out."""
    times = {one["name"]: one["stats"].pop("data") for one in output_json["benchmarks"]}
    for one in output_json["benchmarks"]:
        del one["params"]  # objects, of whose text nobody makes anything; their names are in the benchmark's
    output_json |= {"schema": SCHEMA, "rows": suite_rows(times), "host": host_profile()}
