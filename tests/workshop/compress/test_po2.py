"""The po2 form: what quantisation and fine-tuning make of a network has an integer form, and computes the same."""

from __future__ import annotations

from contextlib import closing
from pathlib import Path

import numpy as np
import onnx
import pytest
import torch

from edgerecon.core.errors import ModelError
from edgerecon.engines import open_engine
from edgerecon.fpga import integer_reference
from edgerecon.fpga.integer_ir import IntegerNetwork
from edgerecon.fpga.integer_onnx import integer_network
from edgerecon.modelfile.file import read_model
from edgerecon.workshop.compress import qat
from edgerecon.workshop.compress.calibration import Calibration, calibrate
from edgerecon.workshop.compress.qat import RoundedModule, fine_tune
from edgerecon.workshop.compress.quantise import quantise
from tests.support.compress_graphs import conv, frames, graph_of, run, tiny_model, tiny_recipe, write_pairs


@pytest.fixture(scope="module")
def model() -> onnx.ModelProto:
    return tiny_model()


@pytest.fixture(scope="module")
def calibration(model: onnx.ModelProto) -> Calibration:
    return calibrate(model, frames(20))


def _network(model: onnx.ModelProto, folder: Path) -> IntegerNetwork:
    path = folder / "m.onnx"
    path.write_bytes(model.SerializeToString())
    return integer_network(read_model(path))


@pytest.mark.parametrize("percentile", [99.99, 99.0])
@pytest.mark.parametrize("by_moments", [True, False])
def test_the_file_is_the_integer_network(
    model: onnx.ModelProto, calibration: Calibration, tmp_path: Path, percentile: float, by_moments: bool
) -> None:
    moments = calibration.moments if by_moments else None
    made = quantise(model, calibration.ranges("percentile", percentile), form="po2", moments=moments)
    network = _network(made, tmp_path)
    assert [layer.dilation for layer in network.layers] == [1, 2, 3, 1]
    assert max(np.abs(layer.weight).max() for layer in network.layers) <= 127
    pictures = [*frames(3, (64, 56), seed=4), np.ones((8, 8), np.float32), np.zeros((8, 8), np.float32)]
    with closing(open_engine(tmp_path / "m.onnx", "onnxruntime", threads=1)) as engine:
        as_shipped = [engine.run(picture) for picture in pictures]
    for picture, plain, other in zip(pictures, run(made, pictures, plain=True), as_shipped, strict=True):
        found = integer_reference.run(network, integer_reference.levels_of(picture))
        np.testing.assert_array_equal(found, plain * 256)
        np.testing.assert_array_equal(found, other * 256)
    assert np.abs(np.stack(run(made, pictures[:3])) - np.stack(run(model, pictures[:3]))).mean() < 0.01


def test_torch_computes_the_same_to_the_last_bit(model: onnx.ModelProto, calibration: Calibration) -> None:
    """Float sums of such numbers are exact in whatever order: no rounding flips."""
    ranges = calibration.ranges("percentile")
    student = RoundedModule(model, ranges, "po2")
    student.start_from(calibration.moments)
    student.hold_steps()
    pictures = frames(3, (64, 56), seed=4)
    with torch.no_grad():
        found = [student(torch.from_numpy(picture)[None, None])[0, 0].numpy() for picture in pictures]
    again = quantise(student.to_onnx(), student.ranges(), form="po2")
    for first, second in zip(found, run(again, pictures, plain=True), strict=True):
        np.testing.assert_array_equal(first, second)


def test_fine_tuning_keeps_to_powers_of_two(
    model: onnx.ModelProto, calibration: Calibration, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(qat, "VALIDATIONS", 2)
    data = write_pairs(tmp_path / "pairs.h5")
    recipe = tiny_recipe()
    recipe = recipe.model_copy(update={"data": recipe.data.model_copy(update={"file": data})})
    narrow = {name: (low, high / 3) for name, (low, high) in calibration.ranges("minmax").items()}
    tuned, learnt = fine_tune(model, calibration, narrow, recipe, form="po2", steps=8)
    before, after = (_network(quantise(*way, form="po2"), tmp_path) for way in ((model, narrow), (tuned, learnt)))
    assert [layer.exponent for layer in after.layers][-1] == [layer.exponent for layer in before.layers][-1] == -8
    pictures = frames(4, (48, 48), seed=9)
    best = np.stack(run(model, pictures))
    error = [
        np.abs(
            np.stack([integer_reference.run(network, integer_reference.levels_of(p)) for p in pictures]) / 256 - best
        ).mean()
        for network in (before, after)
    ]
    assert error[1] < error[0]


def test_a_layer_without_relu_is_refused_by_name(calibration: Calibration) -> None:
    rng = np.random.default_rng(1)
    constants = {"c0_w": rng.normal(size=(1, 1, 3, 3)).astype(np.float32), "c0_b": np.zeros(1, np.float32)}
    constants |= {"c1_w": constants["c0_w"], "c1_b": constants["c0_b"]}
    linear = graph_of([conv("c0", "frame", "t"), conv("c1", "t", "reconstruction")], constants)
    with pytest.raises(ModelError, match="'t' goes down to -1: in the po2 form"):
        quantise(linear, {"frame": (0, 1), "t": (-1, 1)}, form="po2")


def test_a_dead_channel_asks_for_no_long_shift(
    model: onnx.ModelProto, calibration: Calibration, tmp_path: Path
) -> None:
    dead = onnx.ModelProto()
    dead.CopyFrom(model)
    node = next(node for node in dead.graph.node if node.op_type == "Conv")
    for tensor in dead.graph.initializer:
        if tensor.name == node.input[1]:
            weight = onnx.numpy_helper.to_array(tensor).copy()
            weight[2] *= 1e-9
            tensor.CopyFrom(onnx.numpy_helper.from_array(weight, tensor.name))
    network = _network(quantise(dead, calibration.ranges("minmax"), form="po2"), tmp_path)
    assert not network.layers[0].weight[2].any() and network.layers[0].shift.max() <= 16
