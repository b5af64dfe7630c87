from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

from edgerecon.core.errors import DependencyError, EdgereconError, UsageError
from edgerecon.workshop.compress.importance import Arithmetic, taylor
from edgerecon.workshop.compress.prune import PruneStep, _graph, _groups, channels_of, prune
from edgerecon.workshop.models import build_model
from edgerecon.workshop.recipe import Recipe
from edgerecon.workshop.train.checkpoint import load_checkpoint, load_model, new_model, save_checkpoint
from tests.workshop.compress.prunable import EXAMPLE, SHAPES, ConvLstm, Temporal, batches, random_weights, small_network


@pytest.mark.parametrize("name", SHAPES)
@pytest.mark.parametrize("importance", ["magnitude", "taylor"])
def test_networks_survive(name: str, importance: Any) -> None:
    model, (family, params) = small_network(name).train(), SHAPES[name]
    before, macs, field = model.count_parameters(), model.macs_per_pixel(), model.receptive_field
    report = prune(model, EXAMPLE, ratio=0.5, importance=importance, iterations=2, batches=batches())
    first, middle, last = report.steps
    pixels = EXAMPLE.numel()
    assert [step.iteration for step in report.steps] == [0, 1, 2]
    assert (first.macs, first.parameters, first.macs_left) == (macs * pixels, before, 1)
    assert last.macs == model.macs_per_pixel() * pixels and last.parameters == model.count_parameters() < before
    assert 0.3 < last.macs_left <= 0.5 < middle.macs_left <= 0.75
    assert model.receptive_field == field and model.training
    assert all(count % 4 == 0 for count in model.channels) and last.channels == model.channels
    again = build_model(family, **params, channels=channels_of(model))
    again.load_state_dict(model.state_dict())
    x = torch.rand(1, 1, 13, 21)
    assert torch.equal(again(x), model(x))
    model(x).sum().backward()  # it can be trained further
    assert all(parameter.grad is not None for parameter in model.parameters())


@settings(max_examples=15, deadline=None)
@given(
    width=st.integers(2, 20),
    dilations=st.lists(st.integers(1, 3), min_size=2, max_size=6),
    ratio=st.floats(0, 0.95),
    round_to=st.integers(1, 5),
    iterations=st.integers(1, 3),
)
def test_any_ratio_is_reached_or_refused(
    width: int, dilations: list[int], ratio: float, round_to: int, iterations: int
) -> None:
    model = random_weights(build_model("compact", width=width, depth=len(dilations), dilations=dilations))
    before = model.macs_per_pixel()
    try:
        prune(model, EXAMPLE, ratio=ratio, importance="magnitude", iterations=iterations, round_to=round_to)
    except UsageError:
        assert model.macs_per_pixel() == before
        least = [count for count in range(2, width + 1) if count == width or count % round_to == 0][0]
        floor = build_model("compact", depth=len(dilations), channels=[least] * (len(dilations) - 1))
        assert floor.macs_per_pixel() > (1 - ratio) * before
    else:
        assert model.macs_per_pixel() <= (1 - ratio) * before * (1 + 1e-9)
    assert all(count == width or count % round_to == 0 for count in model.channels) and min(model.channels) >= 2
    assert model(EXAMPLE).shape == EXAMPLE.shape


@pytest.mark.parametrize("name", [*SHAPES, "temporal"])
def test_the_arithmetic_agrees_with_torch(name: str) -> None:
    model = Temporal(ConvLstm) if name == "temporal" else small_network(name)
    x = torch.rand(1, 3, 8, 12) if name == "temporal" else EXAMPLE
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        model(x)
    assert counter.get_total_flops() == 2 * Arithmetic(model, x).total() > 0


def _kill_odd_channels(model: nn.Module, first: nn.Module, last: nn.Module) -> None:
    """Cut every second channel off, on the side that writes it and on the side that reads it."""
    with torch.no_grad():
        for layer in model.modules():
            if not isinstance(layer, nn.Conv2d | nn.ConvTranspose2d):
                continue
            writes, reads = (1, 0) if isinstance(layer, nn.ConvTranspose2d) else (0, 1)
            if layer is not last:
                layer.weight.transpose(0, writes)[1::2] = 0
                if layer.bias is not None:
                    layer.bias[1::2] = 0
            if layer is not first and layer.groups == 1:
                layer.weight.transpose(0, reads)[1::2] = 0


@pytest.mark.parametrize("name", SHAPES)
@pytest.mark.parametrize("importance", ["magnitude", "taylor"])
def test_what_does_nothing_goes_first_and_nothing_else_changes(name: str, importance: Any) -> None:
    """Through skips, transposed and depthwise convolutions and pixel shuffles, the right channels are cut."""
    model, (family, params) = small_network(name), SHAPES[name]
    convolutions = [layer for layer in model.modules() if isinstance(layer, nn.Conv2d | nn.ConvTranspose2d)]
    _kill_odd_channels(model, convolutions[0], convolutions[-1])
    half = build_model(family, **params, channels=[count // 2 for count in model.channels])
    x = torch.rand(2, 1, 16, 24)
    before = model(x).detach()
    assert (before - x).abs().max() > 0.02
    ratio = 1 - half.macs_per_pixel() / model.macs_per_pixel()
    prune(model, EXAMPLE, ratio=ratio - 1e-9, importance=importance, batches=batches(), round_to=2)
    assert model.channels == half.channels
    torch.testing.assert_close(model(x), before, atol=1e-6, rtol=1e-5)


@pytest.mark.parametrize("name", ["compact", "unet"])
def test_taylor_is_the_slope_of_the_loss(name: str) -> None:
    """Against central differences over a gate on one channel of a layer, in double precision."""
    model = small_network(name).double()
    ((source, target),) = batches(1)
    source, target = source.double(), target.double()
    graph = _graph(model, EXAMPLE.double())
    groups = {group[0].dep.target.module: group for group in _groups(graph, model)}
    layers = [model.layers[1]] if name == "compact" else [model.encoder[0][2], model.encoder[1][0], model.up[0]]
    for layer in layers:
        (scores,) = taylor([groups[layer]], model, [(source, target)])

        def loss(channel: int, gate: float, layer: nn.Module = layer) -> float:
            factor = torch.ones(layer.out_channels, dtype=torch.float64)  # type: ignore[arg-type, call-overload]
            factor[channel] = gate
            hook = layer.register_forward_hook(lambda _layer, _inputs, output: output * factor[:, None, None])
            value = float(F.l1_loss(model(source), target).detach())
            hook.remove()
            return value

        step = 1e-6
        for channel in range(3):
            slope = (loss(channel, 1 + step) - loss(channel, 1 - step)) / (2 * step)
            assert float(scores[channel]) == pytest.approx(abs(slope), rel=1e-3, abs=1e-9)
        assert scores.max() > 1e-6


class Shuffled(nn.Module):
    """Sub-pixel steps in the middle of a network, a residual sum and a group norm."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.second = nn.Conv2d(1, 8, 3, padding=1), nn.Conv2d(8, 8, 3, padding=1)
        self.up, self.norm = nn.Conv2d(8, 32, 1), nn.GroupNorm(2, 8)
        self.middle, self.last = nn.Conv2d(8, 8, 3, padding=1), nn.Conv2d(32, 1, 1)
        self.batch_norm = nn.BatchNorm2d(8)

    def forward(self, x: Tensor) -> Tensor:
        z = F.relu(self.first(x))
        z = z + self.batch_norm(self.second(z))
        z = F.pixel_shuffle(self.up(z), 2)
        return self.last(F.pixel_unshuffle(self.norm(self.middle(z)), 2))


def test_shuffled_channels_stay_and_the_rest_goes() -> None:
    model = random_weights(Shuffled())
    prune(model, EXAMPLE, ratio=0.15, importance="taylor", batches=batches(1), round_to=2)
    assert model.first.out_channels == model.second.out_channels == model.batch_norm.num_features < 8
    assert (model.up.out_channels, model.middle.in_channels, model.middle.out_channels) == (32, 8, 8)
    assert model(EXAMPLE).shape == EXAMPLE.shape


def test_iterations_are_fine_tuned_and_told() -> None:
    model, calls, told = small_network("compact"), [], []

    def fine_tune(network: nn.Module, iteration: int) -> None:
        assert network is model
        optimizer = torch.optim.SGD(network.parameters(), 0.1)
        network(EXAMPLE).mean().backward()
        optimizer.step()
        calls.append((iteration, channels_of(network)))

    steps: Callable[[PruneStep], None] = told.append
    report = prune(model, EXAMPLE, ratio=0.6, importance="magnitude", iterations=3, fine_tune=fine_tune, on_step=steps)
    assert calls == [(step.iteration, step.channels) for step in told] and len(calls) == 3
    assert tuple(told) == report.steps[1:]
    assert report.to_json()["steps"][-1]["channels"] == model.channels


def test_nothing_to_remove_changes_nothing() -> None:
    model = small_network("unet")
    before = model(EXAMPLE).detach()
    prune(model, EXAMPLE, ratio=0.0, importance="magnitude")
    assert torch.equal(model(EXAMPLE), before)


def test_a_checkpoint_rebuilds_the_network(tmp_path: Path) -> None:
    recipe = Recipe.model_validate(
        {
            "model": {"name": "tiny", "task": "despeckle", "family": "unet", "width": 8, "depth": 2},
            "data": {"simulate": "-", "file": "t.h5", "inputs": ["pw31"], "target": "clean"},
            "train": {"steps": 1},
        }
    )
    model = random_weights(new_model(recipe, ()))
    prune(model, EXAMPLE, ratio=0.5, importance="magnitude")
    assert model.channels != new_model(recipe, ()).channels
    path = tmp_path / "pruned.pt"
    save_checkpoint(path, {"model": model.state_dict(), "channels": list(channels_of(model))})
    state = load_checkpoint(path)
    again: Any = load_model(recipe, path)
    assert torch.equal(again(EXAMPLE), model(EXAMPLE))
    assert (again.macs_per_pixel(), again.channels) == (model.macs_per_pixel(), model.channels)
    with pytest.raises(UsageError, match="channels must be 14 numbers"):
        new_model(recipe, state["channels"][1:])


def test_more_than_there_is_cannot_be_removed() -> None:
    model = small_network("unet")
    before = model(EXAMPLE)
    with pytest.raises(UsageError, match=r"stops at \d+ % .*cannot reach 1 %: lower prune.ratio"):
        prune(model, EXAMPLE, ratio=0.99, importance="magnitude")
    assert torch.equal(model(EXAMPLE), before)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({"ratio": 1.0, "importance": "magnitude"}, "ratio in"),
        ({"ratio": -0.1, "importance": "magnitude"}, "ratio in"),
        ({"ratio": float("nan"), "importance": "magnitude"}, "ratio in"),
        ({"ratio": 0.5, "importance": "magnitude", "iterations": 0}, "iteration"),
        ({"ratio": 0.5, "importance": "magnitude", "round_to": 0}, "round_to"),
        ({"ratio": 0.5, "importance": "luck"}, "'luck'"),
        ({"ratio": 0.5, "importance": "taylor"}, "batches"),
    ],
)
def test_impossible_arguments(arguments: dict[str, Any], words: str) -> None:
    with pytest.raises(UsageError, match=words):
        prune(small_network("compact"), EXAMPLE, **arguments)


class Folded(nn.Module):
    """Channels folded in two: the dependency graph does not see that they go in pairs."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.last = nn.Conv2d(1, 8, 3, padding=1), nn.Conv2d(4, 1, 3, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        z = self.first(x)
        return self.last(z.view(len(x), 2, 4, *x.shape[2:]).amax(1))


def test_what_torch_pruning_gets_wrong_is_refused() -> None:
    with pytest.raises(EdgereconError, match="Folded cannot be pruned") as caught:
        prune(Folded(), EXAMPLE, ratio=0.2, importance="magnitude", round_to=1)
    assert "\n" not in str(caught.value)


def test_without_torch_pruning(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "torch_pruning", None)
    with pytest.raises(DependencyError, match="torch-pruning"):
        prune(small_network("compact"), EXAMPLE, ratio=0.2, importance="magnitude")
