"""Small models that the tests of compression share."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import cv2
import h5py
import numpy as np
import onnx
import onnxruntime as ort
from onnx import TensorProto, helper, numpy_helper

from edgerecon.core.frame import Image
from edgerecon.workshop.recipe import Recipe


def tiny_recipe(**changes: Any) -> Recipe:
    return Recipe.model_validate(
        {
            "model": {"name": "tiny", "task": "despeckle", "width": 8, "depth": 4, "dilations": (1, 2, 3, 1)},
            "data": {"simulate": "-", "file": "absent.h5", "inputs": ["pw31"], "target": "clean", "validation": 0.25},
            "train": {"steps": 10, "batch": 4, "crop": 32},
            **changes,
        }
    )


def tiny_model(width: int = 8, dilations: tuple[int, ...] = (1, 2, 3, 1), seed: int = 0) -> onnx.ModelProto:
    """A compact network as the exporter writes it, whose weights, all random, change the frame visibly.

    Written node by node, since an export takes seconds.
    """
    rng = np.random.default_rng(seed)
    channels = [4, *[width] * (len(dilations) - 1), 4]
    constants: dict[str, np.ndarray] = {}
    nodes = [helper.make_node("SpaceToDepth", ["frame"], ["pixel_unshuffle"], "node_pixel_unshuffle", blocksize=2)]
    x = "pixel_unshuffle"
    for index, (before, after, dilation) in enumerate(zip(channels[:-1], channels[1:], dilations, strict=True)):
        last, tail = index == len(dilations) - 1, f"_{index}" if index else ""
        size = 0.02 if last else np.sqrt(2 / (9 * before))
        weight, bias = f"model.layers.{index}.weight", f"model.layers.{index}.bias"
        constants[weight] = (size * rng.standard_normal((after, before, 3, 3))).astype(np.float32)
        constants[bias] = (0.05 * rng.standard_normal(after)).astype(np.float32)
        nodes.append(
            helper.make_node(
                "Conv",
                [x, weight, bias],
                [f"conv2d{tail}"],
                f"node_conv2d{tail}",
                group=1,
                pads=[dilation] * 4,
                dilations=[dilation] * 2,
                kernel_shape=[3, 3],
            )
        )
        x = f"conv2d{tail}"
        if not last:
            nodes.append(helper.make_node("Relu", [x], [f"relu{tail}"], f"node_relu{tail}"))
            x = f"relu{tail}"
    nodes += [
        helper.make_node("DepthToSpace", [x], ["pixel_shuffle"], "node_pixel_shuffle", blocksize=2, mode="CRD"),
        helper.make_node("Add", ["frame", "pixel_shuffle"], ["reconstruction"], "node_add"),
    ]
    model = graph_of(nodes, constants)
    facts = {
        "format": "1",
        "name": "tiny",
        "task": "despeckle",
        "scale": "1",
        "size_multiple": "2",
        "precision": "fp32",
        "recipe_hash": "0" * 64,
        "quality": '{"psnr_db": 30.0}',
    }
    helper.set_model_props(model, {f"edgerecon.{key}": value for key, value in facts.items()})
    return model


def graph_of(nodes: list[onnx.NodeProto], constants: dict[str, np.ndarray], channels: int = 1) -> onnx.ModelProto:
    """A model from "frame", N×channels×H×W, to "reconstruction"."""
    values = [
        helper.make_tensor_value_info("frame", TensorProto.FLOAT, ["N", channels, "H", "W"]),
        helper.make_tensor_value_info("reconstruction", TensorProto.FLOAT, ["N", None, None, None]),
    ]
    graph = helper.make_graph(
        nodes, "test", values[:1], values[1:], [numpy_helper.from_array(v, k) for k, v in constants.items()]
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=8)
    onnx.checker.check_model(model, full_check=True)
    return model


def conv(name: str, source: str, result: str, bias: bool = True) -> onnx.NodeProto:
    """A 3×3 convolution with the constants ``name``_w and ``name``_b."""
    inputs = [source, f"{name}_w"] + [f"{name}_b"] * bias
    return helper.make_node("Conv", inputs, [result], name, kernel_shape=[3, 3], pads=[1, 1, 1, 1])


def frames(count: int = 6, shape: tuple[int, int] = (48, 40), seed: int = 0) -> list[Image]:
    """Smooth random pictures of varied gain under noise."""
    rng = np.random.default_rng(seed)
    made = []
    for _ in range(count):
        slow = cv2.GaussianBlur(rng.random(shape), (0, 0), 3)
        slow = (slow - slow.min()) / np.ptp(slow)
        made.append(np.clip(rng.uniform(0.3, 1) * slow + 0.05 * rng.standard_normal(shape), 0, 1).astype(np.float32))
    return made


def run(model: onnx.ModelProto | bytes, pictures: Iterable[Image], plain: bool = False) -> list[np.ndarray]:
    """Outputs of ONNX Runtime, not clipped. plain: every operator as ONNX defines it, without fusion into int8."""
    options = ort.SessionOptions()
    options.log_severity_level = 4
    options.intra_op_num_threads = 1
    if plain:
        options.graph_optimization_level = ort.GraphOptimizationLevel.ORT_DISABLE_ALL
    content = model if isinstance(model, bytes) else model.SerializeToString()
    session = ort.InferenceSession(content, options, providers=["CPUExecutionProvider"])
    return [session.run(None, {"frame": picture[None, None]})[0][0, 0] for picture in pictures]


def write_pairs(path: Path, scenes: int = 8, side: int = 48) -> Path:
    with h5py.File(path, "w") as file:
        file.attrs["format"] = "edgerecon-pairs/1"
        for index, (noisy, clean) in enumerate(
            zip(frames(scenes, (side, side)), frames(scenes, (side, side), 1), strict=True)
        ):
            group = file.create_group(f"sample_{index:05d}")
            group["pw31"], group["clean"] = np.uint8(255 * noisy), np.uint8(255 * clean)
    return path


def constant(model: onnx.ModelProto, name: str) -> np.ndarray:
    return next(numpy_helper.to_array(t) for t in model.graph.initializer if t.name == name)
