"""Explanations against finite differences, completeness, brute force, and graphs whose answer is known."""

from __future__ import annotations

import json
from pathlib import Path

import cv2
import numpy as np
import pytest
from onnx import TensorProto, helper

torch = pytest.importorskip("torch")

from edgerecon.core.errors import EngineError, ModelError, SourceError, UsageError  # noqa: E402
from edgerecon.engines import open_engine  # noqa: E402
from edgerecon.modelfile.file import read_model  # noqa: E402
from edgerecon.workshop.explain import Explanation, brightest, explain, explain_frame  # noqa: E402
from edgerecon.workshop.explain.gradients import Differentiable, integrated, saliency, score  # noqa: E402
from edgerecon.workshop.explain.occlusion import occlusion  # noqa: E402
from edgerecon.workshop.explain.picture import write_arrays, write_sheet  # noqa: E402
from edgerecon.workshop.explain.selection import read_frame, read_region  # noqa: E402
from tests.support import hand_made  # noqa: E402

BOX = (5, 9, 11, 14)


@pytest.fixture
def frame(rng: np.random.Generator) -> np.ndarray:
    return cv2.GaussianBlur(rng.random((25, 31), dtype=np.float32), (0, 0), 1)


@pytest.fixture
def model(tmp_path: Path) -> Path:
    return hand_made.fp32(tmp_path / "a.onnx")


def test_saliency_against_finite_differences(model: Path, frame: np.ndarray) -> None:
    """Of odd sizes, so that the padding by replication counts in the last row and column as well."""
    network, box = Differentiable(read_model(model)), (20, 25, 25, 31)
    found = saliency(network, frame, box)
    for row, column in ((22, 28), (24, 30), (18, 26), (20, 23)):
        step = np.zeros_like(frame)
        step[row, column] = 1e-2
        slope = (score(network, frame + step, box) - score(network, frame - step, box)) / 2e-2
        assert found[row, column] == pytest.approx(abs(slope), abs=2e-4)
    assert found[:5, :5].max() == 0, "too far away to matter"


def test_integrated_gradients_add_up(model: Path, frame: np.ndarray) -> None:
    network, seen = Differentiable(read_model(model)), []
    found = integrated(network, frame, BOX, lambda done, total: seen.append((done, total)))
    rise = score(network, frame, BOX) - score(network, np.zeros_like(frame), BOX)
    assert abs(rise) > 0.1
    assert found.sum() == pytest.approx(rise, abs=2e-3)
    assert seen[-1] == (64, 64)


def test_maps_of_a_linear_network_are_its_weights(tmp_path: Path, frame: np.ndarray) -> None:
    weight = np.arange(9, dtype=np.float32).reshape(1, 1, 3, 3) / 50
    nodes = [helper.make_node("Conv", ["frame", "w"], ["reconstruction"], pads=[1, 1, 1, 1])]
    path = hand_made.save(tmp_path / "a.onnx", nodes, {"w": weight}, receptive_field="3")
    maps = explain(path, frame, (10, 10, 11, 11))
    np.testing.assert_allclose(maps["saliency"][9:12, 9:12], weight[0, 0], atol=1e-6)
    expected = weight[0, 0] * frame[9:12, 9:12]
    np.testing.assert_allclose(maps["integrated gradients"][9:12, 9:12], expected, atol=1e-6)
    outside = np.ones(frame.shape, bool)
    outside[9:12, 9:12] = False
    assert maps["saliency"][outside].max() == 0


def test_occlusion_against_brute_force(model: Path, frame: np.ndarray) -> None:
    run = open_engine(model, threads=1).run
    expected, count = np.zeros(frame.shape), np.zeros(frame.shape)
    whole = run(frame)[5:11, 9:14].mean()
    for y in range(0, 25, 2):
        for x in range(0, 31, 2):
            hidden = frame.copy()
            hidden[y : y + 4, x : x + 4] = frame.mean()
            expected[y : y + 4, x : x + 4] += whole - run(hidden)[5:11, 9:14].mean()
            count[y : y + 4, x : x + 4] += 1
    expected /= count
    np.testing.assert_allclose(occlusion(run, frame, BOX), expected, atol=1e-6)
    field = 2 * (3 + 2 * 3)  # of three convolutions at half resolution, dilated 1, 2 and 1: 1 + 2·(1 + 2 + 1) = 9
    np.testing.assert_allclose(occlusion(run, frame, BOX, sees=field), expected, atol=1e-6)


def test_scale_and_what_is_seen(tmp_path: Path, frame: np.ndarray) -> None:
    """The region is one of the reconstruction, the maps lie over the frame."""
    nodes = [
        helper.make_node(
            "Resize",
            ["frame", "", "s"],
            ["reconstruction"],
            mode="nearest",
            coordinate_transformation_mode="asymmetric",
            nearest_mode="floor",
        )
    ]
    path = hand_made.save(tmp_path / "a.onnx", nodes, {"s": np.float32([1, 1, 2, 2])}, scale="2", receptive_field="1")
    found = explain_frame(path, frame, (20, 30, 24, 34))
    assert found.reconstruction.shape == (50, 62)
    expected = np.zeros_like(frame)
    expected[10:12, 15:17] = 0.25
    np.testing.assert_allclose(found.maps["saliency"], expected, atol=1e-6)
    assert all(values.shape == frame.shape for values in found.maps.values())
    assert np.abs(found.maps["occlusion"][:6]).max() == 0 < np.abs(found.maps["occlusion"][10:12, 15:17]).min()


@pytest.mark.parametrize("form", ["unsigned", "signed"])
def test_gradients_of_eight_bits(tmp_path: Path, frame: np.ndarray, form: str) -> None:
    """The value is that of the file to the last bit, the gradient that of the same network without its roundings."""
    path = hand_made.int8(tmp_path / "a.onnx", form)
    network = Differentiable(read_model(path))
    with torch.no_grad():
        found = network(network.frame(frame))[0, 0].clamp(0, 1).numpy()
    np.testing.assert_array_equal(found, open_engine(path, "pytorch", threads=1).run(frame))
    gradient = saliency(network, frame, BOX)
    assert gradient[BOX[0] : BOX[2], BOX[1] : BOX[3]].min() > 0
    assert np.isfinite(gradient).all() and gradient[-1].max() == 0


@pytest.mark.parametrize("rounding", ["Round", "Floor", "Ceil"])
def test_gradients_pass_through_integers(tmp_path: Path, frame: np.ndarray, rounding: str) -> None:
    """frame → levels of 255 → uint8 → mean of 3×3 → rounded → frame: the gradient is that of the mean alone."""
    nodes = [
        helper.make_node("Mul", ["frame", "full"], ["levels"]),
        helper.make_node(rounding, ["levels"], ["whole"]),
        helper.make_node("Cast", ["whole"], ["bytes"], to=TensorProto.UINT8),
        helper.make_node("Cast", ["bytes"], ["floats"], to=TensorProto.FLOAT),
        helper.make_node("Conv", ["floats", "w"], ["smooth"], pads=[1, 1, 1, 1]),
        helper.make_node(rounding, ["smooth"], ["out"]),
        helper.make_node("Div", ["out", "full"], ["reconstruction"]),
    ]
    constants = {"full": np.float32([255]), "w": np.full((1, 1, 3, 3), 1 / 9, np.float32)}
    path = hand_made.save(tmp_path / "a.onnx", nodes, constants, receptive_field="1")
    network = Differentiable(read_model(path))
    x = network.frame(frame)
    with torch.no_grad():
        plain = network(x)
    assert torch.equal(network(x.clone().requires_grad_()), plain)
    np.testing.assert_array_equal(plain[0, 0].numpy(), open_engine(path, "pytorch", threads=1).run(frame))
    found = saliency(network, frame, (10, 10, 11, 11))
    np.testing.assert_allclose(found[9:12, 9:12], np.full((3, 3), 1 / 9), atol=1e-6)
    assert np.count_nonzero(found) == 9


def test_attention_gates_are_found_by_their_weights(tmp_path: Path) -> None:
    """Named as the exporter does; the gate lets through what is bright, at half the resolution."""
    nodes = [
        helper.make_node("Conv", ["frame", "model.attention.psi.weight", "b"], ["conv2d"], strides=[2, 2]),
        helper.make_node("Sigmoid", ["conv2d"], ["sigmoid"]),
        helper.make_node("Resize", ["sigmoid", "", "s"], ["large"], mode="linear"),
        helper.make_node("Mul", ["frame", "large"], ["skip"]),
        helper.make_node("Conv", ["skip", "model.other.weight"], ["conv2d_1"]),
        helper.make_node("Sigmoid", ["conv2d_1"], ["reconstruction"]),
    ]
    constants = {
        "model.attention.psi.weight": np.full((1, 1, 2, 2), 10.0, np.float32),
        "b": np.float32([-20]),
        "s": np.float32([1, 1, 2, 2]),
        "model.other.weight": np.ones((1, 1, 1, 1), np.float32),
    }
    path = hand_made.save(tmp_path / "a.onnx", nodes, constants, size_multiple="2")
    frame = np.zeros((21, 30), np.float32)
    frame[:, 14:] = 1.0
    maps = explain(path, frame)
    assert [name for name in maps if name.startswith("attention")] == ["attention 1"], "the other sigmoid is no gate"
    gate = maps["attention 1"]
    assert gate.shape == frame.shape and gate[:, :12].max() < 1e-3 and gate[:, 16:].min() > 1 - 1e-3
    assert explain("compact-despeckle", frame).keys() == {"saliency", "integrated gradients", "occlusion"}


def test_a_classifier_is_explained_by_its_likeliest_class(tmp_path: Path, frame: np.ndarray) -> None:
    nodes = [
        helper.make_node("GlobalAveragePool", ["frame"], ["mean"]),
        helper.make_node("Sub", ["one", "mean"], ["rest"]),
        helper.make_node("Concat", ["mean", "rest"], ["reconstruction"], axis=3),
    ]
    path = hand_made.save(
        tmp_path / "a.onnx", nodes, {"one": np.ones((1, 1, 1, 1), np.float32)}, output="[1, 2]", receptive_field="1"
    )
    dark = 0.5 * frame
    found = explain_frame(path, dark)
    assert found.region == (0, 1, 1, 2) and found.score == pytest.approx(1 - dark.mean(), abs=1e-5)
    np.testing.assert_allclose(found.maps["saliency"], 1 / dark.size, rtol=1e-5)
    np.testing.assert_allclose(found.maps["integrated gradients"], -dark / dark.size, atol=1e-7)
    assert np.abs(found.maps["occlusion"]).min() > 0, "the whole frame was tried"
    write_sheet(found, tmp_path / "a.png", "title")


def test_the_brightest_square(frame: np.ndarray) -> None:
    image = 0.1 * frame
    image[12:15, 20:23] = 1.0
    assert brightest(image) == (12, 20, 15, 23)
    assert brightest(np.ones((1, 1), np.float32)) == (0, 0, 1, 1)


def test_the_sheet_of_a_frame_of_few_columns_is_no_tower(frame: np.ndarray, tmp_path: Path) -> None:
    tall = np.tile(frame[:, :3], (99, 1))
    maps = {"saliency": np.abs(tall), "occlusion": tall}
    write_sheet(Explanation(tall, tall, (0, 0, 1, 1), 0.5, 0.0, maps), tmp_path / "a.png", "title")
    assert max(cv2.imread(str(tmp_path / "a.png")).shape) < 4000


def test_sheet_arrays_and_figures(model: Path, frame: np.ndarray, tmp_path: Path) -> None:
    found = explain_frame(model, frame)
    write_sheet(found, tmp_path / "a.png", "title")
    assert cv2.imread(str(tmp_path / "a.png")).shape[1] > 800
    write_arrays(found, tmp_path / "a.npz")
    with np.load(tmp_path / "a.npz") as file:
        np.testing.assert_array_equal(file["integrated_gradients"], found.maps["integrated gradients"])
        assert tuple(file["region"]) == found.region == brightest(found.reconstruction)
    figures = json.loads(json.dumps(found.to_json()))
    assert abs(figures["completeness_error"]) < 2e-3 < figures["score"]
    assert not list(tmp_path.glob(".*.part"))


def test_what_it_refuses(model: Path, frame: np.ndarray, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"region 0,0,26,31 leaves the 25×31 reconstruction"):
        explain(model, frame, (0, 0, 26, 31))
    with pytest.raises(UsageError, match="no model 'nothing' ships"):
        explain("nothing", frame)
    with pytest.raises(ModelError, match="cannot read the model"):
        explain(tmp_path / "absent.onnx", frame)
    with pytest.raises(EngineError, match="float32 H×W"):
        explain(model, frame.astype(np.float64))


def test_frames_and_regions_that_are_asked_for(tmp_path: Path) -> None:
    np.save(tmp_path / "a.npy", np.stack([np.full((4, 5), 10 * i, np.uint8) for i in range(3)]))
    assert read_frame(str(tmp_path / "a.npy"), 2) == pytest.approx(np.full((4, 5), 20 / 255))
    with pytest.raises(SourceError, match="a.npy has no frame 3: it has 3, counted from 0"):
        read_frame(str(tmp_path / "a.npy"), 3)
    with pytest.raises(SourceError, match="does not exist"):
        read_frame(str(tmp_path / "absent.png"))
    assert read_region("3,4", None) == (3, 4, 4, 5)
    assert read_region(None, "1,2,3,4") == (1, 2, 3, 4)
    assert read_region(None, None) is None
    for at, region, says in (
        ("3", None, "--at is ROW,COLUMN"),
        (None, "1,2,x,4", "--region is"),
        ("1,2", "1,2,3,4", "not both"),
    ):
        with pytest.raises(UsageError, match=says):
            read_region(at, region)
