from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
import torch
from onnx import helper

from edgerecon.core.errors import DataError, EdgereconError, UsageError
from edgerecon.workshop.compress import qat
from edgerecon.workshop.compress.calibration import Calibration, calibrate
from edgerecon.workshop.compress.qat import GraphModule, RoundedModule, fine_tune
from edgerecon.workshop.compress.quantise import Form, Grid, quantise
from edgerecon.workshop.data.datasets import CropSampler
from edgerecon.workshop.recipe import Recipe
from tests.support.compress_graphs import conv, frames, graph_of, run, tiny_model, tiny_recipe, write_pairs

FORMS: tuple[Form, ...] = ("unsigned", "signed")


@pytest.fixture(scope="module")
def model() -> onnx.ModelProto:
    return tiny_model()


@pytest.fixture(scope="module")
def calibration(model: onnx.ModelProto) -> Calibration:
    return calibrate(model, frames(20))


@pytest.fixture
def recipe(tmp_path: Path) -> Recipe:
    data = write_pairs(tmp_path / "pairs.h5")
    base = tiny_recipe()
    return base.model_copy(update={"data": base.data.model_copy(update={"file": data})})


def _in_torch(module: GraphModule, pictures: list[np.ndarray]) -> np.ndarray:
    with torch.no_grad():
        return np.stack([module(torch.from_numpy(picture)[None, None])[0, 0].numpy() for picture in pictures])


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("ends", [False, True])
def test_torch_rounds_as_the_file_does(
    form: Form, ends: bool, model: onnx.ModelProto, calibration: Calibration
) -> None:
    """Equal but for roundings that the order of float sums flips: few pixels, and those by little."""
    ranges = calibration.ranges("percentile")
    keep = ("node_conv2d", "node_conv2d_3") if ends else ()
    pictures = frames(3, (64, 56), seed=4)
    found = _in_torch(RoundedModule(model, ranges, form, keep), pictures)
    expected = np.stack(run(quantise(model, ranges, form=form, keep=keep), pictures, plain=True))
    fp32 = np.stack(run(model, pictures))
    error, of_rounding = np.abs(found - expected), np.abs(expected - fp32)
    assert of_rounding.mean() > 2e-4  # there is something to agree on
    assert (error > 1e-5).mean() < 0.1 and error.mean() < 0.02 * of_rounding.mean()
    assert error.max() < 0.01


@pytest.mark.parametrize("form", FORMS)
def test_training_starts_where_quantisation_ends(form: Form, model: onnx.ModelProto, calibration: Calibration) -> None:
    """And the file made of the start, without moments, holds the same integers."""
    ranges = calibration.ranges("percentile")
    student = RoundedModule(model, ranges, form)
    student.start_from(calibration.moments)
    student.hold_steps()
    expected = quantise(model, ranges, form=form, moments=calibration.moments)
    found = quantise(student.to_onnx(), student.ranges(), form=form)
    for tensor in expected.graph.initializer:
        other = next(t for t in found.graph.initializer if t.name == tensor.name)
        a, b = (onnx.numpy_helper.to_array(t) for t in (tensor, other))
        if tensor.name.endswith("bias_quantised"):
            assert np.abs(a.astype(np.int64) - b).max() <= 1
        elif a.dtype.kind in "iu":
            np.testing.assert_array_equal(a, b)
        else:
            np.testing.assert_allclose(a, b, rtol=1e-5)


def test_fine_tuning_widens_ranges_that_are_too_narrow(
    model: onnx.ModelProto, calibration: Calibration, recipe: Recipe, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(qat, "STEP_RATE", 10.0)  # a few dozen steps must do here
    ranges = {
        name: (low / 2, high / 2) if name.startswith("relu") else (low, high)
        for name, (low, high) in calibration.ranges("minmax").items()
    }
    losses: list[float] = []
    tuned, learnt = fine_tune(
        model, calibration, ranges, recipe, form="unsigned", steps=60, on_step=lambda done, loss: losses.append(loss)
    )
    assert len(losses) == 60 and np.mean(losses[-10:]) < 0.7 * np.mean(losses[:5])
    assert all(learnt[name][1] > ranges[name][1] for name in ("relu", "relu_1", "relu_2"))
    assert learnt["pixel_unshuffle"] == pytest.approx((0, 1))
    pictures = frames(4, seed=8)
    exact = np.stack(run(model, pictures))
    errors = [
        np.abs(np.stack(run(quantise(m, r, form="unsigned", moments=moments), pictures)) - exact).mean()
        for m, r, moments in ((model, ranges, calibration.moments), (tuned, learnt, None))
    ]
    assert errors[1] < 0.7 * errors[0]
    assert onnx.checker.check_model(tuned) is None and tuned.metadata_props == model.metadata_props


def test_it_never_ends_worse_than_it_began(
    model: onnx.ModelProto, calibration: Calibration, recipe: Recipe, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(qat, "RATE", dict.fromkeys(FORMS, 100.0))  # ruins the weights
    ranges = calibration.ranges("minmax")
    tuned, learnt = fine_tune(model, calibration, ranges, recipe, form="signed", steps=3)
    start = RoundedModule(model, ranges, "signed")
    start.start_from(calibration.moments)
    assert tuned.SerializeToString() == start.to_onnx().SerializeToString() and learnt == start.ranges()


def test_gradients_pass_straight_through() -> None:
    grid = Grid(np.float32(0.5), 10, 0, 20)
    x = torch.tensor([-100.0, -4.9, -0.3, 0.25, 0.75, 4.9, 100.0], requires_grad=True)
    step = torch.tensor(0.5, requires_grad=True)
    y = qat.fake_quantise(x, grid, step)
    assert y.tolist() == [-5.0, -5.0, -0.5, 0.0, 1.0, 5.0, 5.0]  # halves to even
    y.sum().backward()
    assert x.grad is not None and x.grad.tolist() == [0, 1, 1, 1, 1, 1, 0]
    inside = sum(round(v / 0.5) - v / 0.5 for v in (-4.9, -0.3, 0.25, 0.75, 4.9))
    assert step.grad is not None and step.grad.item() == pytest.approx(inside + 10 - 10, abs=1e-4)


def test_a_u_net_in_torch(recipe: Recipe) -> None:
    """Concatenation, strides, transposed and depthwise convolutions."""
    rng = np.random.default_rng(0)
    shapes = {"a": (4, 1, 3, 3), "b": (6, 4, 2, 2), "c": (6, 1, 3, 3), "d": (6, 3, 2, 2), "e": (1, 7, 3, 3)}
    constants = {f"{k}_w": (0.3 * rng.standard_normal(s)).astype(np.float32) for k, s in shapes.items()}
    halves: dict[str, Any] = {"kernel_shape": [2, 2], "strides": [2, 2]}
    nodes = [
        conv("a", "frame", "a_out", bias=False),
        helper.make_node("Relu", ["a_out"], ["top"]),
        helper.make_node("Conv", ["top", "b_w"], ["b_out"], "b", **halves),
        helper.make_node("Conv", ["b_out", "c_w"], ["c_out"], "c", kernel_shape=[3, 3], pads=[1] * 4, group=6),
        helper.make_node("Relu", ["c_out"], ["bottom"]),
        helper.make_node("ConvTranspose", ["bottom", "d_w"], ["up"], "d", **halves),
        helper.make_node("Concat", ["top", "up"], ["both"], axis=1),
        conv("e", "both", "e_out", bias=False),
        helper.make_node("Add", ["frame", "e_out"], ["reconstruction"]),
    ]
    model = graph_of(nodes, constants)
    calibration = calibrate(model, frames(10))
    ranges = calibration.ranges("minmax")
    pictures = frames(2, seed=3)
    expected = np.stack(run(model, pictures))
    np.testing.assert_allclose(_in_torch(GraphModule(model), pictures), expected, atol=1e-5)
    for form in FORMS:
        rounded = np.stack(run(quantise(model, ranges, form=form), pictures, plain=True))
        error = np.abs(_in_torch(RoundedModule(model, ranges, form), pictures) - rounded)
        assert error.mean() < 0.02 * np.abs(rounded - expected).mean()
    losses: list[float] = []
    fine_tune(
        model, calibration, ranges, recipe, form="signed", steps=2, on_step=lambda done, loss: losses.append(loss)
    )
    assert len(losses) == 2


def test_bad_input(
    model: onnx.ModelProto, calibration: Calibration, recipe: Recipe, monkeypatch: pytest.MonkeyPatch
) -> None:
    ranges = calibration.ranges("minmax")
    strange = graph_of(
        [conv("a", "frame", "x", bias=False), helper.make_node("Elu", ["x"], ["reconstruction"])],
        {"a_w": np.ones((1, 1, 3, 3), np.float32)},
    )
    with pytest.raises(UsageError, match="operator Elu: set qat_steps to 0"):
        GraphModule(strange)
    with pytest.raises(UsageError, match="no range"):
        fine_tune(model, calibration, {}, recipe, form="signed", steps=1)
    with pytest.raises(DataError, match="does not exist"):
        fine_tune(model, calibration, ranges, recipe, form="signed", steps=1, data=Path("nothing.h5"))
    draw: Callable[..., tuple[np.ndarray, np.ndarray]] = CropSampler.draw
    monkeypatch.setattr(CropSampler, "draw", lambda self: tuple(batch * np.nan for batch in draw(self)))
    with pytest.raises(EdgereconError, match="diverged at step 0"):
        fine_tune(model, calibration, ranges, recipe, form="signed", steps=1)
