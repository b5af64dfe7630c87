"""Steps gain · x + offset of a network's graph, as the kernels run them: in the convolution before, or as one of 1×1.

An offset in front of a convolution is not folded into it: the convolution pads what it reads with zeros, and the folded
one would pad what is before the offset.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edgerecon.cpu.layers import Floats, Kind, Layer
from edgerecon.modelfile.graph import Node

Constants = Mapping[str, NDArray[Any]]


@dataclass(frozen=True)
class Affine:
    """What a node does to each channel. gain, offset: one number, or one a channel."""

    source: str
    gain: Floats
    offset: Floats


def read_affine(node: Node, constants: Constants) -> Affine | None:
    """The gain and offset of an Add, Sub, Mul or Div with one constant of a number a channel; None of anything else.

    A batch normalisation that does not train is such a step, too.
    """
    if node.kind == "BatchNormalization":
        return _read_normalisation(node, constants)
    if len(node.inputs) != 2:
        return None
    first, second = node.inputs
    backwards = second not in constants
    values = None if (first in constants) != backwards else _by_channel(constants[first if backwards else second])
    if values is None:
        return None
    one, zero = np.ones(1, np.float32), np.zeros(1, np.float32)
    forms = {"Add": (one, values), "Mul": (values, zero), "Sub": (-one, values) if backwards else (one, -values)}
    if not backwards and values.all():
        forms["Div"] = (np.asarray(1 / values, np.float32), zero)
    return Affine(second if backwards else first, *forms[node.kind]) if node.kind in forms else None


def _read_normalisation(node: Node, constants: Constants) -> Affine | None:
    source, *names = node.inputs
    if node.attributes.get("training_mode") or len(node.outputs) != 1 or any(name not in constants for name in names):
        return None
    scale, bias, mean, variance = (constants[name].astype(np.float64) for name in names)
    gain = scale / np.sqrt(variance + node.attributes.get("epsilon", 1e-5))
    return Affine(source, gain.astype(np.float32), (bias - mean * gain).astype(np.float32))


def read_slope(node: Node, constants: Constants) -> Floats | None:
    """What a LeakyRelu or PRelu multiplies values below zero by, one number or one a channel; None of anything else."""
    if node.kind == "LeakyRelu":
        return np.full(1, node.attributes.get("alpha", 0.01), np.float32)
    return _by_channel(constants[node.inputs[1]]) if node.inputs[1] in constants else None


def _by_channel(values: NDArray[Any]) -> Floats | None:
    """One number, or (1, C, 1, 1) or (C, 1, 1), as (C,)."""
    if values.size != 1 and (values.ndim not in (3, 4) or values.shape[-3] != values.size):
        return None
    return values.astype(np.float32).reshape(-1)


def folded(layer: Layer, gain: Floats, offset: Floats) -> Layer:
    """A convolution, whose outputs are scaled and moved."""
    axes = (1, -1, 1, 1) if layer.kind is Kind.TRANSPOSED else (-1, 1, 1, 1)
    weights = np.ascontiguousarray(layer.weights * gain.reshape(axes))
    return replace(layer, weights=weights, bias=layer.bias * gain + offset)


def pointwise(name: str, source: int, weights: NDArray[Any], bias: NDArray[Any]) -> Layer:
    """A convolution of 1×1. weights: outputs × inputs."""
    outputs, inputs = weights.shape
    kernel = np.ascontiguousarray(weights[:, :, None, None], np.float32)
    return Layer(
        Kind.CONVOLUTION, name, source, 0, inputs, outputs, 1, weights=kernel, bias=np.asarray(bias, np.float32)
    )
