"""fp32 ONNX file → int16 ONNX file: the exact integers of ``edgerecon.cpu.quantise``, which our CPU kernels run.

No standard operator says what they compute, so convolutions become operators of our own domain; all else stays. In

    IntegerConv(x, weights, offset, shift, gain, added, step)        IntegerConvTranspose likewise

weights are int16, offset, shift and gain int32, step float32, one of the last four an output channel; those that a
layer lacks are left out. Attributes: strides, pads, dilations as Conv has them; relu; floor and ceiling of the levels
that come out. Pixels are levels too, floor(255·x + ½). What they make of each other: kernels/cpu/edgerecon_cpu.h.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

import numpy as np

from edgerecon.core.errors import ModelError
from edgerecon.core.frame import Image
from edgerecon.cpu.graph_layers import read_layers
from edgerecon.cpu.layers import Kind, Layer
from edgerecon.cpu.quantise import dearest_maps, quantise_ranges
from edgerecon.cpu.ranges import map_ranges
from edgerecon.modelfile.file import ModelFile
from edgerecon.modelfile.ports import INPUT, OUTPUT
from edgerecon.workshop.compress import graph as g
from edgerecon.workshop.compress.graph import ModelProto, NodeProto, onnx

DOMAIN = "edgerecon"
ARRAYS = ("weights", "offset", "shift", "gain", "step")
SEARCHED = 8
"""Calibration frames on which the dearest maps are found, at least; up to twice as many."""


def to_int16(file: ModelFile, frames: Iterable[Image]) -> ModelProto:
    """Make the int16 file: the fastest of ``int16_candidates``."""
    return next(int16_candidates(file, frames))


def int16_candidates(file: ModelFile, frames: Iterable[Image]) -> Iterator[ModelProto]:
    """Make int16 files from the fastest on: the next one is slower and more exact.

    The first has as few levels as the fastest kernels take; in each of the others, one map more has as many as the next
    form takes (``edgerecon.cpu.quantise``), the one whose rounding moves the picture most before the others.

    Args:
        file: the fp32 file. frames: to calibrate on, float32 (H, W) in [0, 1]; cropped to the file's size multiple.

    Yields:
        A valid model with the metadata of ``file`` and precision "int16".

    Raises:
        ModelError: not an fp32 file of ours, or a layer of it has no integer form; it is named.
    """
    g.require_fp32(g.load(file.content))
    multiple = file.spec.size_multiple
    seen = [_cropped(frame, multiple) for frame in frames]
    layers = read_layers(file)
    held = map_ranges(layers, seen)
    yield _model(file, quantise_ranges(layers, held))
    order = dearest_maps(layers, held, seen[:: max(1, len(seen) // SEARCHED)])
    for count in range(1, len(order) + 1):
        yield _model(file, quantise_ranges(layers, held, order[:count]))


def _model(file: ModelFile, layers: Sequence[Layer]) -> ModelProto:
    result = g.load(file.content)
    del result.graph.initializer[:], result.graph.value_info[:]
    g.replace_nodes(result.graph, [*_nodes(layers)])
    for layer in layers:
        for name, values in _arrays(layer).items():
            result.graph.initializer.append(onnx.numpy_helper.from_array(values, name))
    result.opset_import.append(onnx.helper.make_opsetid(DOMAIN, 1))
    g.describe(result, precision="int16")
    return g.checked(result)


def _cropped(frame: Image, multiple: int) -> Image:
    height, width = (side // multiple * multiple for side in frame.shape)
    if not height or not width:
        raise ModelError(f"a calibration frame of {frame.shape[0]}×{frame.shape[1]} is too small")
    return np.ascontiguousarray(frame[:height, :width])


def _nodes(layers: Sequence[Layer]) -> Iterator[NodeProto]:
    make = onnx.helper.make_node
    for layer in layers:
        if layer.kind is Kind.UNSHUFFLE:
            yield make("SpaceToDepth", [INPUT], [_map(layer.target)], "unshuffle", blocksize=layer.kernel)
        elif layer.kind is not Kind.SHUFFLE:
            yield _convolution(layer)
        else:
            cells = "pixels" if layer.added else OUTPUT
            yield make("DepthToSpace", [_map(layer.source)], [cells], "shuffle", blocksize=layer.kernel, mode="CRD")
            if layer.added:
                yield make("Add", [cells, INPUT], [OUTPUT], "residual")


def _convolution(layer: Layer) -> NodeProto:
    held, form = _arrays(layer), layer.integers
    assert form is not None
    names = {name: _named(layer, name) for name in ARRAYS}
    weights, offset, shift, gain, step = (name if name in held else "" for name in names.values())
    inputs = [_map(layer.source), weights, offset, shift, gain, _map(layer.added) if layer.added else "", step]
    return onnx.helper.make_node(
        "IntegerConvTranspose" if layer.kind is Kind.TRANSPOSED else "IntegerConv",
        inputs,
        [_map(layer.target)],
        layer.name,
        domain=DOMAIN,
        strides=[layer.stride] * 2,
        pads=[layer.padding] * 4,
        dilations=[layer.dilation] * 2,
        relu=int(layer.relu),
        floor=form.floor,
        ceiling=form.ceiling,
    )


def _arrays(layer: Layer) -> dict[str, np.ndarray]:
    """Those that a layer has, by the name they have in the graph."""
    if layer.integers is None:
        return {}
    found = {name: getattr(layer.integers, name) for name in ARRAYS}
    if found["step"].size:
        found.pop("shift")
    return {_named(layer, name): values for name, values in found.items() if values.size}


def _named(layer: Layer, array: str) -> str:
    return f"{layer.name.removesuffix('.weight')}.{array}"


def _map(number: int) -> str:
    return f"map{number}"
