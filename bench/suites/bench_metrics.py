"""Image quality of one 512×512 pair."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import cv2
import numpy as np
import pytest

from edgerecon.core.frame import to_unit
from edgerecon.quality.measures.full_reference import psnr, ssim, vif
from edgerecon.quality.measures.no_reference import measure
from edgerecon.quality.regions import find_regions


@pytest.mark.parametrize("metric", [psnr, ssim, vif], ids=lambda metric: metric.__name__)
def bench_full_reference(benchmark: Any, metric: Callable[..., float], frame: np.ndarray) -> None:
    unit = to_unit(frame)
    assert np.isfinite(benchmark(metric, cv2.GaussianBlur(unit, (5, 5), 1.0), unit))


def bench_no_reference(benchmark: Any, frame: np.ndarray) -> None:
    unit = to_unit(frame)
    regions = find_regions(unit)
    assert 0 <= benchmark(measure, unit, cv2.medianBlur(unit, 5), regions).gcnr <= 1
