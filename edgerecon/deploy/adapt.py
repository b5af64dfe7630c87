"""Adapts a shipped model to one's own scanner and ships it only where it is better: what ``edgerecon adapt`` does."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import closing
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path

import numpy as np

from edgerecon.core.errors import DataError, GateError, UsageError
from edgerecon.core.files import write
from edgerecon.core.frame import Image, to_unit
from edgerecon.core.shipped import resource_dir
from edgerecon.deploy.export.measure import picture
from edgerecon.deploy.export.network_file import NOT_STATED, check_graph, network_graph
from edgerecon.deploy.export.parity import max_abs_error
from edgerecon.engines import open_engine
from edgerecon.modelfile.catalogue import model_path, shipped_models
from edgerecon.modelfile.file import read_model
from edgerecon.quality.measures.measure import picture_violations
from edgerecon.workshop.adapt.recordings import Material, read_recordings
from edgerecon.workshop.adapt.tune import COUNT, MATCHED, prepare, tune
from edgerecon.workshop.data.datasets import load_pairs, split_by_scene
from edgerecon.workshop.recipe import Recipe, load_recipe
from edgerecon.workshop.train.checkpoint import load_model

MEASURES = ("structure", "speckle_left", "brightness_moved", "spill")
_WORSE = {"structure": 0.03, "speckle_left": 0.02, "brightness_moved": 0.3, "spill": 0.3}
"""By how much a measure may get worse: about what it differs by from one half of the recordings to the other."""
_VALIDATION = 0.15


@dataclass(frozen=True)
class Verdict:
    """What the shipped and the adapted model do.

    Attributes:
        psnr_db: (shipped, adapted) on matched displays that neither was trained on, without matching gain or offset.
        picture: key of a measure → (shipped, adapted) on frames of the recordings that were not learned from.
        refusals: one line for each reason not to ship.
    """

    psnr_db: tuple[float, float]
    picture: dict[str, tuple[float, float]]
    refusals: tuple[str, ...]

    def to_json(self) -> dict[str, object]:
        """Plain values."""
        return asdict(self)


def adapt(
    recordings: Sequence[str],
    model: str,
    out: Path,
    folder: Path,
    *,
    minutes: float = 15.0,
    resume: bool = False,
    displays: int = COUNT,
    on_progress: Callable[[str, int, int], None] = lambda what, done, total: None,
) -> Verdict:
    """Fine-tune a shipped model on simulated displays that look like the recordings, and write it where it is better.

    Args:
        recordings: of one scanner; files or folders. model: a shipped fp32 model of pictures. out: ONNX file to write.
        folder: for displays and checkpoints, to go on from with ``resume``. minutes: of training.

    Raises:
        UsageError: a model without a recipe that ships. DataError: see ``read_recordings``. GateError: the adapted
        model is worse, or does not pass a gate of its recipe; nothing is written.
        KeyboardInterrupt: after the state was written to ``folder``.
    """
    recipe, material = _recipe(model), read_recordings(recordings)
    simulating = partial(on_progress, "Simulating displays")
    prepare(recipe, read_model(model_path(model)), material.looks, folder, displays, simulating)
    best = tune(recipe, folder, minutes, resume, lambda one: on_progress("Learning from them", one.step, one.steps))
    on_progress("Judging", 0, 1)
    adapted = folder / f"{recipe.model.name}-adapted.onnx"
    write_onnx(recipe, best, adapted)
    verdict = compare_with_shipped(recipe, model, adapted, material, folder)
    if verdict.refusals:
        raise GateError(f"nothing shipped: {verdict.refusals[0]}; the model that ships stays the better one here")
    write(out, adapted.read_bytes())
    return verdict


def _recipe(model: str) -> Recipe:
    recipes = {name: resource_dir("export") / f"{name}.toml" for name in shipped_models()}
    found = {name: load_recipe(path) for name, path in recipes.items() if path.exists()}
    known = [name for name, recipe in found.items() if recipe.model.task == "despeckle"]  # which displays teach
    if model not in known:
        raise UsageError(f"'{model}' cannot be adapted: give one of {', '.join(known)}")
    return found[model]


def write_onnx(recipe: Recipe, checkpoint: Path, out: Path) -> None:
    """Write a checkpoint of the recipe's network as an fp32 file, behind the parity gate."""
    network = load_model(recipe, checkpoint)
    name = f"{recipe.model.name}-adapted"
    licence = recipe.model.licence or NOT_STATED
    facts = {"name": name, "task": recipe.model.task, "recipe_hash": recipe.sha256(), "licence": licence}
    graph = network_graph(network, facts)
    check_graph(graph)
    content = graph.SerializeToString(deterministic=True)
    error = max_abs_error(content, network)
    if not error <= recipe.gates.max_abs_error:
        raise GateError(f"ONNX Runtime and torch differ by {error:.2g}, allowed is {recipe.gates.max_abs_error:.2g}")
    write(out, content)


def compare_with_shipped(recipe: Recipe, shipped: str, adapted: Path, material: Material, folder: Path) -> Verdict:
    """Compare a model with the shipped one it comes from."""
    held_out = split_by_scene(load_pairs(folder / MATCHED, ("shown", "expected")), _VALIDATION)[1]
    psnr, figures = [], []
    for file in (shipped, adapted):
        with closing(open_engine(file, "onnxruntime")) as engine:
            psnr.append(_psnr_db(engine.run, held_out.fields["shown"], held_out.fields["expected"]))
            figures.append(picture(engine.run, material.frames, MEASURES))
    found = {key: (figures[0][key], figures[1][key]) for key in MEASURES}
    refusals = [] if psnr[1] > psnr[0] else [f"{psnr[1]:.2f} dB on displays like these, {psnr[0]:.2f} before"]
    refusals += [line for key, pair in found.items() if (line := _worse(key, *pair))]
    limits = {key: limit for key, limit in recipe.gates.picture.items() if key in MEASURES}
    measured = {key: value for key, value in figures[1].items() if value == value}
    refusals += picture_violations(measured, {key: limit for key, limit in limits.items() if key in measured})
    return Verdict((psnr[0], psnr[1]), found, tuple(refusals))


def _worse(key: str, before: float, after: float) -> str:
    """Why a measure speaks against shipping; empty when it does not, or cannot be told."""
    distance = (lambda value: abs(value - 1)) if key == "structure" else (lambda value: value)
    if distance(after) > distance(before) + _WORSE[key]:
        return f"{key.replace('_', ' ')} is {after:.3g} on these recordings, {before:.3g} before"
    return ""


def _psnr_db(run: Callable[[Image], Image], shown: np.ndarray, expected: np.ndarray) -> float:
    if not len(shown):
        raise DataError("there are no displays to judge by: draw more")
    errors = [np.mean((run(to_unit(a)) - to_unit(b)) ** 2) for a, b in zip(shown, expected, strict=True)]
    return float(np.mean([-10 * np.log10(max(float(error), 1e-12)) for error in errors]))
