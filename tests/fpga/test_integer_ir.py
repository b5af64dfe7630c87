"""The integer form: what is read of an ONNX file computes what ONNX Runtime makes of it, and all else is refused."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import onnx
import onnxruntime as ort
import pytest
from onnx import helper

from edgerecon.core.errors import DataError, ModelError
from edgerecon.fpga import integer_reference
from edgerecon.fpga.integer_ir import IntegerNetwork, read_ir
from edgerecon.fpga.integer_onnx import integer_network
from edgerecon.modelfile.file import read_model
from tests.support.hand_made import fp32, po2, save

DILATIONS = ((1, 2, 1), (1, 2, 3, 3, 2, 1), (2, 1))


def session(path: Path, optimised: bool) -> ort.InferenceSession:
    options = ort.SessionOptions()
    options.intra_op_num_threads = 1
    level = ort.GraphOptimizationLevel
    options.graph_optimization_level = level.ORT_ENABLE_ALL if optimised else level.ORT_DISABLE_ALL
    return ort.InferenceSession(str(path), options, ["CPUExecutionProvider"])


def network_of(path: Path) -> IntegerNetwork:
    return integer_network(read_model(path))


@pytest.mark.parametrize("optimised", [True, False])
@pytest.mark.parametrize("seed", range(6))
def test_onnx_runtime_and_the_reference_agree_to_the_last_bit(
    tmp_path: Path, rng: np.random.Generator, seed: int, optimised: bool
) -> None:
    path = po2(tmp_path / "m.onnx", width=(8, 5, 3)[seed % 3], dilations=DILATIONS[seed // 2], seed=seed)
    network, runtime = network_of(path), session(path, optimised)
    frames = [rng.random(size, np.float32) for size in ((32, 20), (64, 48), (2, 2), (2, 40), (40, 2))]
    frames += [np.zeros((16, 16), np.float32), np.ones((16, 16), np.float32), (frames[0] > 0.5).astype(np.float32)]
    for frame in frames:
        expected = runtime.run(None, {"frame": frame[None, None]})[0][0, 0] * 256
        found = integer_reference.run(network, integer_reference.levels_of(frame))
        np.testing.assert_array_equal(found, expected)


def test_halves_go_to_the_even_neighbour() -> None:
    sums = np.arange(-40, 600, dtype=np.int32).reshape(1, 1, -1)
    for shift in (0, 1, 3):
        found = integer_reference.requantise(sums, np.array([shift], np.int32))
        np.testing.assert_array_equal(found, np.clip(np.rint(sums / 2**shift), 0, 255))


def test_odd_sides_are_padded_by_their_edges_and_cropped(tmp_path: Path, rng: np.random.Generator) -> None:
    network = network_of(po2(tmp_path / "m.onnx"))
    for height, width in ((1, 1), (1, 7), (5, 1), (9, 13)):
        frame = rng.integers(0, 256, (height, width), np.uint8)
        padded = np.pad(frame, ((0, height % 2), (0, width % 2)), mode="edge")
        whole = integer_reference.run(network, padded)
        np.testing.assert_array_equal(integer_reference.run(network, frame), whole[:height, :width])


def test_what_is_no_frame_of_levels_is_refused(tmp_path: Path) -> None:
    network = network_of(po2(tmp_path / "m.onnx"))
    for bad in (np.zeros((4, 4), np.float32), np.zeros((0, 4), np.uint8), np.zeros((1, 4, 4), np.uint8)):
        with pytest.raises(DataError, match="uint8 H×W"):
            integer_reference.run(network, bad)


def test_json_keeps_everything(tmp_path: Path) -> None:
    network = network_of(po2(tmp_path / "m.onnx", dilations=(1, 3, 1)))
    network.write(tmp_path / "n.json")
    again = read_ir(tmp_path / "n.json")
    assert again.to_json() == network.to_json()
    plain = json.loads((tmp_path / "n.json").read_text())
    assert [layer["residual"] for layer in plain["layers"]] == [False, False, True]
    assert [layer["dilation"] for layer in plain["layers"]] == [1, 3, 1]
    assert network.macs_per_pixel == (4 * 8 + 8 * 8 + 8 * 4) * 9 / 4


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda plain: plain.update(format=2), "format 2"),
        (lambda plain: plain.pop("layers"), "layers"),
        (lambda plain: plain["layers"][1]["weight"][0][0][0].__setitem__(0, 200), "int8"),
        (lambda plain: plain["layers"][1]["shift"].__setitem__(0, 40), "shifts from"),
        (lambda plain: plain["layers"].pop(), "'y2_q' has 8 channels"),
        (lambda plain: plain["layers"].pop(0), r"layer 1 .*not \(out, 4, 3, 3\)"),
        (lambda plain: plain.update(width=0), "width of 0"),
        (lambda plain: plain["layers"][0]["bias"].__setitem__(0, 2**24), "float32 is exact below"),
    ],
)
def test_damaged_json_is_refused(tmp_path: Path, damage: object, message: str) -> None:
    plain = network_of(po2(tmp_path / "m.onnx", dilations=(1, 2, 1))).to_json()
    damage(plain)  # type: ignore[operator]
    (tmp_path / "n.json").write_text(json.dumps(plain))
    with pytest.raises(ModelError, match=message):
        read_ir(tmp_path / "n.json")
    with pytest.raises(ModelError, match="cannot read"):
        read_ir(tmp_path / "absent.json")


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"s1": np.float32(0.02)}, "scale 's1' of 'r1' is 0.0199999.*not a power of two"),
        ({"sw0": np.float32([2**-8] * 7 + [0.003])}, "scale 'sw0' of 'w0' is 0.003"),
        ({"s0": np.float32(2**-7)}, "'frame' is rounded to 2\\^-7"),
        ({"zero": np.uint8(3)}, "uint8 around \\[3\\]"),
        ({"zero": np.int8(0)}, "rounded to int8"),
        ({"sb0": np.full(8, 2.0**-30, np.float32)}, "bias 'b0_f' has not the scale"),
        ({"b0": np.full(8, 2**25, np.int32)}, "layer 1 \\('y1_q'\\): a sum can reach"),
        ({"sw0": np.full(8, 2.0**-40, np.float32), "sb0": np.full(8, 2.0**-48, np.float32)}, "layer 1.*shifts from"),
    ],
)
def test_what_is_not_po2_is_refused_by_name(tmp_path: Path, changed: dict[str, np.ndarray], message: str) -> None:
    with pytest.raises(ModelError, match=message):
        network_of(po2(tmp_path / "m.onnx", **changed))


def test_other_networks_are_refused_by_name(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="convolution 1 takes 'y0', not the rounded"):
        network_of(fp32(tmp_path / "f.onnx"))
    nodes = [helper.make_node("Tanh", ["frame"], ["reconstruction"])]
    with pytest.raises(ModelError, match="Tanh, which makes 'reconstruction', is no layer"):
        network_of(save(tmp_path / "t.onnx", nodes))
    model = onnx.load(po2(tmp_path / "m.onnx"))
    relu = next(node for node in model.graph.node if node.op_type == "Relu")
    relu.op_type = "Sigmoid"
    onnx.save(model, tmp_path / "s.onnx")
    with pytest.raises(ModelError, match="Sigmoid, which makes 'r1'"):
        network_of(tmp_path / "s.onnx")
    model = onnx.load(po2(tmp_path / "m.onnx"))
    add = next(node for node in model.graph.node if node.op_type == "Add")
    add.input[0] = "frame"
    onnx.save(model, tmp_path / "a.onnx")
    with pytest.raises(ModelError, match="'sum' is not the sum of the rounded frame"):
        network_of(tmp_path / "a.onnx")


def test_the_width_is_part_of_it(tmp_path: Path) -> None:
    network = network_of(po2(tmp_path / "m.onnx"))
    assert replace(network, width=640).to_json()["width"] == 640
    with pytest.raises(ModelError, match="width of 1 pixels"):
        replace(network, width=1)
