"""Recurrent layers in the dependency graph: one node each, whose gates lose the same hidden channels together.

torch-pruning follows the operations that autograd recorded. In a network unrolled over time it then takes the state
that comes back for a plain input and cuts the wrong channels, and it knows neither ``nn.GRU`` nor ``nn.RNN``. So their
insides are hidden while it looks (``hidden_recurrence``), and the classes below tell it how to cut them.

What is recurrent: ``nn.RNN``, ``nn.GRU`` and ``nn.LSTM`` in one direction; and a *cell*, a module with an attribute
``hidden_channels`` whose convolutions all read [x, h] and put out a whole multiple of the hidden channels, gate after
gate (ConvLSTM, Shi et al., NeurIPS 2015; ConvGRU, Ballas et al., ICLR 2016).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn

RNN = nn.RNNBase


def is_cell(module: nn.Module) -> bool:
    """Whether a module is a recurrent cell."""
    return isinstance(getattr(module, "hidden_channels", None), int)


def pruners(model: nn.Module) -> dict[type[nn.Module], Any]:
    """Class → how to prune it, for every recurrent class in a model."""
    found: dict[type[nn.Module], Any] = {}
    for module in model.modules():
        if isinstance(module, RNN):
            found.setdefault(type(module), RnnPruner())
        elif is_cell(module):
            found.setdefault(type(module), CellPruner())
    return found


class _Pruner:
    """What torch-pruning asks of the pruner of a class."""

    pruning_dim = 1

    def get_in_channel_groups(self, layer: nn.Module) -> int:
        return 1

    get_out_channel_groups = get_in_channel_groups


class RnnPruner(_Pruner):
    """``nn.RNN``, ``nn.GRU``, ``nn.LSTM``: all layers share one hidden size. Both directions, or a projection: inputs
    alone are cut."""

    def get_in_channels(self, layer: RNN) -> int:
        return layer.input_size

    def get_out_channels(self, layer: RNN) -> int | None:
        return None if layer.bidirectional or layer.proj_size else layer.hidden_size

    def prune_in_channels(self, layer: RNN, idxs: Sequence[int]) -> RNN:
        keep = _kept(layer.input_size, idxs)
        for name in _names(layer):
            if name.startswith("weight_ih_l0"):
                _cut(layer, name, 1, keep)
        layer.input_size = len(keep)
        return layer

    def prune_out_channels(self, layer: RNN, idxs: Sequence[int]) -> RNN:
        keep, size = _kept(layer.hidden_size, idxs), layer.hidden_size
        gates = len(layer.get_parameter("weight_hh_l0")) // size
        rows = [gate * size + channel for gate in range(gates) for channel in keep]
        for name in _names(layer):
            _cut(layer, name, 0, rows)
            if name.startswith("weight_hh") or (name.startswith("weight_ih") and not name.startswith("weight_ih_l0")):
                _cut(layer, name, 1, keep)
        layer.hidden_size = len(keep)
        layer.flatten_parameters()
        return layer


class CellPruner(_Pruner):
    """A convolutional cell, as the head of this file defines it."""

    def get_in_channels(self, cell: Any) -> int:
        return _convolutions(cell)[0].in_channels - cell.hidden_channels

    def get_out_channels(self, cell: Any) -> int:
        return cell.hidden_channels

    def prune_in_channels(self, cell: Any, idxs: Sequence[int]) -> Any:
        for conv in _convolutions(cell):
            keep = _kept(conv.in_channels, idxs)
            _cut(conv, "weight", 1, keep)
            conv.in_channels = len(keep)
        return cell

    def prune_out_channels(self, cell: Any, idxs: Sequence[int]) -> Any:
        size, inputs = cell.hidden_channels, self.get_in_channels(cell)
        keep = _kept(size, idxs)
        columns = [*range(inputs), *(inputs + channel for channel in keep)]
        for conv in _convolutions(cell):
            rows = [gate * size + channel for gate in range(conv.out_channels // size) for channel in keep]
            _cut(conv, "weight", 0, rows)
            _cut(conv, "weight", 1, columns)
            if conv.bias is not None:
                _cut(conv, "bias", 0, rows)
            conv.in_channels, conv.out_channels = len(columns), len(rows)
        cell.hidden_channels = len(keep)
        return cell


@contextmanager
def hidden_recurrence(model: nn.Module) -> Iterator[None]:
    """Within, every recurrent layer is one step of autograd from its input to all its outputs, state left out."""
    hidden = [module for module in model.modules() if isinstance(module, RNN) or is_cell(module)]
    for module in hidden:
        module.forward = _one_step(module, module.forward)
    try:
        yield
    finally:
        for module in hidden:
            del module.forward


def _one_step(module: nn.Module, forward: Any) -> Any:
    anchor = next(module.parameters())  # keeps the step recorded where the input has no gradient

    def step(x: Tensor, *state: Any, **named: Any) -> Any:
        with torch.no_grad():
            outputs = forward(x, *state, **named)
        leaves, build = _flattened(outputs)
        return build(list(_Step.apply(x, anchor, *leaves)))

    return step


class _Step(torch.autograd.Function):
    @staticmethod
    def forward(context: Any, x: Tensor, anchor: Tensor, *outputs: Tensor) -> tuple[Tensor, ...]:
        return tuple(output.clone() for output in outputs)


def _flattened(outputs: Any) -> tuple[list[Tensor], Any]:
    """Tensors of nested tuples, and the function that nests others the same way."""
    from torch.utils._pytree import tree_flatten, tree_unflatten

    leaves, spec = tree_flatten(outputs)
    return leaves, lambda tensors: tree_unflatten(tensors, spec)


def _names(layer: RNN) -> list[str]:
    return [name for name, _ in layer.named_parameters()]


def _convolutions(cell: nn.Module) -> list[nn.Conv2d]:
    return [module for module in cell.modules() if isinstance(module, nn.Conv2d)]


def _kept(size: int, idxs: Sequence[int]) -> list[int]:
    return sorted(set(range(size)) - set(idxs))


def _cut(layer: nn.Module, name: str, axis: int, keep: Sequence[int]) -> None:
    """Keep these entries of a parameter along an axis."""
    value: Tensor = getattr(layer, name)
    index = torch.tensor(keep, device=value.device)
    setattr(layer, name, nn.Parameter(value.detach().index_select(axis, index), value.requires_grad))
