"""Networks that are not what they seem: each is understood, refused or asked about."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import helper, numpy_helper

from edgerecon.core.errors import EdgereconError
from edgerecon.core.frame import Image
from edgerecon.deploy.adopt.frames import centre_crop, trial_frames
from edgerecon.deploy.adopt.inspect import Asked, inspect
from edgerecon.deploy.adopt.ranges import RANGES
from tests.support.foreign_networks import Foreign, build, truth

NETWORKS = (
    Foreign("dncnn"),
    Foreign("noise", way="noise"),
    Foreign("byte", given="0..255", clip=True),
    Foreign("signed", given="-1..1", clip=True),
    Foreign("imagenet", given="imagenet", channels=3),
    Foreign("nhwc", axes="NHWC"),
    Foreign("uint8", given="0..255", dtype="uint8"),
    Foreign("unet", body="unet", size=(64, 96)),
    Foreign("srresnet", body="srresnet", scale=2),
    Foreign("rrdb", body="rrdb"),
)
Mutation = Callable[[onnx.ModelProto], None]


def after_output(*nodes: tuple[str, dict[str, object], tuple[np.ndarray, ...]]) -> Mutation:
    """Operators behind the output, whose stated shape is dropped."""

    def spoil(model: onnx.ModelProto) -> None:
        graph = model.graph
        name = graph.node[-1].input[0]
        del graph.node[-1]
        for number, (kind, attributes, constants) in enumerate(nodes):
            names = [f"m{number}_{at}" for at in range(len(constants))]
            graph.initializer.extend(numpy_helper.from_array(*pair) for pair in zip(constants, names, strict=True))
            made = "y" if number == len(nodes) - 1 else f"m{number}"
            graph.node.append(helper.make_node(kind, [name, *names], [made], **attributes))
            name = made
        graph.output[0].type.tensor_type.ClearField("shape")

    return spoil


def before_input(*nodes: tuple[str, dict[str, object], tuple[np.ndarray, ...]]) -> Mutation:
    """Operators in front of the input."""

    def spoil(model: onnx.ModelProto) -> None:
        graph, name = model.graph, "x"
        added = []
        for number, (kind, attributes, constants) in enumerate(nodes):
            names = [f"b{number}_{at}" for at in range(len(constants))]
            graph.initializer.extend(numpy_helper.from_array(*pair) for pair in zip(constants, names, strict=True))
            added.append(helper.make_node(kind, [name, *names], [f"b{number}"], **attributes))
            name = f"b{number}"
        for node in graph.node:
            node.input[:] = [name if one == "x" else one for one in node.input]
        kept = list(graph.node)
        del graph.node[:]
        graph.node.extend([*added, *kept])

    return spoil


def cropped(rows: int, columns: int, axes: str) -> Mutation:
    """The output without its last rows and columns."""
    ends = np.int64([-one if one else 2**31 for one in (rows, columns)])
    where = np.int64([axes.index("H"), axes.index("W")])
    return after_output(("Slice", {}, (np.int64([0, 0]), ends, where)))


def padded(rows: int, columns: int, axes: str) -> Mutation:
    """The output with rows and columns of zeros more."""
    pads = np.zeros(2 * len(axes), np.int64)
    pads[len(axes) + axes.index("H")], pads[len(axes) + axes.index("W")] = rows, columns
    return after_output(("Pad", {}, (pads,)))


def exchanged(axes: str) -> Mutation:
    """Rows and columns of the output exchanged."""
    order = list(range(len(axes)))
    row, column = axes.index("H"), axes.index("W")
    order[row], order[column] = column, row
    return after_output(("Transpose", {"perm": order}, ()))


def regraded(gain: float, offset: float) -> Mutation:
    """The output in another range than the input."""
    return after_output(("Mul", {}, (np.float32(gain),)), ("Add", {}, (np.float32(offset),)))


def mutations() -> Iterator[tuple[str, Foreign, Asked]]:
    """Name, the network with the mutation, and what its user says."""
    nothing = Asked()
    for network in NETWORKS:
        for wrong in (one for one in RANGES if one.fits(network.channels) and one.key != network.given):
            yield f"{network.name}, {wrong.key} is said", network, Asked(given=wrong)
        for rows, columns in ((1, 0), (0, 1), (1, 1), (2, 3)):
            for change in (cropped, padded):
                name = f"{network.name}, {change.__name__} by {rows}, {columns}"
                yield name, network.but(spoil=change(rows, columns, network.axes)), nothing
        yield f"{network.name}, exchanged", network.but(spoil=exchanged(network.axes)), nothing
        if network.dtype != "uint8" and network.given in ("0..1", "0..255"):
            weaker = [] if network.way == "noise" else [(0.5, 0)]  # half of a noise is a noise
            for gain, offset in [(255, 0), (1 / 255, 0), (2, -1), (0.5, 0.5), (100, 0), *weaker]:
                yield f"{network.name}, × {gain:g} + {offset:g}", network.but(spoil=regraded(gain, offset)), nothing
        for channels in (2, 4, 5):
            yield f"{network.name}, {channels} channels", network.but(channels=channels, given="0..1"), nothing
        if network.channels == 1 and network.axes == "NCHW" and network.dtype == "float32":
            for axes in ("NHWC", "CHW", "HWC", "NHW"):
                yield f"{network.name}, laid out as {axes}", network.but(axes=axes), nothing


CASES = list(mutations())


def test_there_are_two_hundred() -> None:
    assert len(CASES) >= 200


@pytest.fixture(scope="module")
def frame() -> Image:
    return trial_frames()[0]


@pytest.mark.parametrize(("name", "network", "asked"), CASES, ids=[case[0] for case in CASES])
def test_no_mutation_is_wrong_without_a_word(
    name: str, network: Foreign, asked: Asked, tmp_path: Path, frame: Image
) -> None:
    plain = network.but(spoil=None)
    path = tmp_path / "foreign.onnx"
    path.write_bytes(build(network).SerializeToString())
    try:
        found = inspect(path, asked)
    except EdgereconError:
        return  # caught, or asked about
    range_ = next(one for one in found.findings if one.what == "range")
    doubted = "in doubt" in range_.sure or range_.why == "the trial cannot tell"
    picture = centre_crop(frame, network.size or (64, 96))
    expected = np.clip(truth(plain, build(plain), picture), 0, 1)
    given = np.clip(found.reading.picture(picture, found.network.run(picture, found.reading.given)), 0, 1)
    assert doubted or np.abs(given - expected).max() < 1 / 255
