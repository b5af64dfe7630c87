"""A precision that is no faster than fp32 on the device it is for does not ship."""

from __future__ import annotations

from typing import Literal

import pytest

from edgerecon.deploy.export import speed_gate
from edgerecon.deploy.export.speed_gate import slower_than_parent
from edgerecon.measure.row import Row, Setup, Speed
from edgerecon.modelfile.variants import VARIANTS, Variant


def row(file: str, backend: str, p50: float, status: str = "ok") -> Row:
    precision = "int16" if "int16" in file else "int8" if "int8" in file else "fp16" if "fp16" in file else "fp32"
    setup = Setup(file, backend, precision, 1, (64, 64))
    return Row(setup, Speed(latency_ms={"p50": p50, "p99": p50}), status=status)


FP32 = [row("m", "onnxruntime", 3.0), row("m", "openvino", 2.0)]


@pytest.mark.parametrize(
    ("derived", "left"),
    [
        ([row("m-int8", "onnxruntime", 4.0), row("m-int8", "openvino", 1.0)], set()),
        ([row("m-int8", "onnxruntime", 2.5), row("m-int8", "openvino", 5.0)], {"m-int8"}),
        ([row("m-int8", "onnxruntime", 1.0, status="refused"), row("m-int8", "openvino", 2.0)], {"m-int8"}),
        ([row("m-int8-trt", "onnxruntime", 9.0), row("m-fp16", "openvino", 9.0)], set()),
        ([row("m-int8-trt", "tensorrt", 9.0), row("m", "tensorrt", 1.0)], {"m-int8-trt"}),
        ([row("m", "native", 0.5), row("m-int8", "openvino", 1.0)], set()),
        ([row("m", "native", 0.5), row("m-int16", "native", 0.6)], {"m-int16"}),
        ([], set()),
    ],
    ids=[
        "faster",
        "slower than the best",
        "faster but refused",
        "made for GPUs",
        "slower on a GPU",
        "native runs no int8",
        "native runs int16",
        "not measured",
    ],
)
def test_slower_file_is_named(derived: list[Row], left: set[str]) -> None:
    found = slower_than_parent([*FP32, *derived], "m")
    assert set(found) == left
    assert all("ms for a frame here" in why for why in found.values())


@pytest.mark.parametrize(("faster_on", "left"), [("cpu", {"m-w12"}), ("gpu", set()), ("", set())])
def test_precision_of_ones_own_is_compared_where_its_row_says(
    monkeypatch: pytest.MonkeyPatch, faster_on: Literal["cpu", "gpu", ""], left: set[str]
) -> None:
    own = Variant("w12", "-w12", "w12", "", "weights of 12 bits", faster_on=faster_on)
    monkeypatch.setattr(speed_gate, "VARIANTS", (*VARIANTS, own))
    assert set(slower_than_parent([*FP32, row("m-w12", "openvino", 2.5)], "m")) == left
