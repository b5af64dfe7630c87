"""Pruning recurrent cells and layers."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import nn

from edgerecon.workshop.compress.importance import Arithmetic
from edgerecon.workshop.compress.prune import prune
from tests.workshop.compress.prunable import ConvGru, ConvLstm, Recurrent, Temporal, random_weights


def test_the_arithmetic_of_a_recurrent_layer() -> None:
    model = Recurrent(nn.GRU, num_layers=2)
    steps, gates = 2 * 6, 3 * 8 * (8 + 8)
    assert Arithmetic(model, torch.rand(2, 6, 5)).total() == steps * (5 * 8 + 2 * gates + 8 * 2)


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
    model = random_weights(Temporal(cell))
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
    model = random_weights(Recurrent(kind, num_layers=layers))
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
    model = random_weights(Recurrent(nn.GRU, bidirectional=True))
    prune(model, torch.rand(1, 6, 5), ratio=0.2, importance="magnitude", round_to=2)
    assert model.rnn.input_size == model.first.out_features < 8 == model.rnn.hidden_size
    assert model(torch.rand(2, 6, 5)).shape == (2, 6, 2)
