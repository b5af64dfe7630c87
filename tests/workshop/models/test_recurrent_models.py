"""Recurrent networks against their formulas in loops, float64; figures of their head docstrings."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from edgerecon.core.errors import UsageError
from edgerecon.workshop.models import build_model
from edgerecon.workshop.models.cells import LstmCell, ReluCell
from edgerecon.workshop.models.temporal import Temporal

SHAPES = [
    ("row_rnn", {"cell": "relu"}),
    ("row_rnn", {"cell": "lstm"}),
    ("conv_rnn", {"cell": "relu"}),
    ("conv_rnn", {"cell": "lstm", "depth": 1}),
    ("hybrid", {}),
]
TEMPORAL = SHAPES[2:]


def _random(name: str, width: int = 5, **params: object) -> nn.Module:
    torch.manual_seed(3)
    model = build_model(name, width=width, **params)
    for parameter in model.parameters():
        nn.init.normal_(parameter, std=0.2)
    return model.eval()


@pytest.mark.parametrize(
    ("name", "params", "parameters", "macs", "field"),
    [
        ("row_rnn", {}, 12552, 1536, 24),
        ("row_rnn", {"cell": "lstm"}, 47112, 5760, 24),
        ("conv_rnn", {}, 39268, 9792, 18),
        ("conv_rnn", {"width": 18, "cell": "lstm"}, 41314, 10287, 18),
        ("hybrid", {}, 39300, 9792, 22),
    ],
)
def test_the_figures_of_the_head(name: str, params: dict[str, object], parameters: int, macs: int, field: int) -> None:
    model = build_model(name, **params)
    assert (model.count_parameters(), model.macs_per_pixel(), model.receptive_field) == (parameters, macs, field)


@pytest.mark.parametrize(("name", "params"), SHAPES)
def test_an_untrained_network_is_the_identity(name: str, params: dict[str, object]) -> None:
    x = torch.rand(2, 1, 13, 22)
    assert torch.equal(build_model(name, width=4, **params)(x), x)


@pytest.mark.parametrize(("name", "params"), SHAPES)
def test_multiply_accumulates_are_those_of_the_layers(name: str, params: dict[str, object]) -> None:
    """Counted where they happen: products of every convolution and matrix, over the pixels of a frame."""
    model, counted = _random(name, **params), []

    def count(layer: nn.Module, given: tuple[Tensor, ...], found: object) -> None:
        if isinstance(layer, nn.Conv2d):
            assert isinstance(found, Tensor)
            counted.append(found.numel() * layer.weight[0].numel())
        elif isinstance(layer, nn.Linear):
            counted.append(given[0].numel() * layer.out_features)
        else:
            weights = sum(p.numel() for key, p in layer.named_parameters() if "weight" in key)
            counted.append(given[0].shape[0] * given[0].shape[1] * weights)

    for layer in model.modules():
        if isinstance(layer, nn.Conv2d | nn.Linear | nn.RNNBase):
            layer.register_forward_hook(count)
    model(torch.rand(1, 1, 16, 24))
    assert sum(counted) / (16 * 24) == model.macs_per_pixel()


def _row_states(x: np.ndarray, model: nn.Module, direction: str) -> np.ndarray:
    """States of one strip's rows (T, 24), by the equation."""
    w, r, b, c = (
        getattr(model.rows, f"{part}_l0{direction}").detach().double().numpy()
        for part in ("weight_ih", "weight_hh", "bias_ih", "bias_hh")
    )
    h = memory = np.zeros(r.shape[1])
    states = []
    for row in x[::-1] if direction else x:
        total = w @ row + b + r @ h + c
        if len(r) == r.shape[1]:
            h = np.maximum(total, 0)
        else:
            i, f, g, o = np.split(total, 4)
            memory = memory / (1 + np.exp(-f)) + np.tanh(g) / (1 + np.exp(-i))
            h = np.tanh(memory) / (1 + np.exp(-o))
        states.append(h)
    return np.stack(states[::-1] if direction else states)


@pytest.mark.parametrize("cell", ["relu", "lstm"])
def test_row_networks_are_the_formula(cell: str, rng: np.random.Generator) -> None:
    model = _random("row_rnn", cell=cell)
    frame = rng.random((8, 16), dtype=np.float32)
    wide = np.pad(frame.astype(np.float64), ((0, 0), (8, 8)))
    expected = frame.astype(np.float64).copy()
    weight, bias = model.last.weight.detach().double().numpy(), model.last.bias.detach().double().numpy()
    for strip in range(2):
        seen = wide[:, 8 * strip : 8 * strip + 24]
        states = np.concatenate([_row_states(seen, model, way) for way in ("", "_reverse")], axis=1)
        expected[:, 8 * strip : 8 * strip + 8] += states @ weight.T + bias
    found = model(torch.from_numpy(frame)[None, None])[0, 0].detach().numpy()
    np.testing.assert_allclose(found, expected, atol=1e-5)


def test_the_relu_unit_is_the_formula_of_the_paper() -> None:
    cell, x, h = ReluCell(3, 4).double(), torch.rand(2, 3, 6, 5).double(), torch.rand(2, 4, 6, 5).double()
    conv = nn.functional.conv2d
    w = cell.conv.weight
    expected = conv(x, w[:, :3], padding=1) + conv(h, w[:, 3:], padding=1) + cell.conv.bias[:, None, None]
    torch.testing.assert_close(cell(x, h)[0], expected.clamp(min=0))
    alone = cell(torch.zeros_like(x), h)[0]
    torch.testing.assert_close(alone, h / 2, msg="W_h starts as half the identity")


def test_the_lstm_of_one_pixel_is_torchs() -> None:
    cell, one = LstmCell(3, 4), nn.LSTMCell(3, 4)
    nn.init.normal_(cell.conv.bias)
    order = [0, 1, 3, 2]  # torch: input, forget, cell, output
    weight = cell.conv.weight[:, :, 1, 1].reshape(4, 4, 7)[order].reshape(16, 7)
    with torch.no_grad():
        one.weight_ih.copy_(weight[:, :3])
        one.weight_hh.copy_(weight[:, 3:])
        one.bias_ih.copy_(cell.conv.bias.reshape(4, 4)[order].flatten())
        one.bias_hh.zero_()
    x, h, c = torch.rand(2, 3), torch.rand(2, 4), torch.rand(2, 4)
    found, state = cell(x[..., None, None], torch.cat([h, c], dim=1)[..., None, None])
    expected = one(x, (h, c))
    torch.testing.assert_close(found[..., 0, 0], expected[0])
    torch.testing.assert_close(state[..., 0, 0], torch.cat(expected, dim=1))


@pytest.mark.parametrize(("name", "params"), TEMPORAL)
def test_a_sequence_is_its_steps(name: str, params: dict[str, object]) -> None:
    model = _random(name, **params)
    assert isinstance(model, Temporal)
    x = torch.rand(2, 3, 6, 8)
    state, whole = model.initial_state(x), model(x)
    for t in range(3):
        y, state = model.step(x[:, t : t + 1], state)
        torch.testing.assert_close(whole[:, t : t + 1], y)
    torch.testing.assert_close(whole[:, :1], model.core(x[:, :1]))
    assert not torch.allclose(whole[:, 1:2], model.core(x[:, 1:2])), "the second frame is seen beside the first"


@pytest.mark.parametrize(("name", "params"), TEMPORAL)
def test_the_receptive_field_is_exact(name: str, params: dict[str, object]) -> None:
    model = build_model(name, width=3, **params)
    for parameter in model.parameters():
        nn.init.constant_(parameter, 0.01)
    x = torch.rand(1, 1, 64, 64, requires_grad=True)
    model(x)[0, 0, 30, 30].backward()
    assert x.grad is not None
    for axis in (0, 1):
        touched = torch.nonzero(x.grad[0, 0].abs().sum(axis)).flatten()
        assert int(touched.max() - touched.min()) + 1 == model.receptive_field


def test_rows_reach_over_the_whole_height() -> None:
    model = build_model("row_rnn", width=3)
    for parameter in model.parameters():
        nn.init.constant_(parameter, 0.01)
    x = torch.rand(1, 1, 32, 64, requires_grad=True)
    model(x)[0, 0, 9, 20].backward()
    assert x.grad is not None
    columns = torch.nonzero(x.grad[0, 0].abs().sum(0)).flatten()
    assert (int(columns.min()), int(columns.max())) == (8, 31)
    assert bool((x.grad[0, 0, :, 16:24].abs().sum(1) > 0).all())


@pytest.mark.parametrize(
    ("name", "params"),
    [
        ("row_rnn", {"cell": "gru"}),
        ("row_rnn", {"width": 0}),
        ("conv_rnn", {"cell": "gru"}),
        ("conv_rnn", {"depth": 0}),
        ("hybrid", {"width": 0}),
    ],
)
def test_unknown_networks_are_refused(name: str, params: dict[str, object]) -> None:
    with pytest.raises(UsageError):
        build_model(name, **params)
