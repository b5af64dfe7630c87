"""Networks whose picture is out of place, or that give more than the noise, are asked about."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from edgerecon.core.errors import EdgereconError, UsageError
from edgerecon.core.frame import Image
from edgerecon.deploy.adopt.adopt import adopt
from edgerecon.deploy.adopt.frames import centre_crop, trial_frames
from edgerecon.deploy.adopt.inspect import Asked, inspect
from edgerecon.deploy.adopt.network import Network
from edgerecon.deploy.adopt.range_trial import DIRECT, MINUS, Reading
from edgerecon.deploy.adopt.ranges import BYTE, UNIT, parse_range
from edgerecon.deploy.adopt.response import doubt_of_response, impulse_response
from edgerecon.engines import open_engine
from tests.deploy.adopt.test_mutations import Mutation, after_output, before_input
from tests.support.foreign_networks import KERNEL, Foreign, build, truth

NOISE, PICTURE, BYTES = Foreign("noise", way="noise"), Foreign("picture"), Foreign("bytes", way="noise", given="0..255")
TWICE = Foreign("twice", body="srresnet", scale=2)
_END = 2**31


def gain(factor: float, offset: float = 0.0) -> Mutation:
    return after_output(("Mul", {}, (np.float32(factor),)), ("Add", {}, (np.float32(offset),)))


def moved(rows: int, columns: int) -> Mutation:
    """Down and to the right, the border repeated."""
    pads = np.int64([0, 0, max(rows, 0), max(columns, 0), 0, 0, max(-rows, 0), max(-columns, 0)])
    starts = np.int64([max(-rows, 0), max(-columns, 0)])
    ends = np.int64([-one if one > 0 else _END for one in (rows, columns)])
    return after_output(("Pad", {"mode": "edge"}, (pads,)), ("Slice", {}, (starts, ends, np.int64([2, 3]))))


def cropped_and_padded(pixels: int) -> Mutation:
    """As networks of unpadded convolutions are brought back to the size of their frames."""
    pads, axes = np.int64([0, 0, pixels, pixels] * 2), np.int64([2, 3])
    starts, ends = (np.int64([sign * pixels] * 2) for sign in (1, -1))
    return after_output(("Slice", {}, (starts, ends, axes)), ("Pad", {}, (pads,)))


ASKED_ABOUT = {
    "twice the noise": (NOISE, gain(2), "turned around"),
    "1.5 times the noise": (NOISE, gain(1.5), "turned around"),
    "three times the noise": (NOISE, gain(3), "turned around"),
    "twice the correction": (NOISE, gain(-2), "turned around"),
    "twice the noise of bytes": (BYTES, gain(2), "turned around"),
    "twice the noise and an offset": (BYTES, gain(2, -1), "turned around"),
    "noise of a frame of twice the levels": (BYTES, before_input(("Mul", {}, (np.float32(2),))), "turned around"),
    "noise moved": (BYTES, moved(0, 1), r"noise is moved by .0 rows and \+1 columns"),
    "enlarged and moved right": (TWICE, moved(0, 1), r"picture is moved by .0 rows and \+1 columns"),
    "enlarged and moved up": (TWICE, moved(-1, -1), "picture is moved by -1 rows and -1 columns"),
    "cropped and padded": (PICTURE, cropped_and_padded(4), "outermost rows and columns"),
    "enlarged, cropped and padded": (TWICE, cropped_and_padded(4), "outermost rows and columns"),
    "noise above zero alone": (NOISE, after_output(("Relu", {}, ())), "say it with --range"),
}


@pytest.mark.parametrize(("network", "change", "words"), ASKED_ABOUT.values(), ids=list(ASKED_ABOUT))
def test_network_is_asked_about(network: Foreign, change: Mutation, words: str, tmp_path: Path) -> None:
    (tmp_path / "f.onnx").write_bytes(build(network.but(spoil=change)).SerializeToString())
    with pytest.raises(UsageError, match=words):
        inspect(tmp_path / "f.onnx", Asked())


@pytest.fixture(scope="module")
def frame() -> Image:
    return centre_crop(trial_frames()[0], (64, 96))


FURTHER = {
    "inverted": after_output(("Mul", {}, (np.float32(-1),)), ("Add", {}, (np.float32(1),))),
    "negative": gain(-1),
    "brighter": gain(1, 0.1),
    "darker": gain(1, -0.1),
    "of 16 bits": gain(65535),
    "of 12 bits": gain(4095),
    "gamma 2.2": after_output(("Abs", {}, ()), ("Pow", {}, (np.float32(2.2),))),
    "square root": after_output(("Abs", {}, ()), ("Sqrt", {}, ())),
    "logarithm": after_output(("Exp", {}, ())),
    "decibels": after_output(("Abs", {}, ()), ("Add", {}, (np.float32(1e-3),)), ("Log", {}, ())),
    "sigmoid": after_output(("Sigmoid", {}, ())),
    "tanh": after_output(("Tanh", {}, ())),
    "upside down": after_output(("Slice", {}, (np.int64([-1]), np.int64([-_END]), np.int64([2]), np.int64([-1])))),
    "moved far": moved(8, 0),
    "moved by two": moved(2, 0),
    "limited to a half": after_output(("Clip", {}, (np.float32(0), np.float32(0.5)))),
    "half the size": after_output(("AveragePool", {"kernel_shape": [2, 2], "strides": [2, 2]}, ())),
    "divided going in": before_input(("Div", {}, (np.float32(255),))),
    "signed going in": before_input(("Mul", {}, (np.float32(2),)), ("Sub", {}, (np.float32(1),))),
    "bent going in": before_input(("Abs", {}, ()), ("Pow", {}, (np.float32(2.2),))),
    "twice going in": before_input(("Mul", {}, (np.float32(2),))),
}


@pytest.mark.parametrize("network", [NOISE, PICTURE, TWICE], ids=lambda one: one.name)
@pytest.mark.parametrize("change", FURTHER.values(), ids=list(FURTHER))
def test_no_further_mutation_is_wrong_without_a_word(
    network: Foreign, change: Mutation, tmp_path: Path, frame: Image
) -> None:
    """Where it is adopted, the picture is that of the network as it was, but for the border, which sees other zeros."""
    (tmp_path / "f.onnx").write_bytes(build(network.but(spoil=change)).SerializeToString())
    try:
        found = inspect(tmp_path / "f.onnx", Asked())
    except EdgereconError:
        return
    given = np.clip(found.reading.picture(frame, found.network.run(frame, found.reading.given)), 0, 1)
    if found.network.result.scale != network.scale:  # half of twice the size is a picture of the size
        return
    expected = np.clip(truth(network, build(network), frame), 0, 1)
    assert np.abs(given - expected)[6:-6, 6:-6].max() < 1 / 255


def test_noise_of_frames_that_are_divided_is_of_unit_range(tmp_path: Path, frame: Image) -> None:
    divided = NOISE.but(spoil=before_input(("Div", {}, (np.float32(255),))))
    (tmp_path / "f.onnx").write_bytes(build(divided).SerializeToString())
    adopted = adopt(tmp_path / "f.onnx", tmp_path / "mine.onnx")
    engine = open_engine(adopted.path, "onnxruntime", threads=1)
    expected = np.clip(truth(NOISE, build(NOISE), frame), 0, 1)
    assert np.abs(engine.run(frame) - expected).max() < 1e-4


def test_range_of_noise_can_be_said(tmp_path: Path, frame: Image) -> None:
    (tmp_path / "f.onnx").write_bytes(build(NOISE.but(spoil=gain(2))).SerializeToString())
    said = Asked(given=UNIT, returned=parse_range("0..2"), way=MINUS)
    adopted = adopt(tmp_path / "f.onnx", tmp_path / "mine.onnx", said)
    engine = open_engine(adopted.path, "onnxruntime", threads=1)
    expected = np.clip(truth(NOISE, build(NOISE), frame), 0, 1)
    assert np.abs(engine.run(frame) - expected).max() < 1e-4


def test_twice_the_noise_is_doubted_where_it_is_said(tmp_path: Path) -> None:
    (tmp_path / "f.onnx").write_bytes(build(NOISE.but(spoil=gain(2))).SerializeToString())
    findings = inspect(tmp_path / "f.onnx", Asked(given=UNIT, way=MINUS)).findings
    assert "in doubt" in next(one for one in findings if one.what == "range").sure


def network_of(network: Foreign, folder: Path) -> Network:
    (folder / "f.onnx").write_bytes(build(network).SerializeToString())
    given = UNIT if network.given == "0..1" else BYTE
    return inspect(folder / "f.onnx", Asked(given=given, way=MINUS if network.way == "noise" else DIRECT)).network


def test_impulse_response_is_the_kernel_of_a_smoother(tmp_path: Path, frame: Image) -> None:
    middle = np.float32(0.3 + 0.4 * frame)  # its limits bend nothing there
    found = impulse_response(network_of(PICTURE, tmp_path), Reading(UNIT, UNIT), middle, seed=0)
    assert np.abs(found[5:8, 5:8] - KERNEL).max() < 0.03 and np.abs(found).sum() < 3


@pytest.mark.parametrize("network", [PICTURE, NOISE, BYTES, TWICE, TWICE.but(scale=8)], ids=lambda one: one.name)
def test_network_as_it_should_be_is_not_doubted(network: Foreign, tmp_path: Path, frame: Image) -> None:
    given = BYTE if network.given == "0..255" else UNIT
    reading = Reading(given, given, MINUS if network.way == "noise" else DIRECT)
    assert doubt_of_response(network_of(network, tmp_path), reading, [frame, frame[::-1].copy()]) == ""
