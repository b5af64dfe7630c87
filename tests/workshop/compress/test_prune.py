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

EXAMPLE = torch.rand(1, 1, 16, 24, generator=torch.Generator().manual_seed(1))
SHAPES: dict[str, tuple[str, dict[str, Any]]] = {
    "compact": ("compact", {"width": 16, "depth": 5, "dilations": (1, 1, 2, 2, 1)}),
    "unet": ("unet", {"width": 8, "depth": 2}),
    "separable": ("unet", {"width": 8, "depth": 2, "separable": True}),
}


def _random(model: Any) -> Any:
    torch.manual_seed(3)
    for parameter in model.parameters():
        if parameter.dim() > 1:
            nn.init.normal_(parameter, std=parameter[0].numel() ** -0.5)
        else:
            nn.init.uniform_(parameter, 0.1, 0.3)  # above zero, so that no ReLU is dead
    return model


def _network(name: str) -> Any:
    family, params = SHAPES[name]
    return _random(build_model(family, **params))


def _batches(count: int = 3) -> list[tuple[Tensor, Tensor]]:
    generator = torch.Generator().manual_seed(5)
    return [
        (torch.rand(2, 1, 16, 24, generator=generator), torch.rand(2, 1, 16, 24, generator=generator))
        for _ in range(count)
    ]


@pytest.mark.parametrize("name", SHAPES)
@pytest.mark.parametrize("importance", ["magnitude", "taylor"])
def test_networks_survive(name: str, importance: Any) -> None:
    model, (family, params) = _network(name).train(), SHAPES[name]
    before, macs, field = model.count_parameters(), model.macs_per_pixel(), model.receptive_field
    report = prune(model, EXAMPLE, ratio=0.5, importance=importance, iterations=2, batches=_batches())
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
    model = _random(build_model("compact", width=width, depth=len(dilations), dilations=dilations))
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
    model = Temporal(ConvLstm) if name == "temporal" else _network(name)
    x = torch.rand(1, 3, 8, 12) if name == "temporal" else EXAMPLE
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        model(x)
    assert counter.get_total_flops() == 2 * Arithmetic(model, x).total() > 0


def test_the_arithmetic_of_a_recurrent_layer() -> None:
    model = Recurrent(nn.GRU, num_layers=2)
    steps, gates = 2 * 6, 3 * 8 * (8 + 8)
    assert Arithmetic(model, torch.rand(2, 6, 5)).total() == steps * (5 * 8 + 2 * gates + 8 * 2)


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
    model, (family, params) = _network(name), SHAPES[name]
    convolutions = [layer for layer in model.modules() if isinstance(layer, nn.Conv2d | nn.ConvTranspose2d)]
    _kill_odd_channels(model, convolutions[0], convolutions[-1])
    half = build_model(family, **params, channels=[count // 2 for count in model.channels])
    x = torch.rand(2, 1, 16, 24)
    before = model(x).detach()
    assert (before - x).abs().max() > 0.02
    ratio = 1 - half.macs_per_pixel() / model.macs_per_pixel()
    prune(model, EXAMPLE, ratio=ratio - 1e-9, importance=importance, batches=_batches(), round_to=2)
    assert model.channels == half.channels
    torch.testing.assert_close(model(x), before, atol=1e-6, rtol=1e-5)


@pytest.mark.parametrize("name", ["compact", "unet"])
def test_taylor_is_the_slope_of_the_loss(name: str) -> None:
    """Against central differences over a gate on one channel of a layer, in double precision."""
    model = _network(name).double()
    ((source, target),) = _batches(1)
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


class ConvLstm(nn.Module):
    def __init__(self, inputs: int, hidden: int) -> None:
        super().__init__()
        self.hidden_channels = hidden
        self.gates = nn.Conv2d(inputs + hidden, 4 * hidden, 3, padding=1)

    def forward(self, x: Tensor, state: tuple[Tensor, Tensor] | None) -> tuple[Tensor, Tensor]:
        h, c = state or (x.new_zeros(len(x), self.hidden_channels, *x.shape[2:]),) * 2
        i, f, g, o = self.gates(torch.cat([x, h], 1)).chunk(4, 1)
        c = torch.sigmoid(f) * c + torch.sigmoid(i) * torch.tanh(g)
        return torch.sigmoid(o) * torch.tanh(c), c


class ConvGru(nn.Module):
    def __init__(self, inputs: int, hidden: int) -> None:
        super().__init__()
        self.hidden_channels = hidden
        self.gates = nn.Conv2d(inputs + hidden, 2 * hidden, 3, padding=1)
        self.candidate = nn.Conv2d(inputs + hidden, hidden, 3, padding=1)

    def forward(self, x: Tensor, state: tuple[Tensor] | None) -> tuple[Tensor]:
        h = state[0] if state else x.new_zeros(len(x), self.hidden_channels, *x.shape[2:])
        z, r = torch.sigmoid(self.gates(torch.cat([x, h], 1))).chunk(2, 1)
        n = torch.tanh(self.candidate(torch.cat([x, r * h], 1)))
        return ((1 - z) * n + z * h,)


class Temporal(nn.Module):
    """N×T×H×W → the same, a frame after the other; the states go out too, as an exported stream needs them."""

    def __init__(self, cell: type[Any]) -> None:
        super().__init__()
        self.first = nn.Conv2d(1, 8, 3, padding=1)
        self.cell = cell(8, 8)
        self.last = nn.Conv2d(8, 1, 3, padding=1)

    def forward(self, x: Tensor) -> tuple[Tensor, ...]:
        state, frames = None, []
        for t in range(x.shape[1]):
            state = self.cell(F.relu(self.first(x[:, t : t + 1])), state)
            frames.append(self.last(state[0]))
        return torch.cat(frames, 1), *state


class Recurrent(nn.Module):
    """N×T×5 → N×T×2 through a recurrent layer of torch."""

    def __init__(self, kind: type[nn.RNNBase], **params: Any) -> None:
        super().__init__()
        self.first = nn.Linear(5, 8)
        self.rnn = kind(8, 8, batch_first=True, **params)
        self.last = nn.Linear(8 * (2 if params.get("bidirectional") else 1), 2)

    def forward(self, x: Tensor) -> Tensor:
        return self.last(self.rnn(F.relu(self.first(x)))[0])


def _kill_odd_units(model: Any, recurrent: nn.Module) -> None:
    """Units and features that nobody reads; with a zero start, a unit without inputs stays at zero."""
    with torch.no_grad():
        for value in recurrent.parameters():
            value[1::2] = 0  # rows: 8 of each gate
            if value.dim() > 1:
                value[:, 1::2] = 0
        model.first.weight[1::2] = model.first.bias[1::2] = 0
        model.last.weight[:, 1::2] = 0


@pytest.mark.parametrize("cell", [ConvLstm, ConvGru])
@pytest.mark.parametrize("frames", [1, 3])
@pytest.mark.parametrize("importance", ["magnitude", "taylor"])
def test_convolutional_cells_survive(cell: type[Any], frames: int, importance: Any) -> None:
    model = _random(Temporal(cell))
    _kill_odd_units(model, model.cell)
    x = torch.rand(2, frames, 9, 7)
    before = model(x)[0].detach()
    batches = [(x, torch.rand_like(x))]
    # all that is dead is gone at a quarter of the cell's arithmetic and half of the rest
    count = Arithmetic(model, x[:1])
    ratio = 1 - (count.of(model.cell) / 4 + count.of(model.first) / 2 + count.of(model.last) / 2) / count.total()
    prune(model, x[:1], ratio=ratio - 1e-9, importance=importance, batches=batches, round_to=2)
    assert (model.first.out_channels, model.cell.hidden_channels, model.last.in_channels) == (4, 4, 4)
    for conv in model.cell.children():
        assert conv.weight.shape == (conv.out_channels, conv.in_channels, 3, 3) and conv.in_channels == 8
    found, *state = model(x)
    torch.testing.assert_close(found, before, atol=1e-6, rtol=1e-5)
    assert before.std() > 1e-3 and all(part.shape[1] == 4 for part in state)
    model(x)[0].sum().backward()


@pytest.mark.parametrize("kind", [nn.RNN, nn.GRU, nn.LSTM])
@pytest.mark.parametrize("layers", [1, 2])
@pytest.mark.parametrize("importance", ["magnitude", "taylor"])
def test_recurrent_layers_survive(kind: type[nn.RNNBase], layers: int, importance: Any) -> None:
    model = _random(Recurrent(kind, num_layers=layers))
    _kill_odd_units(model, model.rnn)
    x = torch.rand(2, 6, 5)
    before = model(x).detach()
    assert before.std() > 1e-3
    count = Arithmetic(model, x[:1])
    ratio = 1 - (count.of(model.rnn) / 4 + count.of(model.first) / 2 + count.of(model.last) / 2) / count.total()
    batches = [(x, torch.rand(2, 6, 2))]
    prune(model, x[:1], ratio=ratio - 1e-9, importance=importance, batches=batches, round_to=2)
    assert (model.rnn.input_size, model.rnn.hidden_size, model.last.in_features) == (4, 4, 4)
    torch.testing.assert_close(model(x), before, atol=1e-6, rtol=1e-5)
    again = Recurrent(kind, num_layers=layers)
    again.first, again.rnn, again.last = nn.Linear(5, 4), kind(4, 4, layers, batch_first=True), nn.Linear(4, 2)
    again.load_state_dict(model.state_dict())
    torch.testing.assert_close(again(x), model(x))


def test_both_directions_lose_inputs_alone() -> None:
    model = _random(Recurrent(nn.GRU, bidirectional=True))
    prune(model, torch.rand(1, 6, 5), ratio=0.2, importance="magnitude", round_to=2)
    assert model.rnn.input_size == model.first.out_features < 8 == model.rnn.hidden_size
    assert model(torch.rand(2, 6, 5)).shape == (2, 6, 2)


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
    model = _random(Shuffled())
    prune(model, EXAMPLE, ratio=0.15, importance="taylor", batches=_batches(1), round_to=2)
    assert model.first.out_channels == model.second.out_channels == model.batch_norm.num_features < 8
    assert (model.up.out_channels, model.middle.in_channels, model.middle.out_channels) == (32, 8, 8)
    assert model(EXAMPLE).shape == EXAMPLE.shape


def test_iterations_are_fine_tuned_and_told() -> None:
    model, calls, told = _network("compact"), [], []

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
    model = _network("unet")
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
    model = _random(new_model(recipe, ()))
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
    model = _network("unet")
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
        prune(_network("compact"), EXAMPLE, **arguments)


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
        prune(_network("compact"), EXAMPLE, ratio=0.2, importance="magnitude")
