"""Takes a compact network's layers out of its ONNX file, in each of the precisions it ships in.

The graph has to be exactly what ``edgerecon export`` and ``edgerecon compress`` write of
``edgerecon.workshop.models.compact``: anything else would run, and give another picture.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from edgerecon.core.errors import EngineError
from edgerecon.cuda.kernels.compact import LAYERS, WIDTHS, Layer
from edgerecon.modelfile.file import ModelFile
from edgerecon.modelfile.graph import Node, read_graph

Constants = dict[str, NDArray[Any]]


class _Other(Exception):
    """Why it is another network."""


def read_compact(file: ModelFile) -> list[Layer]:
    """The six convolutions.

    Raises:
        EngineError: no compact network of six layers with at most 32 channels; says in what it differs.
        ModelError: the graph cannot be read.
    """
    nodes, constants = read_graph(file)
    try:
        if file.spec.form in ("unsigned", "po2"):
            raise _Other("its activations are unsigned, take the file that ends in -int8-trt")
        layers = _walk(nodes, constants)
        _check(layers)
    except _Other as error:
        raise EngineError(
            f"{file.path.name} is no network for backend cuda: {error}; "
            "it runs single-scale models, such as compact-despeckle-small"
        ) from None
    return layers


def _walk(nodes: list[Node], constants: Constants) -> list[Layer]:
    """Follow the picture through the graph, which is one chain but for the residual at its end."""
    layers: list[dict[str, Any]] = []
    weights: dict[str, Any] = {name: (value, None) for name, value in constants.items()}
    rounded: dict[int, float] = {}  # step of what enters layer 0, 1, …
    at, seen = "frame", []
    for node in nodes:
        if node.kind == "DequantizeLinear" and node.inputs[0] in constants:
            weights[node.outputs[0]] = (constants[node.inputs[0]], _steps(node, constants))
            continue
        if at not in node.inputs:
            raise _Other(f"{node.kind} takes '{node.inputs[0] if node.inputs else ''}', not what comes before it")
        seen.append(node.kind)
        if node.kind == "Conv":
            layers.append(_convolution(node, weights))
        elif node.kind in ("QuantizeLinear", "DequantizeLinear"):
            rounded[len(layers)] = float(_steps(node, constants))
        elif node.kind in ("SpaceToDepth", "DepthToSpace") and node.attributes.get("blocksize") != 2:
            raise _Other(f"{node.kind} has blocks of {node.attributes.get('blocksize')}")
        at = node.outputs[0]
    kinds = [kind for kind in seen if kind not in ("Cast", "QuantizeLinear", "DequantizeLinear")]
    expected = ["SpaceToDepth", *["Conv", "Relu"] * (LAYERS - 1), "Conv", "DepthToSpace", "Add"]
    if kinds != expected:
        step = next(
            (i for i, (a, b) in enumerate(zip(kinds, expected, strict=False)) if a != b), min(len(kinds), len(expected))
        )
        raise _Other(
            f"operator {step + 1} is {(kinds + ['missing'])[min(step, len(kinds))]}, "
            f"not {(expected + ['nothing'])[min(step, len(expected))]}"
        )
    if "frame" not in nodes[-1].inputs or at != "reconstruction":
        raise _Other("the frame is not added to the result")
    return [
        Layer(**layer, before=rounded.get(index, 0.0), after=rounded.get(index + 1, 0.0))
        for index, layer in enumerate(layers)
    ]


def _convolution(node: Node, weights: dict[str, Any]) -> dict[str, Any]:
    weight, step = weights.get(node.inputs[1], (None, None))
    bias, _ = weights.get(node.inputs[2] if len(node.inputs) > 2 else "", (None, None))
    if weight is None or bias is None or weight.shape[2:] != (3, 3):
        raise _Other("a convolution is not 3×3 with constant weights and a bias")
    dilation = node.attributes.get("dilations", (1, 1))
    pads = node.attributes.get("pads", (0,))
    same = set(pads) == set(dilation) and len(set(dilation)) == 1 and set(node.attributes.get("strides", (1,))) == {1}
    if not same or node.attributes.get("group", 1) != 1:
        raise _Other(f"a convolution has dilations {list(dilation)} and pads {list(pads)}")
    return {
        "weight": weight,
        "bias": bias.astype(np.float32),
        "dilation": int(dilation[0]),
        "step": step,
    }


def _steps(node: Node, constants: Constants) -> Any:
    """Of a rounding, whose zero has to be zero."""
    if not all(name in constants for name in node.inputs[1:]) or len(node.inputs) != 3:
        raise _Other(f"{node.kind} has no constant step and zero")
    step, zero = (constants[name] for name in node.inputs[1:])
    if zero.dtype != np.int8 or zero.any():
        raise _Other(f"{node.kind} is not to int8 around zero")
    return step


def _check(layers: list[Layer]) -> None:
    """Shapes, and which layers are quantised."""
    widest = max(layer.weight.shape[0] for layer in layers)
    if widest > max(WIDTHS):
        raise _Other(f"a layer has {widest} channels, the kernels have at most {max(WIDTHS)}")
    ends = [4, *(layer.weight.shape[0] for layer in layers)]
    for number, (layer, before) in enumerate(zip(layers, ends, strict=False), start=1):
        if layer.weight.shape[1] != before or layer.bias.shape != layer.weight.shape[:1]:
            raise _Other(f"layer {number} takes {layer.weight.shape[1]} channels and gets {before}")
    if ends[-1] != 4:
        raise _Other(f"the last layer has {ends[-1]} channels, not 4")
    kinds = [layer.weight.dtype.name for layer in layers]
    whole = [kind == "int8" for kind in kinds]
    if any((layer.before > 0) != is_int8 for layer, is_int8 in zip(layers, whole, strict=True)) or layers[-1].after:
        raise _Other("not what goes into int8 convolutions, and nothing else, is rounded")
    if any(whole):
        if not all(whole[1:-1]) or whole[0] != whole[-1]:
            raise _Other("of its convolutions neither all nor all but the first and the last are int8")
        kinds = [kind for kind in kinds if kind != "int8"] or ["float32"]
        if set(kinds) != {"float32"}:
            raise _Other(f"beside int8 it has weights of {kinds[0]}")
    elif len(set(kinds)) != 1 or kinds[0] not in ("float32", "float16"):
        raise _Other(f"its weights are {', '.join(sorted(set(kinds)))}")
