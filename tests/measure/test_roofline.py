"""Counts against arithmetic by hand and against torch's own counter; bounds against the formula."""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import onnx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from onnx import TensorProto, helper, numpy_helper

from edgerecon.core.errors import DependencyError, ModelError, UsageError
from edgerecon.hardware.device import DeviceProfile
from edgerecon.measure.roofline import BYTES, Counts, bound, count, count_graph
from edgerecon.modelfile.catalogue import model_path

DEVICE = DeviceProfile(
    "toy",
    "Toy",
    "gpu",
    "x",
    bandwidth_gbs=2.0,
    peak={"fp32": 10.0, "int8": 40.0},
    sources={"bandwidth_gbs": "test", "peak": "test"},
)


def model(nodes: list[onnx.NodeProto], weights: dict[str, np.ndarray], channels: int = 1) -> onnx.ModelProto:
    """A graph from ``frame`` (N×channels×H×W, free sizes) to ``out``."""
    value = helper.make_tensor_value_info
    graph = helper.make_graph(
        nodes,
        "g",
        [value("frame", TensorProto.FLOAT, ["N", channels, "H", "W"])],
        [value("out", TensorProto.FLOAT, None)],
        [numpy_helper.from_array(array, name) for name, array in weights.items()],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=8)


def weight(*shape: int) -> np.ndarray:
    return np.zeros(shape, np.float32)


def test_single_scale_model_by_hand() -> None:
    """(4·16 + 4·16·16 + 16·4)·9 products for every cell of 2×2 pixels; dilation changes nothing."""
    height, width = 96, 64
    pixels = height * width
    found = count("compact-compound", height, width)
    assert found.macs == 2592 * pixels
    assert found.parameters == (4 * 16 + 4 * 16 * 16 + 16 * 4) * 9 + 5 * 16 + 4
    assert found.boundary == 2 * pixels
    assert found.boundary_traffic == 3 * pixels, "the frame is read twice: by the first layer and by the residual"
    wide = 4 * pixels  # sixteen channels at half resolution
    convolutions = (pixels + wide) + 4 * (wide + wide) + (wide + pixels)
    assert found.inner_traffic == pixels + convolutions + 5 * 2 * wide + 2 * pixels + pixels
    assert found.inner_traffic == 86 * pixels


def test_bytes_by_hand() -> None:
    counts = Counts(height=1, width=1, macs=0, parameters=10, boundary=100, boundary_traffic=300, inner_traffic=1000)
    assert [counts.fused_bytes(p) for p in BYTES] == [440, 420, 420, 410]
    assert [counts.unfused_bytes(p) for p in BYTES] == [5240, 3220, 3220, 2210]


def test_odd_frame_is_counted_as_the_engine_pads_it() -> None:
    assert count("compact-despeckle", 95, 63) == count("compact-despeckle", 96, 64)


def test_agrees_with_what_the_file_says_of_itself() -> None:
    content = onnx.load(model_path("compact-despeckle"))
    stated = {entry.key: entry.value for entry in content.metadata_props}["edgerecon.macs_per_pixel"]
    assert count("compact-despeckle", 32, 48).macs == float(stated) * 32 * 48


@settings(max_examples=25, deadline=None)
@given(
    kernel=st.sampled_from([1, 3, 5]),
    stride=st.integers(1, 3),
    dilation=st.integers(1, 3),
    groups=st.sampled_from([1, 2, 4]),
    transposed=st.booleans(),
    size=st.tuples(st.integers(9, 14), st.integers(9, 14)),
)
def test_convolutions_agree_with_the_counter_of_torch(
    kernel: int, stride: int, dilation: int, groups: int, transposed: bool, size: tuple[int, int]
) -> None:
    import torch
    from torch.utils.flop_counter import FlopCounterMode

    before, after, pad = 4, 8, dilation * (kernel // 2)
    kind = torch.nn.ConvTranspose2d if transposed else torch.nn.Conv2d
    layer = kind(before, after, kernel, stride, pad, dilation=dilation, groups=groups, bias=False)
    with FlopCounterMode(display=False) as counter, torch.inference_mode():
        expected = layer(torch.zeros(1, before, *size))
    node = helper.make_node(
        "ConvTranspose" if transposed else "Conv",
        ["frame", "w"],
        ["out"],
        strides=[stride] * 2,
        dilations=[dilation] * 2,
        pads=[pad] * 4,
        group=groups,
        kernel_shape=[kernel] * 2,
    )
    found = count_graph(model([node], {"w": weight(*layer.weight.shape)}, before), *size)
    assert found.macs == counter.get_total_flops() / 2
    assert found.boundary == before * math.prod(size) + expected.numel()
    assert found.parameters == layer.weight.numel()


def test_matrix_products() -> None:
    """H×W pixels of one channel times a W×5 matrix, then Gemm with its left side transposed."""
    nodes = [
        helper.make_node("MatMul", ["frame", "w"], ["a"]),
        helper.make_node("Constant", [], ["shape"], value=numpy_helper.from_array(np.array([6, 5], np.int64))),
        helper.make_node("Reshape", ["a", "shape"], ["b"]),
        helper.make_node("Gemm", ["b", "v"], ["out"], transA=1),
    ]
    found = count_graph(model(nodes, {"w": weight(8, 5), "v": weight(6, 2)}), 6, 8)
    assert found.macs == 6 * 5 * 8 + 5 * 2 * 6
    assert found.inner_traffic == 2 * 30, "a reshape moves nothing"


def test_quantised_graph_counts_as_the_plain_one() -> None:
    """Q/DQ around the tensors is folded by every runtime; scales and zero points are no parameters."""
    plain = [
        helper.make_node("Conv", ["frame", "w", "b"], ["a"], pads=[1] * 4),
        helper.make_node("Relu", ["a"], ["out"]),
    ]
    quantised = [
        helper.make_node("QuantizeLinear", ["frame", "s", "z"], ["q"]),
        helper.make_node("DequantizeLinear", ["q", "s", "z"], ["x"]),
        helper.make_node("DequantizeLinear", ["wq", "s", "wz"], ["w"]),
        helper.make_node("Conv", ["x", "w", "b"], ["a"], pads=[1] * 4),
        helper.make_node("Relu", ["a"], ["r"]),
        helper.make_node("QuantizeLinear", ["r", "s", "z"], ["rq"]),
        helper.make_node("DequantizeLinear", ["rq", "s", "z"], ["out"]),
    ]
    scales = {"s": np.float32(0.5), "z": np.uint8(0), "wz": np.int8(0), "b": weight(6)}
    scales = {name: np.asarray(array) for name, array in scales.items()}
    expected = count_graph(model(plain, {"w": weight(6, 1, 3, 3), "b": weight(6)}), 10, 12)
    found = count_graph(model(quantised, {"wq": np.zeros((6, 1, 3, 3), np.int8), **scales}), 10, 12)
    assert found == expected
    assert expected.macs == 6 * 9 * 120 and expected.parameters == 60


def test_half_precision_casts_are_folded() -> None:
    nodes = [
        helper.make_node("Cast", ["frame"], ["x"], to=TensorProto.FLOAT16),
        helper.make_node("Conv", ["x", "w"], ["y"], pads=[1] * 4),
        helper.make_node("Cast", ["y"], ["out"], to=TensorProto.FLOAT),
    ]
    found = count_graph(model(nodes, {"w": weight(1, 1, 3, 3).astype(np.float16)}), 8, 8)
    assert (found.boundary, found.boundary_traffic, found.inner_traffic) == (128, 128, 0)


@pytest.mark.parametrize("kind", ["LSTM", "If", "Einsum"])
def test_operator_that_is_not_counted_is_refused_by_name(kind: str) -> None:
    graph = model([helper.make_node("Relu", ["frame"], ["out"])], {})
    extra = {
        "LSTM": helper.make_node("LSTM", ["s", "w3", "r3"], ["y"], hidden_size=2),
        "Einsum": helper.make_node("Einsum", ["frame"], ["y"], equation="nchw->nhwc"),
        "If": helper.make_node(
            "If",
            ["c"],
            ["y"],
            then_branch=helper.make_graph(
                [helper.make_node("Relu", ["frame"], ["t"])],
                "t",
                [],
                [helper.make_tensor_value_info("t", TensorProto.FLOAT, None)],
            ),
            else_branch=helper.make_graph(
                [helper.make_node("Relu", ["frame"], ["e"])],
                "e",
                [],
                [helper.make_tensor_value_info("e", TensorProto.FLOAT, None)],
            ),
        ),
    }[kind]
    weights = {"s": weight(3, 1, 2), "w3": weight(1, 8, 2), "r3": weight(1, 8, 2), "c": np.array(True)}
    graph.graph.initializer.extend(numpy_helper.from_array(array, name) for name, array in weights.items())
    graph.graph.node.append(extra)
    with pytest.raises(ModelError, match=f"operator {kind} is not counted"):
        count_graph(graph, 8, 8)


def test_model_of_another_size_and_broken_shapes_are_refused() -> None:
    fixed = model([helper.make_node("Relu", ["frame"], ["out"])], {})
    fixed.graph.input[0].type.tensor_type.shape.dim[2].dim_value = 16
    with pytest.raises(ModelError, match="16 pixels only, not 8"):
        count_graph(fixed, 8, 8)
    assert count_graph(fixed, 16, 8).boundary == 256
    broken = model([helper.make_node("MatMul", ["frame", "w"], ["out"])], {"w": weight(5, 5)})
    with pytest.raises(ModelError, match="do not fit together"):
        count_graph(broken, 8, 8)


def test_a_state_at_half_size_is_counted() -> None:
    nodes = [
        helper.make_node("MaxPool", ["frame"], ["m"], kernel_shape=[2, 2], strides=[2, 2]),
        helper.make_node("Add", ["m", "state_in"], ["out"]),
    ]
    graph = model(nodes, {})
    graph.graph.input.append(helper.make_tensor_value_info("state_in", TensorProto.FLOAT, ["N", 1, "H/2", "W/2"]))
    assert count_graph(graph, 8, 12).boundary == 96 + 2 * 24


def test_count_leaves_the_model_alone() -> None:
    graph = model([helper.make_node("Relu", ["frame"], ["out"])], {})
    before = graph.SerializeToString(deterministic=True)
    count_graph(graph, 8, 8)
    assert graph.SerializeToString(deterministic=True) == before


def test_usage_and_missing_package(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="at least 1×1"):
        count("compact-despeckle", 0, 8)
    with pytest.raises(UsageError, match="no model 'nothing'"):
        count("nothing", 8, 8)
    (tmp_path / "a.onnx").write_bytes(b"\x99" * 40)
    with pytest.raises(ModelError):
        count(tmp_path / "a.onnx", 8, 8)
    monkeypatch.setitem(__import__("sys").modules, "onnx", None)
    with pytest.raises(DependencyError, match=r"edgerecon\[train\]"):
        count("compact-despeckle", 8, 8)


def test_bound_is_the_slower_of_compute_and_memory() -> None:
    counts = Counts(1, 1, macs=5_000_000, parameters=0, boundary=100_000, boundary_traffic=1, inner_traffic=500_000)
    fp32 = bound(counts, DEVICE, "fp32")
    assert fp32.compute_ms == pytest.approx(1.0) and fp32.memory_ms == pytest.approx(0.2)
    assert fp32.unfused_ms == pytest.approx((4 + 4 * 500_000) / 2e6)
    assert (fp32.ms, fp32.binds) == (pytest.approx(1.0), "compute")
    int8 = bound(Counts(1, 1, 1_000_000, 0, 100_000, 1, 1), DEVICE, "int8")
    assert (int8.ms, int8.binds) == (pytest.approx(0.2), "memory")
    assert "a bound, not a measurement" in str(fp32)
    assert "an estimate from measured rates" in str(bound(counts, replace(DEVICE, name="host"), "fp32"))


def test_bound_from_the_half_that_is_known() -> None:
    counts = Counts(1, 1, macs=5_000_000, parameters=0, boundary=100_000, boundary_traffic=1, inner_traffic=1)
    no_rate = bound(counts, DEVICE, "bf16")
    assert (no_rate.compute_ms, no_rate.binds) == (None, "memory") and "compute unknown" in str(no_rate)
    no_bandwidth = DeviceProfile("t", "T", "gpu", "x", peak={"fp32": 10.0}, sources={"peak": "test"})
    found = bound(counts, no_bandwidth, "fp32")
    assert (found.memory_ms, found.unfused_ms, found.ms, found.binds) == (None, None, pytest.approx(1.0), "compute")
    with pytest.raises(UsageError, match=r"t has no documented int8 rate \(known: fp32\)"):
        bound(counts, no_bandwidth, "int8")


@given(st.integers(0, 10**12), st.integers(0, 10**10), st.sampled_from(["fp32", "int8"]))
def test_fusing_never_costs_and_more_work_never_takes_less(macs: int, inner: int, precision: str) -> None:
    counts = Counts(1, 1, macs, 10, 100, 100, inner)
    more = Counts(1, 1, macs + 1000, 10, 100, 100, inner)
    found = bound(counts, DEVICE, precision)  # type: ignore[arg-type]
    assert found.memory_ms is not None and found.unfused_ms is not None and found.memory_ms <= found.unfused_ms
    assert found.ms <= bound(more, DEVICE, precision).ms  # type: ignore[arg-type]
