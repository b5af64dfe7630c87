"""One convolution, tile by tile on the CPU, against torch in float64, whole numbers, and ONNX Runtime's Q/DQ."""

from __future__ import annotations

import ctypes
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime as ort
import pytest
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

from edgerecon.core.errors import EngineError, UsageError
from edgerecon.cuda import driver as cuda_driver
from edgerecon.cuda.kernels.convolution import CHANNELS, Arguments, Convolution, ConvRelu, choose_tile, pack_convolution
from edgerecon.cuda.kernels.load import Module
from edgerecon.cuda.kernels.store import Stored
from tests.support import fake_gpu

Run = Callable[..., NDArray[Any]]
KINDS: dict[str, type] = {"fp32": np.float32, "fp16": np.float16, "int8": np.int8}


@pytest.fixture
def convolved(on_host: Callable[..., Any]) -> Run:
    """(layer, pictures NHWC, tile, residual) → pictures, from the kernel's own source."""

    def run(
        conv: Convolution, x: NDArray[Any], tile: tuple[int, int] | None = None, residual: Any = None
    ) -> NDArray[Any]:
        rows, cols, shared = choose_tile(conv, 99 << 10)
        if tile and conv.form != "fp32":
            shared = shared * (tile[0] + 2 * conv.dilation) * (tile[1] + 2 * conv.dilation)
            shared //= (rows + 2 * conv.dilation) * (cols + 2 * conv.dilation)
            rows, cols = tile
        kind = KINDS[conv.form]
        arguments = [conv.form, conv.before, conv.after, *x.shape[:3], conv.dilation, int(conv.relu), rows, cols]
        arguments += [shared, repr(conv.residual_step), int(residual is not None)]
        none = np.empty(0, kind)
        files = [x, conv.weights, conv.scales, none if residual is None else residual]
        return on_host("conv_relu", arguments, files, kind).reshape(*x.shape[:3], conv.after)

    return run


def sums(x: NDArray[Any], weight: NDArray[Any], dilation: int) -> NDArray[np.float64]:
    """NHWC, exact for whole numbers."""
    planes = torch.from_numpy(x.astype(np.float64)).permute(0, 3, 1, 2)
    out = F.conv2d(planes, torch.from_numpy(weight.astype(np.float64)), padding=dilation, dilation=dilation)
    return out.permute(0, 2, 3, 1).numpy()


def layer(form: str, before: int, after: int, rng: np.random.Generator, **how: Any) -> tuple[Any, Any, Convolution]:
    bias = rng.normal(0, 0.5, after).astype(np.float32)
    if form == "int8":
        weight = rng.integers(-127, 128, (after, before, 3, 3)).astype(np.int8)
        how = {
            "steps": rng.uniform(1e-3, 2e-3, after).astype(np.float32),
            "before": 0.02,
            "after": 0.01 * np.sqrt(before),
            "residual": 0.03,
            **how,
        }
    else:
        weight = rng.normal(0, 1 / np.sqrt(9 * before), (after, before, 3, 3)).astype(KINDS[form])
    return weight, bias, pack_convolution(weight, bias, **how)


def pictures(form: str, shape: tuple[int, ...], rng: np.random.Generator) -> NDArray[Any]:
    if form == "int8":
        return rng.integers(-128, 128, shape).astype(np.int8)
    return rng.normal(0, 1, shape).astype(KINDS[form])


def expected_of(conv: Convolution, x: Any, weight: Any, bias: Any, residual: Any = None) -> NDArray[Any]:
    found = sums(x, weight, conv.dilation)
    if conv.form != "int8":
        found = found + bias + (0 if residual is None else residual.astype(np.float64))
        return np.maximum(found, 0) if conv.relu else found
    step, offset = conv.scales[: conv.after].astype(np.float64).T
    value = (found * step + offset).astype(np.float32)
    if residual is not None:
        value = (residual * float(np.float32(conv.residual_step)) + value.astype(np.float64)).astype(np.float32)
    value = np.maximum(value, 0) if conv.relu else value
    return np.clip(np.rint(value), -128, 127).astype(np.int8)


def check(found: NDArray[Any], expected: NDArray[Any], form: str) -> None:
    if form == "int8":
        np.testing.assert_array_equal(found, expected)
    else:
        limit = 1e-3 if form == "fp16" else 1e-6
        assert np.linalg.norm(found - expected) <= limit * np.linalg.norm(expected)


@pytest.mark.parametrize("form", KINDS)
@pytest.mark.parametrize("before", CHANNELS)
@pytest.mark.parametrize("after", CHANNELS)
def test_every_pair_of_channels(convolved: Run, form: str, before: int, after: int, rng: np.random.Generator) -> None:
    weight, bias, conv = layer(form, before, after, rng, dilation=int(rng.integers(1, 4)), relu=bool(rng.integers(2)))
    x = pictures(form, (1, 5, 7, before), rng)
    residual = pictures(form, (1, 5, 7, after), rng) if rng.integers(2) else None
    found = convolved(conv, x, (4, 4), residual)
    check(found, expected_of(conv, x, weight, bias, residual), form)


SIZES = [  # images, height, width, tile, dilation: one pixel, tile edges ± 1, batch, dilation beyond the picture
    (1, 1, 1, (4, 4), 1),
    (2, 3, 3, (4, 4), 2),
    (1, 4, 5, (4, 4), 3),
    (3, 5, 4, (4, 4), 1),
    (1, 17, 33, (16, 32), 1),
    (1, 1, 40, (8, 16), 2),
    (1, 40, 1, (8, 8), 1),
    (1, 6, 6, (4, 4), 9),
]


@pytest.mark.parametrize("form", KINDS)
@pytest.mark.parametrize("size", SIZES)
def test_every_size(convolved: Run, form: str, size: tuple, rng: np.random.Generator) -> None:
    weight, bias, conv = layer(form, 16, 16, rng, dilation=size[4])
    x, residual = (pictures(form, (*size[:3], 16), rng) for _ in range(2))
    check(convolved(conv, x, size[3], residual), expected_of(conv, x, weight, bias, residual), form)


@pytest.mark.parametrize(("before", "dilation"), [(4, 28), (16, 1), (16, 14), (64, 7)])
def test_two_blocks_fit_a_multiprocessor(before: int, dilation: int, rng: np.random.Generator) -> None:
    """The system keeps 1 KiB for each: of 100 KiB (sm_86, 89, 120) one block has 99 at most, two 49 each."""
    conv = layer("fp16", before, 16, rng, dilation=dilation)[2]
    rows, cols, size = choose_tile(conv, 99 << 10)
    assert size == (rows + 2 * dilation) * (cols + 2 * dilation) * 2 * before <= 49 << 10


@pytest.mark.parametrize("value", [-128, 127])
def test_bytes_saturate(convolved: Run, value: int) -> None:
    weight = np.full((16, 64, 3, 3), 127, np.int8)
    conv = pack_convolution(weight, np.zeros(16, np.float32), relu=False, steps=np.ones(16, np.float32))
    found = convolved(conv, np.full((1, 4, 4, 64), value, np.int8))
    assert (found == value).all()


def test_halves_to_even(convolved: Run) -> None:
    weight = np.zeros((4, 4, 3, 3), np.int8)
    weight[np.arange(4), np.arange(4), 1, 1] = 1
    conv = pack_convolution(weight, np.zeros(4, np.float32), relu=False, steps=np.full(4, 0.5, np.float32))
    x = np.arange(-128, 128, dtype=np.int8).reshape(1, 8, 8, 4)
    np.testing.assert_array_equal(convolved(conv, x), np.rint(x / 2).astype(np.int8))


@pytest.mark.parametrize(("relu", "exact"), [(True, True), (False, True), (True, False)])
def test_bytes_are_what_onnxruntime_makes_of_the_file(
    convolved: Run, relu: bool, exact: bool, rng: np.random.Generator
) -> None:
    """Bit for bit where float32 is exact, which powers of two make it; else a sum beside a tie may go the other way."""
    before, after = (np.float32(2.0**-5), np.float32(2.0**-3)) if exact else (np.float32(0.0271), np.float32(0.113))
    steps = (2.0 ** rng.integers(-9, -6, 16)).astype(np.float32) if exact else rng.uniform(2e-3, 8e-3, 16).astype("f4")
    bias = (rng.integers(-99, 99, 16) / 64).astype(np.float32)
    weight = rng.integers(-127, 128, (16, 16, 3, 3)).astype(np.int8)
    conv = pack_convolution(weight, bias, dilation=2, relu=relu, steps=steps, before=float(before), after=float(after))
    x = pictures("int8", (2, 19, 23, 16), rng)
    expected = _quantised_graph(x, weight, bias, steps, before, after, relu)
    found = convolved(conv, x, (8, 16)).astype(int)
    assert np.unique(expected).size > 50
    wrong = np.abs(found - expected)
    assert wrong.max() <= (0 if exact else 1) and (wrong > 0).mean() <= 1e-3


def _quantised_graph(x: Any, weight: Any, bias: Any, steps: Any, before: Any, after: Any, relu: bool) -> NDArray[Any]:
    zero = np.int8(0)
    constants = {"w": weight, "ws": steps, "wz": np.zeros(16, np.int8), "b": bias, "s": before, "t": after, "z": zero}
    nodes = [
        helper.make_node("DequantizeLinear", ["x", "s", "z"], ["xd"]),
        helper.make_node("DequantizeLinear", ["w", "ws", "wz"], ["wd"], axis=0),
        helper.make_node("Conv", ["xd", "wd", "b"], ["y"], dilations=[2, 2], pads=[2] * 4, kernel_shape=[3, 3]),
        helper.make_node("Relu" if relu else "Identity", ["y"], ["r"]),
        helper.make_node("QuantizeLinear", ["r", "t", "z"], ["q"]),
    ]
    ports = [helper.make_tensor_value_info(name, TensorProto.INT8, [None] * 4) for name in ("x", "q")]
    tensors = [numpy_helper.from_array(np.asarray(value), name) for name, value in constants.items()]
    model = helper.make_model(
        helper.make_graph(nodes, "conv", ports[:1], ports[1:], tensors),
        opset_imports=[helper.make_opsetid("", 18)],
        ir_version=8,
    )
    onnx.checker.check_model(model)
    options = ort.SessionOptions()
    options.graph_optimization_level = ort.GraphOptimizationLevel.ORT_DISABLE_ALL
    session = ort.InferenceSession(model.SerializeToString(), options)
    return session.run(None, {"x": x.transpose(0, 3, 1, 2)})[0].transpose(0, 2, 3, 1).astype(int)


def test_shapes_outside_the_table_are_refused(rng: np.random.Generator) -> None:
    bias = np.zeros(16, np.float32)
    for weight in (np.zeros((16, 16, 5, 5), np.float32), np.zeros((16, 16, 3, 3)), np.zeros((8, 16, 3, 3), np.float32)):
        with pytest.raises(UsageError, match="takes float32, float16 or int8 weights"):
            pack_convolution(weight, bias)
    with pytest.raises(UsageError, match="12 → 16 channels: each is one of 1, 4, 8, 16, 32, 64"):
        pack_convolution(np.zeros((16, 12, 3, 3), np.float32), bias)
    for how in ({"dilation": 0}, {"steps": np.ones(16, np.float32)}):
        with pytest.raises(UsageError, match="at least 1, and int8"):
            pack_convolution(np.zeros((16, 16, 3, 3), np.float32), bias, **how)  # type: ignore[arg-type]
    conv = pack_convolution(np.zeros((16, 64, 3, 3), np.float16), bias, dilation=100)
    with pytest.raises(EngineError, match="dilation of 100 with 64 channels"):
        choose_tile(conv, 227 << 10)


def test_what_is_launched(monkeypatch: pytest.MonkeyPatch, rng: np.random.Generator) -> None:
    fake = fake_gpu.FakeGpu(capability="9.0")
    _, _, conv = layer("fp16", 32, 16, rng)
    seen: list[Any] = []
    fake.kernels[conv.kernel] = lambda grid, block, at, shared: seen.append((grid, block, at, shared))
    fake.readers[conv.kernel] = lambda pointers: Arguments.from_buffer_copy(
        ctypes.string_at(pointers[0], ctypes.sizeof(Arguments))
    )
    monkeypatch.setattr(cuda_driver, "_library", fake.library)
    with fake.gpu.current():
        module = Module(Stored("conv_relu", b"code", "13.0.88", Path("conv_relu")))
        ConvRelu(module, conv, 10, 20, (2, 33, 65)).launch(30, 40, 0, 50)
        fake.failing["cuLaunchKernel"] = 2
        with pytest.raises(EngineError, match="conv_relu_fp16_16_16 on 2×33×65, 32 → 16 channels, fp16: .*full"):
            ConvRelu(module, conv, 10, 20, (2, 33, 65)).launch(30, 40, 0)
        for shape in ((0, 1, 1), (2, 2**15, 2**26)):
            with pytest.raises(UsageError, match="does not take pictures"):
                ConvRelu(module, conv, 10, 20, shape)
        module.close()
    grid, block, at, shared = seen[0]
    assert (grid, block, shared) == ((2 * 3 * 3, 1, 1), (128, 1, 1), 18 * 34 * 32 * 2)
    assert (at.input, at.residual, at.output, at.weights, at.scales) == (30, 50, 40, 10, 20)
    assert (at.images, at.height, at.width, at.before, at.after, at.tile_rows, at.tile_cols) == (
        2,
        33,
        65,
        32,
        16,
        16,
        32,
    )
