"""Shapes that nobody trained: the compact network at other widths and depths, with random weights, to be timed."""

from __future__ import annotations

import logging
import os
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from edgerecon.core.errors import DependencyError, ModelError
from edgerecon.core.files import write
from edgerecon.deploy.fit.candidates import Candidate
from edgerecon.modelfile.file import read_model
from edgerecon.modelfile.ports import INPUT, OUTPUT
from edgerecon.workshop.reshape import DEPTHS, WIDTHS, dilations, shape_name

if TYPE_CHECKING:
    from onnx import ModelProto, NodeProto

COMPACT = {"SpaceToDepth", "Conv", "Relu", "DepthToSpace", "Add"}
"""The operators of the compact network: pixel-unshuffle, convolutions, pixel-shuffle, and the skip."""

FACTOR, CHANNELS = 2, 4

_log = logging.getLogger(__name__)


def untrained(found: Sequence[Candidate], settings: Sequence[Candidate], folder: Path) -> list[Candidate]:
    """Every width × depth that none of the trained files has, on the runtimes and threads of ``settings``.

    Args:
        found: the trained ones. The shapes are those of the best fp32 file of the compact family that has its recipe
            beside it: that recipe trains them.
        settings: one for each precision wanted, fp32, bf16 or int8.
        folder: gets the files, which must outlive the result.

    Returns:
        None without such a file, or without the onnx package: a device need not have it.
    """
    known = {one.macs for one in found}
    bases = {one.path: one for one in found if _is_base(one)}.values()
    for base in sorted(bases, key=lambda one: (-one.ssim, len(one.path.stem))):
        try:
            return list(_untrained(base.path, known, settings, folder))
        except ModelError as error:
            _log.info("no shapes of %s: %s", base.path.name, error)
        except DependencyError as error:
            _log.info("shapes that nobody trained are left out: %s", error)
            break
    return []


def _is_base(one: Candidate) -> bool:
    return one.precision == "fp32" and one.path.with_suffix(".toml").exists()


def _untrained(base: Path, known: set[float], settings: Sequence[Candidate], folder: Path) -> Iterator[Candidate]:
    recipe = Path(os.path.relpath(base.with_suffix(".toml")))
    for width in WIDTHS:
        for depth in DEPTHS:
            model = reshape_network(base.read_bytes(), width, depth)
            path = folder / f"{shape_name(base.stem, width, depth)}.onnx"
            write(path, model.SerializeToString())
            macs = read_model(path).spec.macs_per_pixel
            if macs in known:  # pruned to the same arithmetic counts as trained
                continue
            command = f"edgerecon train {recipe} --width {width} --depth {depth}"
            for way in settings:
                own = {"int8": _int8, "int16": _int16}.get(way.precision, lambda model, path: path)(model, path)
                yield replace(way, path=own, macs=macs, psnr_db=np.nan, ssim=np.nan, gcnr=np.nan, train=command)


def reshape_network(content: bytes, width: int, depth: int) -> ModelProto:
    """The compact network of an fp32 file at another width and depth (convolutions), with random weights.

    Raises:
        ModelError: the file holds another network. DependencyError: onnx is not installed.
    """
    from edgerecon.workshop.compress import graph as g

    model = g.load(content)
    g.require_fp32(model)
    if {node.op_type for node in model.graph.node} != COMPACT:
        raise ModelError(f"{g.metadata(model).get('name')} is not of the compact family")
    dilated = any(g.attribute(node, "dilations", [1])[0] > 1 for node in model.graph.node)
    spread = dilations(depth) if dilated else (1,) * depth
    sides = [CHANNELS, *[width] * (depth - 1), CHANNELS]
    g.replace_nodes(model.graph, _nodes(spread))
    del model.graph.initializer[:]
    rng = np.random.default_rng(0)
    for i, (before, after) in enumerate(zip(sides[:-1], sides[1:], strict=True)):
        weights = rng.normal(0, np.sqrt(2 / (9 * before)), (after, before, 3, 3)).astype(np.float32)
        for name, values in ((f"weight{i}", weights), (f"bias{i}", np.zeros(after, np.float32))):
            model.graph.initializer.append(g.onnx.numpy_helper.from_array(values, name))
    macs = 9 * sum(a * b for a, b in zip(sides[:-1], sides[1:], strict=True)) / CHANNELS
    name = shape_name(g.metadata(model)["name"], width, depth)
    field = FACTOR * (1 + 2 * sum(spread))
    g.describe(model, name=name, macs_per_pixel=f"{macs:g}", receptive_field=str(field), quality="{}", recipe_hash="")
    return g.checked(model)


def _nodes(spread: Sequence[int]) -> list[NodeProto]:
    """x + S(f(… ρ(f(U(x))))) with a convolution of each dilation; see ``edgerecon.workshop.models.compact``."""
    from onnx.helper import make_node

    nodes = [make_node("SpaceToDepth", [INPUT], ["x0"], name="unshuffle", blocksize=FACTOR)]
    for i, step in enumerate(spread):
        names, last = [f"x{i}", f"weight{i}", f"bias{i}"], i == len(spread) - 1
        nodes.append(
            make_node(
                "Conv",
                names,
                ["picture" if last else f"z{i}"],
                name=f"conv{i}",
                kernel_shape=[3, 3],
                pads=[step] * 4,
                dilations=[step] * 2,
            )
        )
        if not last:
            nodes.append(make_node("Relu", [f"z{i}"], [f"x{i + 1}"], name=f"relu{i}"))
    shuffle = make_node("DepthToSpace", ["picture"], ["residual"], name="shuffle", blocksize=FACTOR, mode="CRD")
    return [*nodes, shuffle, make_node("Add", [INPUT, "residual"], [OUTPUT], name="skip")]


def _int16(model: ModelProto, path: Path) -> Path:
    """Its form in exact integers beside the file, calibrated on noise, likewise."""
    from edgerecon.workshop.compress.int16 import to_int16

    own = path.with_name(f"{path.stem}-int16.onnx")
    noise = np.random.default_rng(0).random((32, 32), dtype=np.float32)
    write(own, to_int16(read_model(path), [noise]).SerializeToString())
    return own


def _int8(model: ModelProto, path: Path) -> Path:
    """Its int8 form for CPUs beside the file; made-up ranges do, since only the time of the result is looked at."""
    from edgerecon.workshop.compress.quantise import plan, quantise

    own = path.with_name(f"{path.stem}-int8.onnx")
    ranges = dict.fromkeys(plan(model, "unsigned").tensors, (0.0, 1.0))
    write(own, quantise(model, ranges, form="unsigned").SerializeToString())
    return own
