"""Small models built node by node, with our metadata."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import onnx
from onnx import NodeProto, TensorProto, helper, numpy_helper

METADATA = {
    "format": "1",
    "name": "hand",
    "task": "despeckle",
    "scale": "1",
    "size_multiple": "1",
    "state": "[]",
    "precision": "fp32",
    "recipe_hash": "0" * 64,
}
FORMS = {"unsigned": np.uint8, "signed": np.int8}


def save(
    path: Path,
    nodes: Sequence[NodeProto],
    constants: dict[str, np.ndarray] | None = None,
    opset: int = 18,
    **metadata: str,
) -> Path:
    """A model from ``frame`` to ``reconstruction``."""
    ports = [
        helper.make_tensor_value_info(name, TensorProto.FLOAT, ["N", 1, "H", "W"])
        for name in ("frame", "reconstruction")
    ]
    tensors = [numpy_helper.from_array(np.asarray(value), name) for name, value in (constants or {}).items()]
    graph = helper.make_graph(nodes, "hand", ports[:1], ports[1:], tensors)
    domains = {node.domain for node in nodes} - {""}
    opsets = [helper.make_opsetid("", opset), *(helper.make_opsetid(domain, 1) for domain in domains)]
    model = helper.make_model(graph, opset_imports=opsets, ir_version=8)
    helper.set_model_props(model, {f"edgerecon.{key}": value for key, value in (METADATA | metadata).items()})
    onnx.save(model, path)
    return path


def fp32(path: Path, width: int = 8, dilations: Sequence[int] = (1, 2, 1)) -> Path:
    """A small network of the compact shape: half resolution, dilated convolutions, residual."""
    rng = np.random.default_rng(3)
    constants: dict[str, np.ndarray] = {}
    nodes = [helper.make_node("SpaceToDepth", ["frame"], ["y0"], blocksize=2)]
    channels = [4, *[width] * (len(dilations) - 1), 4]
    for i, dilation in enumerate(dilations):
        bound = np.sqrt(1 / (9 * channels[i]))
        constants[f"w{i}"] = rng.uniform(-bound, bound, (channels[i + 1], channels[i], 3, 3)).astype(np.float32)
        constants[f"b{i}"] = rng.uniform(-0.1, 0.1, channels[i + 1]).astype(np.float32)
        nodes += _convolution(i, f"y{i}", f"w{i}", f"b{i}", dilation, last=i == len(dilations) - 1)
    nodes += [
        helper.make_node("DepthToSpace", [f"y{len(dilations)}"], ["residual"], blocksize=2, mode="CRD"),
        helper.make_node("Add", ["frame", "residual"], ["reconstruction"]),
    ]
    return save(path, nodes, constants, size_multiple="2")


def fp16(path: Path) -> Path:
    """One convolution in float16 between casts."""
    rng = np.random.default_rng(4)
    constants = {
        "w": rng.uniform(-0.2, 0.2, (1, 1, 3, 3)).astype(np.float16),
        "b": np.array([0.3], np.float16),
    }
    nodes = [
        helper.make_node("Cast", ["frame"], ["half"], to=TensorProto.FLOAT16),
        helper.make_node("Conv", ["half", "w", "b"], ["c"], pads=[1, 1, 1, 1]),
        helper.make_node("Relu", ["c"], ["r"]),
        helper.make_node("Cast", ["r"], ["reconstruction"], to=TensorProto.FLOAT),
    ]
    return save(path, nodes, constants, precision="fp16")


def int8(path: Path, form: str) -> Path:
    """Two convolutions with explicit Q/DQ, weights per channel.

    The scales are powers of two, so that runtimes must agree to the last bit. Weights have seven bits: with eight, the
    16-bit sums of CPUs without VNNI saturate.
    """
    rng = np.random.default_rng(5)
    zero = FORMS[form](0)
    constants: dict[str, np.ndarray] = {"zero": zero}
    constants |= {"s0": np.float32(2**-7), "s1": np.float32(2**-5), "zw": np.zeros(4, np.int8)}
    constants["zw1"], constants["sw0"] = np.zeros(1, np.int8), np.float32([2**-8, 2**-7, 2**-9, 2**-8])
    constants["sw1"] = np.float32([2**-9])
    constants["w0"] = rng.integers(-63, 64, (4, 1, 3, 3), np.int8)
    constants["w1"] = rng.integers(-63, 64, (1, 4, 3, 3), np.int8)
    constants["b0"] = rng.integers(-500, 500, 4).astype(np.int32)
    constants["sb0"], constants["zb0"] = constants["sw0"] * np.float32(2**-7), np.zeros(4, np.int32)
    nodes = [
        *_round("frame", "x", "s0", "zero"),
        helper.make_node("DequantizeLinear", ["w0", "sw0", "zw"], ["w0_f"], axis=0),
        helper.make_node("DequantizeLinear", ["b0", "sb0", "zb0"], ["b0_f"], axis=0),
        helper.make_node("DequantizeLinear", ["w1", "sw1", "zw1"], ["w1_f"], axis=0),
        helper.make_node("Conv", ["x", "w0_f", "b0_f"], ["c0"], pads=[2, 2, 2, 2], dilations=[2, 2]),
        helper.make_node("Relu", ["c0"], ["r0"]),
        *_round("r0", "y", "s1", "zero"),
        helper.make_node("Conv", ["y", "w1_f"], ["c1"], pads=[1, 1, 1, 1]),
        helper.make_node("Add", ["frame", "c1"], ["reconstruction"]),
    ]
    return save(path, nodes, constants, precision="int8", form=form)


def po2(path: Path, width: int = 8, dilations: Sequence[int] = (1, 2, 1), seed: int = 6, **changed: object) -> Path:
    """A compact network of random integers in the po2 form, as ``compress`` writes it.

    Args:
        changed: constants to put in place of its own, by name: "s1" is the scale of what goes into the second
            convolution, "w0", "sw0" and "b0" are weights, their scales and the bias of the first.
    """
    rng = np.random.default_rng(seed)
    constants: dict[str, np.ndarray] = {"zero": np.uint8(0)}
    channels = [4, *[width] * (len(dilations) - 1), 4]
    last = len(dilations)
    steps = [-8, *rng.integers(-7, -3, last - 1), -8]
    for i, step in enumerate(steps):
        constants[f"s{i}"] = np.float32(2.0 ** int(step))
    nodes = [*_round("frame", "x", "s0", "zero"), helper.make_node("SpaceToDepth", ["x"], ["y0"], blocksize=2)]
    for i, dilation in enumerate(dilations):
        before, after = channels[i], channels[i + 1]
        # Sums of some sixty levels before the shift: neither all clipped nor all zero.
        scale = 2.0 ** (steps[i + 1] - steps[i] - rng.integers(5, 9, after))
        constants[f"w{i}"] = rng.integers(-64, 65, (after, before, 3, 3), np.int8)
        constants[f"b{i}"] = rng.integers(-3000, 3000, after).astype(np.int32)
        constants[f"sw{i}"], constants[f"zw{i}"] = scale.astype(np.float32), np.zeros(after, np.int8)
        constants[f"sb{i}"] = (scale * 2.0 ** steps[i]).astype(np.float32)
        constants[f"zb{i}"] = np.zeros(after, np.int32)
        nodes += [
            helper.make_node("DequantizeLinear", [f"{kind}{i}", f"s{kind}{i}", f"z{kind}{i}"], [f"{kind}{i}_f"], axis=0)
            for kind in ("w", "b")
        ]
        nodes += _convolution(i, f"y{i}", f"w{i}_f", f"b{i}_f", dilation, last=i == last - 1)
        if i < last - 1:
            nodes[-1].output[0] = f"r{i + 1}"
            nodes += _round(f"r{i + 1}", f"y{i + 1}", f"s{i + 1}", "zero")
    nodes += [
        helper.make_node("DepthToSpace", [f"y{last}"], ["residual"], blocksize=2, mode="CRD"),
        helper.make_node("Add", ["x", "residual"], ["sum"]),
        *_round("sum", "reconstruction", f"s{last}", "zero"),
    ]
    return save(path, nodes, constants | changed, size_multiple="2", precision="int8", form="po2")  # type: ignore[arg-type]


def _round(source: str, result: str, scale: str, zero: str) -> list[NodeProto]:
    return [
        helper.make_node("QuantizeLinear", [source, scale, zero], [f"{result}_q"]),
        helper.make_node("DequantizeLinear", [f"{result}_q", scale, zero], [result]),
    ]


def _convolution(i: int, x: str, weight: str, bias: str, dilation: int, *, last: bool) -> list[NodeProto]:
    result = f"y{i + 1}" if last else f"c{i}"
    pads, dilations = [dilation] * 4, [dilation] * 2
    node = helper.make_node("Conv", [x, weight, bias], [result], pads=pads, dilations=dilations)
    return [node] if last else [node, helper.make_node("Relu", [result], [f"y{i + 1}"])]
