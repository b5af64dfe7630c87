"""Structured pruning: whole channels are removed, so that the network that is left is small and dense.

Which layers must lose a channel together follows from the dependency graph of torch-pruning (Fang et al., CVPR 2023).
Which channels go is decided here, against a budget of multiply-accumulates, in steps with fine-tuning between them.
"""

from __future__ import annotations

import copy
import logging
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import torch
from torch import Tensor, nn

from edgerecon.core.errors import EdgereconError, UsageError, needed
from edgerecon.workshop.compress import importance as scoring
from edgerecon.workshop.compress.importance import Arithmetic, Batch, Group, Importance, cuts_inputs, is_depthwise
from edgerecon.workshop.compress.recurrent import hidden_recurrence, pruners

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class PruneStep:
    """After an iteration, 0 being before all. macs: multiply-accumulates for the example. parameters: trained values.

    macs_left: over those at the start. channels: see ``channels_of``; empty for a module that is no Network.
    """

    iteration: int
    macs: int
    macs_left: float
    parameters: int
    channels: tuple[int, ...] = ()


@dataclass(frozen=True)
class PruneReport:
    """What pruning did. ratio: that was asked for. steps: the first is before, the last after."""

    importance: Importance
    ratio: float
    round_to: int
    steps: tuple[PruneStep, ...]

    def to_json(self) -> dict[str, Any]:
        """Plain values."""
        return asdict(self)


def prune(
    model: nn.Module,
    example: Tensor,
    *,
    ratio: float,
    importance: Importance = "taylor",
    iterations: int = 1,
    batches: Sequence[Batch] = (),
    fine_tune: Callable[[Any, int], None] | None = None,
    round_to: int = 4,
    on_step: Callable[[PruneStep], None] | None = None,
) -> PruneReport:
    """Remove channels in place until ``ratio`` of the multiply-accumulates is gone.

    Left whole: inputs and outputs of the network, channels that pass through a pixel (un)shuffle, where they stand for
    pixels, and those of grouped convolutions and group norms. By Taylor, the channels go first whose loss is smallest
    for the arithmetic they cost; by magnitude, those of least relative norm.

    Args:
        model: a Network, or any module with tensors in and out. example: its input, of a size it takes unpadded.
        ratio: in [0, 1). iterations: equal parts of it, each from new scores and followed by
            ``fine_tune(model, iteration)`` (from 1; the optimiser must be new, since the parameters are).
        batches: (input, target) for Taylor, on the device of the model.
        round_to: layers keep a multiple of so many channels, and at least so many.
        on_step: called after each iteration, fine-tuning included.

    Raises:
        UsageError: impossible arguments, or a ratio that cannot be reached. EdgereconError: the model cannot be
        pruned. DependencyError: torch-pruning is not installed. All of them before the model is changed.
    """
    _check(ratio, importance, iterations, batches, round_to)
    training = model.training
    _try(model.eval(), example, ratio, round_to)
    count = Arithmetic(model, example)
    before = count.total()
    steps = [_state(model, 0, count, before)]
    for iteration in range(1, iterations + 1):
        budget = before * (1 - ratio * iteration / iterations)
        _reduce(model.eval(), example, count, budget, before, importance, batches, round_to)
        if fine_tune:
            fine_tune(model, iteration)
        steps.append(_state(model, iteration, count, before))
        _log.info("pruning step %d of %d: %.0f %% of the MACs left", iteration, iterations, 100 * steps[-1].macs_left)
        if on_step:
            on_step(steps[-1])
    model.train(training)
    return PruneReport(importance, ratio, round_to, tuple(steps))


def channels_of(model: nn.Module) -> tuple[int, ...]:
    """Channels of each layer, which a checkpoint must state beside the weights of a pruned network.

    Returns:
        What ``new_model`` and ``build_model`` take as ``channels``; empty for a module without them.
    """
    return tuple(getattr(model, "channels", ()))


def _check(ratio: float, importance: str, iterations: int, batches: Sequence[Batch], round_to: int) -> None:
    if not 0 <= ratio < 1 or iterations < 1 or round_to < 1:
        raise UsageError(
            f"pruning: give a ratio in [0, 1), at least one iteration and round_to from 1 on, "
            f"not {ratio:g}, {iterations} and {round_to}"
        )
    if importance not in ("magnitude", "taylor"):
        raise UsageError(f"pruning: importance is 'magnitude' or 'taylor', not '{importance}'")
    if importance == "taylor" and not batches:
        raise UsageError("pruning by Taylor needs batches of inputs and targets: give some, or take magnitude")


def _state(model: nn.Module, iteration: int, count: Arithmetic, before: int) -> PruneStep:
    parameters = sum(parameter.numel() for parameter in model.parameters())
    return PruneStep(iteration, count.total(), count.total() / before, parameters, channels_of(model))


def _reduce(
    model: nn.Module,
    example: Tensor,
    count: Arithmetic,
    budget: float,
    before: int,
    importance: Importance,
    batches: Sequence[Batch],
    round_to: int,
) -> None:
    """One iteration: score all channels, then take the cheapest block of channels away until the budget is met."""
    graph = _graph(model, example)
    groups = [group for group in _groups(graph, model) if not _is_fixed(group)]
    by_taylor = importance == "taylor"
    scores = scoring.taylor(groups, model, batches) if by_taylor else scoring.magnitude(groups)
    costs = [count.saved(group) if by_taylor else 1.0 for group in groups]
    while count.total() > budget:
        candidates = []
        for index, score in enumerate(scores):
            if block := _block(len(score), round_to):
                least = score.topk(block, largest=False)
                candidates.append((float(least.values.mean()) / max(costs[index], 1e-12), index, least.indices))
        if not candidates:
            left = 100 * count.total() / before
            raise UsageError(
                f"pruning stops at {left:.0f} % of the multiply-accumulates, where every layer that can lose channels "
                f"has {round_to} left, and cannot reach {100 * budget / before:.0f} %: lower prune.ratio or round_to"
            )
        _, index, chosen = min(candidates, key=lambda candidate: candidate[:2])
        removed = _remove(graph, groups[index], chosen.tolist())
        keep = [channel for channel in range(len(scores[index])) if channel not in removed]
        scores[index] = scores[index][keep]


def _block(channels: int, round_to: int) -> int:
    """How many channels go at once; 0: none may. One channel alone is never left: it would no longer be depthwise."""
    block = channels % round_to or round_to
    return block if channels - block >= max(round_to, 2) else 0


def _remove(graph: Any, group: Group, channels: list[int]) -> set[int]:
    """Prune channels of the group's root and all that depends on them; returns what the root lost."""
    root = group[0].dep
    found = graph.get_pruning_group(root.target.module, root.handler, channels)
    removed = set(found[0].idxs)
    found.prune(record_history=False)
    return removed


def _graph(model: nn.Module, example: Tensor) -> Any:
    with needed("train", "torch-pruning"):
        import torch_pruning
    model.requires_grad_(True)
    with torch.enable_grad(), hidden_recurrence(model):
        return torch_pruning.DependencyGraph().build_dependency(
            model, example, customized_pruners=pruners(model), verbose=False
        )


def _groups(graph: Any, model: nn.Module) -> Iterator[Group]:
    """Each set of channels that go together, as the full group of the first layer that puts them out.

    torch-pruning's own list starts at depthwise convolutions too, where the two sides of a skip connection are one.
    """
    roots = (nn.modules.conv._ConvNd, nn.Linear, *pruners(model))
    seen: set[nn.Module] = set()
    for module in list(graph.module2node):
        if module in seen or not isinstance(module, roots) or is_depthwise(module):
            continue
        pruner = graph.get_pruner_of_module(module)
        if (channels := pruner.get_out_channels(module)) is not None:
            group = graph.get_pruning_group(module, pruner.prune_out_channels, list(range(channels)))
            seen.update(item.dep.target.module for item in group if not cuts_inputs(item.dep))
            yield group


def _is_fixed(group: Group) -> bool:
    """Whether a group reaches an output of the network or something whose channels are not free."""
    for item in group:
        node, module = item.dep.target, item.dep.target.module
        if not node.outputs and not cuts_inputs(item.dep):
            return True
        if "PixelShuffle" in str(module) or "PixelUnshuffle" in str(module) or isinstance(module, nn.GroupNorm):
            return True
        if isinstance(module, nn.modules.conv._ConvNd) and module.groups > 1 and not is_depthwise(module):
            return True
    return False


def _try(model: nn.Module, example: Tensor, ratio: float, round_to: int) -> None:
    """Prune a copy in one go: hours of fine-tuning must not end in a ratio that was out of reach from the start."""
    trial = copy.deepcopy(model)
    count = Arithmetic(trial, example)
    shape = _shape(trial, example)
    _reduce(trial, example, count, count.total() * (1 - ratio), count.total(), "magnitude", (), round_to)
    name = type(model).__name__
    try:
        found = _shape(trial, example)
    except RuntimeError as error:
        raise EdgereconError(f"{name} cannot be pruned: {str(error).splitlines()[0]}") from None
    if found != shape:
        raise EdgereconError(f"{name} cannot be pruned: its output of {shape} would become {found}")


@torch.no_grad()
def _shape(model: nn.Module, example: Tensor) -> tuple[int, ...]:
    """Of the first output; states, which may follow it, lose channels."""
    output = model(example)
    return tuple((output[0] if isinstance(output, tuple) else output).shape)
