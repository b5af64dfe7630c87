"""Outputs of two processors are compared file by file."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import pytest

from tools.arm_compare import FLOAT_ERROR, GREY_LEVEL, allowed, compare, differences


def test_largest_difference_of_each_array_is_found(tmp_path: Path) -> None:
    frame = np.zeros((2, 3), np.float32)
    np.savez(tmp_path / "here.npz", same=frame, other=frame, missing=frame)
    np.savez(tmp_path / "there.npz", same=frame, other=frame + np.float32(0.25))
    found = differences(tmp_path / "here.npz", tmp_path / "there.npz")
    assert (found["same"], found["other"]) == (0.0, 0.25) and np.isnan(found["missing"])


@pytest.mark.parametrize(
    ("name", "limit"),
    [
        ("compact-despeckle", FLOAT_ERROR),
        ("compact-despeckle-fp16", GREY_LEVEL),
        ("compact-despeckle-int8", GREY_LEVEL),  # convolutions of these two are in float
        ("compact-despeckle-small-int8", GREY_LEVEL),
        ("compact-despeckle-int8-trt", GREY_LEVEL),
        ("compact-compound-int8-trt", FLOAT_ERROR),
        ("compact-despeckle-w8d4-int8", 0.0),
        ("compact-despeckle-small-int16", 0.0),
        ("compact-fpga-po2", 0.0),
    ],
)
def test_integer_files_may_differ_by_nothing(name: str, limit: float) -> None:
    assert allowed(name) == limit


def test_difference_beyond_the_limit_and_absence_fail(tmp_path: Path) -> None:
    frame, said = np.zeros((2, 3), np.float32), io.StringIO()
    names = ("compact-fpga-po2 on onnxruntime", "compact-fpga on onnxruntime", "compact-fpga on native")
    np.savez(tmp_path / "here.npz", **dict.fromkeys(names, frame))
    np.savez(tmp_path / "there.npz", **dict.fromkeys(names[:2], frame + np.float32(1e-6)))
    assert compare(tmp_path / "here.npz", tmp_path / "there.npz", said) == 2  # the integers, and what is absent
    assert said.getvalue().count("\n") == 3
