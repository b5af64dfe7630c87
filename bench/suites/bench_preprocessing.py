"""A frame's way in and out: 8 and 16 bits, colour, float; 512×512."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from edgerecon.core.frame import to_uint8, to_unit


@pytest.mark.parametrize("kind", ["uint8", "uint16", "float32", "rgb"])
def bench_to_unit(benchmark: Any, kind: str, frame: np.ndarray) -> None:
    raw = {
        "uint8": frame,
        "uint16": frame.astype(np.uint16) * 257,
        "float32": frame.astype(np.float32) / 255,
        "rgb": np.repeat(frame[:, :, None], 3, axis=2),
    }[kind]
    out = np.empty(frame.shape, np.float32)
    benchmark(to_unit, raw, out)
    assert np.abs(out - frame / 255).max() < 0.01


def bench_to_uint8(benchmark: Any, frame: np.ndarray) -> None:
    unit, out = to_unit(frame), np.empty(frame.shape, np.uint8)
    benchmark(to_uint8, unit, out)
    assert np.array_equal(out, frame)
