"""Goes on training a shipped network on matched displays, for a number of minutes, resumably."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch

from edgerecon.core.errors import DataError, ModelError
from edgerecon.modelfile.file import ModelFile
from edgerecon.modelfile.graph import read_graph
from edgerecon.workshop.adapt.matched import write_matched
from edgerecon.workshop.data.simulate import simulate
from edgerecon.workshop.recipe import Recipe
from edgerecon.workshop.recipe_tables import MixedTable
from edgerecon.workshop.train.checkpoint import new_model, save_checkpoint
from edgerecon.workshop.train.loop import Progress, train

DISPLAYS, MATCHED, START, PLAN = "displays.h5", "matched.h5", "start.pt", "plan.json"
COUNT = 1500
"""Displays that are drawn; a fifth is kept."""
_OTHERS = 0.3
"""Part of the crops that comes from all displays, so that what the network knows is not forgotten."""
_RATE = 6e-4
_TRAINING = 0.8
"""Share of the time after the displays are there in which the network learns; the rest validates and judges."""


def read_weights(file: ModelFile, recipe: Recipe) -> dict[str, torch.Tensor]:
    """The weights of an fp32 file that ``edgerecon export`` wrote, as a checkpoint has them.

    Raises:
        ModelError: it holds other weights than the recipe's network has.
    """
    constants = read_graph(file)[1]
    wanted = new_model(recipe).state_dict()
    found = {name: constants.get(f"model.{name}") for name in wanted}
    absent = [name for name, value in found.items() if value is None or value.shape != wanted[name].shape]
    if absent:
        raise ModelError(f"{file.path} lacks the weights of its recipe's network ({absent[0]}): export it again")
    return {name: torch.from_numpy(np.array(value)) for name, value in found.items()}


def prepare(
    recipe: Recipe, file: ModelFile, looks: Any, folder: Path, count: int, on_sample: Callable[[int, int], None] | None
) -> float:
    """Put displays, matched displays and starting weights into a folder. Returns how well they match.

    Args:
        count: of displays; 0: they are there.
    """
    folder.mkdir(parents=True, exist_ok=True)
    if count:
        simulate(folder / DISPLAYS, count, seed=1, on_sample=on_sample, kind="display")
    nearer = write_matched(folder / DISPLAYS, looks, folder / MATCHED)
    save_checkpoint(folder / START, {"model": read_weights(file, recipe)})
    return nearer


def adapted_recipe(recipe: Recipe, folder: Path, steps: int) -> Recipe:
    """The recipe, on matched displays, from the shipped weights on."""
    data = recipe.data.model_copy(
        update={
            "simulate": f"edgerecon simulate {folder / DISPLAYS} --kind display --samples {COUNT} --seed 1",
            "file": folder / MATCHED,
            "inputs": ("shown",),
            "target": "expected",
            "validation": 0.15,
            "mixed": (
                MixedTable(simulate="", file=folder / DISPLAYS, inputs=("shown",), target="expected", weight=_OTHERS),
            ),
        }
    )
    table = recipe.train.model_copy(
        update={
            "steps": steps,
            "learning_rate": _RATE,
            "warmup": min(50, steps),
            "ema": 0.99,
            "validate_every": max(1, steps // 10),
            "start": None,
        }
    )
    return recipe.model_copy(update={"data": data, "train": table})


def tune(
    recipe: Recipe, folder: Path, minutes: float, resume: bool, on_step: Callable[[Progress], None] | None = None
) -> Path:
    """Train for so many minutes; an interrupted training is as long as it was planned. Returns the best checkpoint.

    Raises:
        DataError: there is nothing to resume. KeyboardInterrupt: after the state was written.
    """
    plan = folder / PLAN
    if resume:
        if not plan.exists():
            raise DataError(f"{folder} holds no adaptation to go on with: leave --resume out")
        steps = int(json.loads(plan.read_text())["steps"])
    else:
        steps = _steps(recipe, minutes)
        plan.write_text(json.dumps({"steps": steps}) + "\n")
    made = adapted_recipe(recipe, folder, steps)
    return train(made, run_dir=folder, resume=resume, weights=folder / START, on_step=on_step, accelerator="cpu")


def _steps(recipe: Recipe, minutes: float) -> int:
    """As many as fit, by the time that a few take here."""
    model = new_model(recipe)
    crop = torch.rand(recipe.train.batch, 1, recipe.train.crop, recipe.train.crop)
    began, tried = 0.0, 8
    for step in range(tried + 2):
        if step == 2:
            began = time.perf_counter()
        model(crop).abs().mean().backward()
    each = (time.perf_counter() - began) / tried * 1.3  # the loss and the optimiser
    return max(10, int(_TRAINING * 60 * minutes / each))
