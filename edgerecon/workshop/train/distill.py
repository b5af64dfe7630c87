"""Fine-tuning of a pruned network under the eyes of the whole one."""

from __future__ import annotations

import copy
import math
import time
from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor, nn

from edgerecon.core.errors import EdgereconError, UsageError
from edgerecon.workshop.data.datasets import CropSampler
from edgerecon.workshop.recipe import Recipe
from edgerecon.workshop.recipe_tables import LossTable
from edgerecon.workshop.train.loop import Progress, schedule
from edgerecon.workshop.train.losses import LEAST_ERROR, ReconstructionLoss

GENTLER = 0.5
"""Factor on the recipe's learning rate: what is left of the network is trained already."""


class DistillationLoss(nn.Module):
    """``(1 − α)·task(a, b, x) + α·l1·mean(|a − t| / e)`` on N×1×H×W in [0, 1].

    a is the output, b the target, x the input and t the teacher's output; task and e = mean|x − b| of each crop are
    those of ``ReconstructionLoss``. Knowledge distillation (Hinton et al., arXiv:1503.02531, 2015) for regression: in
    place of softened classes the teacher's image, which holds no speckle that the student cannot foresee.

    Args:
        weights: of the task's terms; of l1 that of the teacher too, 1 where the task has none.
        alpha: share of the teacher, in [0, 1]. plain: see ``ReconstructionLoss``.
    """

    def __init__(self, weights: LossTable, alpha: float, plain: int = 0) -> None:
        super().__init__()
        if not 0 <= alpha <= 1:
            raise UsageError(f"distillation: its share of the loss is between 0 and 1, not {alpha:g}")
        self.alpha = alpha
        self.weight = weights.l1 or 1.0
        self.task = ReconstructionLoss(weights, plain)

    def forward(self, output: Tensor, target: Tensor, source: Tensor, teacher: Tensor) -> Tensor:
        error = (source - target).abs().mean(dim=(1, 2, 3), keepdim=True).clamp_min(LEAST_ERROR)
        imitation = self.weight * ((output - teacher).abs() / error).mean()
        return (1 - self.alpha) * self.task(output, target, source) + self.alpha * imitation


def fine_tune(
    recipe: Recipe,
    model: nn.Module,
    teacher: nn.Module,
    sampler: CropSampler,
    *,
    steps: int,
    alpha: float,
    on_step: Callable[[Progress], None] | None = None,
) -> None:
    """Train ``model`` in place: AdamW, warm-up and cosine as the recipe says, at ``GENTLER`` times its learning rate.

    The same model, sampler state and thread count give the same weights. At the end the model holds the averaged
    weights (``train.ema``); when interrupted between two steps, those of the last step.

    Args:
        model, teacher: N×1×H×W in [0, 1] → the same, on one device; the teacher is left as it is.
        sampler: where crops come from. steps: of the optimiser. alpha: see ``DistillationLoss``.
        on_step: called after each step, without validation figures.

    Raises:
        UsageError: no steps, or alpha out of range. EdgereconError: the loss became NaN or infinite.
    """
    if steps < 1:
        raise UsageError(f"fine-tuning needs at least one step, not {steps}")
    warmup = min(recipe.train.warmup, steps // 10)
    table = recipe.train.model_copy(update={"steps": steps, "warmup": warmup})
    device = next(model.parameters()).device
    loss_of = DistillationLoss(table.loss, alpha, sampler.plain).to(device)
    optimizer = torch.optim.AdamW(model.parameters(), weight_decay=table.weight_decay)
    average = copy.deepcopy(model).requires_grad_(False)
    teacher.eval()
    model.train().requires_grad_(True)
    start = time.perf_counter()
    for step in range(steps):
        for group in optimizer.param_groups:
            group["lr"] = GENTLER * table.learning_rate * schedule(step, table)
        source, target = (torch.from_numpy(np.asarray(batch)).to(device) for batch in sampler.draw())
        with torch.no_grad():
            shown = teacher(source) if alpha else source
        loss: Tensor = loss_of(model(source), target, source, shown)
        value = float(loss.detach())
        if not math.isfinite(value):
            raise EdgereconError(f"fine-tuning diverged at step {step} (non-finite loss): lower train.learning_rate")
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        nn.utils.clip_grad_norm_(model.parameters(), table.clip)
        optimizer.step()
        decay = min(table.ema, (step + 1) / (step + 11)) if table.ema else 0.0
        torch._foreach_lerp_(list(average.parameters()), [p.data for p in model.parameters()], 1 - decay)
        if on_step:
            rate = (step + 1) * len(source) / (time.perf_counter() - start)
            on_step(Progress(step + 1, steps, value, math.nan, math.nan, rate))
    model.load_state_dict(average.state_dict())
    model.eval()
