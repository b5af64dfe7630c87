"""The [prune] step of a recipe: a trained checkpoint in, a pruned and fine-tuned one out."""

from __future__ import annotations

import copy
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch

from edgerecon.core.errors import EdgereconError
from edgerecon.workshop.compress.prune import PruneReport, PruneStep, channels_of, prune
from edgerecon.workshop.data.datasets import training_data
from edgerecon.workshop.models.network import Network
from edgerecon.workshop.recipe import Recipe
from edgerecon.workshop.train.checkpoint import load_checkpoint, load_model, save_checkpoint
from edgerecon.workshop.train.distill import fine_tune
from edgerecon.workshop.train.loop import Progress
from edgerecon.workshop.train.validate import validate

TAYLOR_BATCHES = 16
"""Batches of training crops over which Taylor scores are averaged."""


def prune_recipe(
    recipe: Recipe,
    checkpoint: Path,
    out: Path,
    *,
    data: Path | None = None,
    on_prune: Callable[[PruneStep], None] | None = None,
    on_step: Callable[[Progress], None] | None = None,
) -> PruneReport:
    """Prune the recipe's network as its [prune] table says, and write the result as a checkpoint.

    The checkpoint has what ``best.pt`` has, and besides "channels" (of each layer) and "pruning" (the report). Its
    quality is that on the recipe's validation scenes.

    Args:
        checkpoint: of the whole network, which is also the teacher. out: the file to write.
        data: HDF5 pairs; default: the recipe's file. on_prune: after each iteration. on_step: after each optimiser
            step; its counts go over all iterations.

    Raises:
        DataError: see ``load_model`` and ``load_pairs``. UsageError, DependencyError: see ``prune``. EdgereconError:
        fine-tuning diverged, or the file cannot be written.
    """
    table = recipe.prune
    teacher = load_model(recipe, checkpoint)
    _make_folder(out)
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    teacher.to(device).requires_grad_(False)
    sampler, held_out = training_data(recipe, recipe.train, data)
    batches = [
        tuple(torch.from_numpy(part).to(device) for part in sampler.draw())
        for _ in range(TAYLOR_BATCHES if table.importance == "taylor" else 0)
    ]
    model = copy.deepcopy(teacher)
    steps = math.ceil(table.steps / table.iterations)

    def tune(network: Network, iteration: int) -> None:
        def shown(progress: Progress) -> None:
            if on_step:
                done = (iteration - 1) * steps + progress.step
                on_step(
                    Progress(
                        done, steps * table.iterations, progress.loss, math.nan, math.nan, progress.images_per_second
                    )
                )

        fine_tune(recipe, network, teacher, sampler, steps=steps, alpha=table.distill, on_step=shown)

    side = 8 * model.size_multiple
    report = prune(
        model,
        torch.zeros(1, 1, side, side, device=device),
        ratio=table.ratio,
        importance=table.importance,
        iterations=table.iterations,
        batches=batches,  # type: ignore[arg-type]
        fine_tune=tune,
        on_step=on_prune,
    )
    psnr, ssim = validate(model, held_out, recipe.data.inputs, recipe.data.target, device)
    _save(out, recipe, load_checkpoint(checkpoint), model, report, psnr, ssim)
    return report


def _make_folder(out: Path) -> None:
    """Before the work, which takes hours."""
    try:
        out.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise EdgereconError(f"cannot write {out}: {error.strerror or error}") from None


def _save(
    out: Path, recipe: Recipe, whole: dict[str, Any], model: Network, report: PruneReport, psnr: float, ssim: float
) -> None:
    try:
        save_checkpoint(
            out,
            {
                "model": {name: value.detach().cpu().clone() for name, value in model.state_dict().items()},
                "channels": list(channels_of(model)),
                "pruning": report.to_json(),
                "step": int(whole.get("step", 0)),
                "psnr_db": psnr,
                "ssim": ssim,
                "recipe_hash": recipe.sha256(),
            },
        )
    except OSError as error:
        raise EdgereconError(f"cannot write {out}: {error.strerror or error}") from None
