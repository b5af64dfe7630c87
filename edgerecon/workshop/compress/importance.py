"""What a channel is worth to a network, and what it costs."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from edgerecon.workshop.compress.recurrent import RNN, is_cell

Importance = Literal["magnitude", "taylor"]
Batch = tuple[Tensor, Tensor]
Group = Any
"""torch-pruning's: layers that lose a channel together, each with its own numbers of those channels."""


def magnitude(groups: Sequence[Group]) -> list[Tensor]:
    """L2 norm of all weights that a channel's removal takes away, over the mean of its group, so that groups compare.

    Group norm after Fang et al., "DepGraph: Towards Any Structural Pruning", CVPR 2023.

    Returns:
        For each group float64 (channels,), in the order of its root layer's channels.
    """
    scores = []
    for group in groups:
        squares = _over_group(group, lambda weight: weight.square(), writers=True)
        norms = squares.sqrt()
        scores.append(norms / norms.mean().clamp_min(1e-12))
    return scores


def taylor(groups: Sequence[Group], model: nn.Module, batches: Iterable[Batch]) -> list[Tensor]:
    """Change of the mean absolute error to first order when a channel reads as zero; root mean square over batches.

    Molchanov et al., "Importance Estimation for Neural Network Pruning", CVPR 2019: the sum of weight × gradient over
    every weight that reads the channel, so that biases and skip connections count too.

    Args:
        batches: (input, target) as the model takes and gives them.

    Returns:
        As ``magnitude``; the scores of all groups are in grey levels and compare as they are.
    """
    squares = [torch.zeros(_channels(group), dtype=torch.float64) for group in groups]
    count = 0
    for source, target in batches:
        model.zero_grad(set_to_none=True)
        output = model(source)
        F.l1_loss(output[0] if isinstance(output, tuple) else output, target).backward()
        for index, group in enumerate(groups):
            squares[index] += _over_group(group, lambda weight: weight * weight.grad, writers=False).square()
        count += 1
    model.zero_grad(set_to_none=True)
    return [(value / max(count, 1)).sqrt() for value in squares]


def is_depthwise(layer: Any) -> bool:
    """Whether each channel of a convolution is filtered by itself."""
    return isinstance(layer, nn.modules.conv._ConvNd) and layer.groups == layer.out_channels > 1


def cuts_inputs(dependency: Any) -> bool:
    """Whether a member of a group loses inputs, not outputs; layers that act on each channel alone count as outputs."""
    return bool(dependency.handler.__name__ == "prune_in_channels")


def _channels(group: Group) -> int:
    return len(group[0].idxs)


@torch.no_grad()
def _over_group(group: Group, of: Any, writers: bool) -> Tensor:
    """Sum of a function of the weights over every layer that reads a channel, and over those that write it."""
    total = torch.zeros(_channels(group), dtype=torch.float64)
    for item in group:
        layer, reads = item.dep.target.module, cuts_inputs(item.dep)
        if not isinstance(layer, nn.Module) or (not reads and not writers):
            continue
        for weight, axis in _weights(layer, reads):
            value = of(weight).transpose(0, axis).flatten(1).double().sum(1).cpu()
            total.index_add_(0, torch.tensor(item.root_idxs), value[item.idxs])
    return total


def _weights(layer: nn.Module, reads: bool) -> list[tuple[Tensor, int]]:
    """Weights with a channel of the input (of the output) on the axis that is named; those of a cell read alone."""
    if isinstance(layer, nn.Linear):
        return [(layer.weight, 1 if reads else 0)]
    if isinstance(layer, nn.modules.conv._ConvNd):
        return [(layer.weight, 0 if is_depthwise(layer) or layer.transposed == reads else 1)]
    if isinstance(layer, RNN) and reads:
        return [(value, 1) for name, value in layer.named_parameters() if name.startswith("weight_ih_l0")]
    if is_cell(layer) and reads:
        return [(conv.weight, 1) for conv in layer.modules() if isinstance(conv, nn.Conv2d)]
    return []


class Arithmetic:
    """Multiply-accumulates of a model, before and after layers lose channels.

    A weight is used once for every position: of the output of a convolution or a linear layer, of the input of a
    transposed convolution, and once a time step of a recurrent layer. That number is found by running the model once;
    pruning does not change it. Additions of biases and activations are not counted.

    Args:
        model: to be counted. example: its input.
    """

    def __init__(self, model: nn.Module, example: Tensor) -> None:
        self._uses: dict[nn.Module, int] = {}
        hooks = [layer.register_forward_hook(self._see) for layer in model.modules() if _has_arithmetic(layer)]
        try:
            with torch.no_grad():
                model(example)
        finally:
            for hook in hooks:
                hook.remove()

    def _see(self, layer: Any, inputs: tuple[Tensor, ...], output: Any) -> None:
        self._uses[layer] = self._uses.get(layer, 0) + _positions(layer, inputs[0], output)

    def total(self) -> int:
        """Of the whole model, for the example."""
        return sum(map(self._of_layer, self._uses))

    def of(self, module: Any) -> int:
        """Of a layer, or of all that is within a module; 0 for what is none."""
        parts = module.modules() if isinstance(module, nn.Module) else ()
        return sum(self._of_layer(part) for part in parts if part in self._uses)

    def saved(self, group: Group) -> float:
        """Taken away with a channel of a group, to first order: what goes with two channels counts for both."""
        costs = [(self.of(item.dep.target.module), len(item.idxs), item.dep) for item in group]
        shares = (cost * count / _width(dep) for cost, count, dep in costs if cost)
        return sum(shares) / _channels(group)

    def _of_layer(self, layer: nn.Module) -> int:
        return self._uses[layer] * sum(p.numel() for name, p in layer.named_parameters() if "weight" in name)


def _has_arithmetic(layer: nn.Module) -> bool:
    return isinstance(layer, nn.modules.conv._ConvNd | nn.Linear | RNN)


def _positions(layer: Any, source: Tensor, output: Any) -> int:
    if isinstance(layer, RNN):
        return source.numel() // layer.input_size
    if isinstance(layer, nn.Linear):
        return output.numel() // layer.out_features
    counted = source if layer.transposed else output
    return counted.numel() // counted.shape[1]


def _width(dependency: Any) -> int:
    """Channels of a layer on the side that a dependency cuts."""
    pruner, layer = dependency.handler.__self__, dependency.target.module
    width: int = pruner.get_in_channels(layer) if cuts_inputs(dependency) else pruner.get_out_channels(layer)
    return width
