"""Recipe and checkpoint → one ONNX file with its metadata, behind the parity gate."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from edgerecon.deploy.card import Figure, model_card
from edgerecon.deploy.network_file import OPSET, check_graph, network_graph
from edgerecon.deploy.parity import max_abs_error
from edgerecon.deploy.steps import digest
from edgerecon.errors import EdgereconError, GateError
from edgerecon.models.network import Network
from edgerecon.recipe import Recipe
from edgerecon.train.checkpoint import load_checkpoint, load_model
from edgerecon.whole_file import write

SUMS = "SHA256SUMS"
SUMMED = (".onnx", ".pt", ".npz")


@dataclass(frozen=True)
class ExportResult:
    """What was written. max_abs_error: ONNX Runtime against torch, grey levels in [0, 1]."""

    model: Path
    card: Path
    size_kb: float
    sha256: str
    max_abs_error: float


def export(
    recipe: Recipe,
    checkpoint: Path,
    out_path: Path,
    *,
    recipe_name: str | None = None,
    figures: Sequence[Figure] = (),
) -> ExportResult:
    """Write ``out_path`` (ONNX), its model card beside it (.md) and the folder's SHA256SUMS.

    The bytes depend on recipe, weights and package versions alone. Nothing is written unless every gate is passed.

    Args:
        checkpoint: best.pt of a training run. recipe_name: how the card's commands call the recipe.
        figures: measured after training, for the card and for the file's quality record.

    Raises:
        DataError: see ``load_model``. GateError: the file differs from torch by more than the recipe allows, or is
        not valid ONNX. EdgereconError: the folder cannot be written.
    """
    model = load_model(recipe, checkpoint)
    state = load_checkpoint(checkpoint)
    recipe_name = recipe_name or f"export/{recipe.model.name}.toml"
    trained = _figures_of_training(state, recipe_name)
    measured = {figure.key for figure in figures}  # what was measured on the file stands for what training said
    figures = (*(figure for figure in trained if figure.key not in measured), *figures)
    graph = to_onnx(model, recipe, {figure.key: figure.value for figure in figures})
    content = graph.SerializeToString(deterministic=True)
    check_graph(graph)
    error = max_abs_error(content, model)
    limit = recipe.gates.max_abs_error
    if not error <= limit:
        raise GateError(f"{recipe.model.name}: ONNX Runtime and torch differ by {error:.2g}, allowed is {limit:.2g}")
    card = model_card(recipe, recipe_name, figures, {
        "parameters": model.count_parameters(),
        "macs_per_pixel": model.macs_per_pixel(),
        "receptive_field": model.receptive_field,
        "size_kb": len(content) / 1000,
        "max_abs_error": error,
        "opset": OPSET,
        "trained_steps": state.get("step", 0),
    })  # fmt: skip
    card_path = out_path.with_suffix(".md")
    try:
        out_path.parent.mkdir(parents=True, exist_ok=True)
    except OSError as fault:
        raise EdgereconError(f"cannot write {out_path}: {fault.strerror or fault}") from None
    write(out_path, content)
    write(card_path, card.encode())
    write_sums(out_path.parent)
    return ExportResult(out_path, card_path, len(content) / 1000, digest(content), error)


def to_onnx(model: Network, recipe: Recipe, quality: dict[str, float]) -> Any:
    """The model's core as an ``onnx.ModelProto`` with dynamic batch, height and width, and our metadata."""
    return network_graph(model, {
        "name": recipe.model.name,
        "task": recipe.model.task,
        "recipe_hash": recipe.sha256(),
        "quality": json.dumps(quality, sort_keys=True),
        "licence": recipe.model.licence,
    })  # fmt: skip


def _figures_of_training(state: dict[str, Any], recipe_name: str) -> tuple[Figure, ...]:
    command = f"edgerecon train {recipe_name}"
    labels = {"psnr_db": "PSNR after gain and offset, validation scenes (dB)", "ssim": "SSIM, validation scenes"}
    return tuple(
        Figure(f"validation_{key}", label, round(float(state[key]), 4), command)
        for key, label in labels.items()
        if key in state
    )


def write_sums(folder: Path) -> None:
    """Every model, checkpoint and set of scenes of the folder, in the format that ``sha256sum --check`` reads."""
    files = sorted(path for path in folder.iterdir() if path.suffix in SUMMED)
    write(folder / SUMS, "".join(f"{digest(path.read_bytes())}  {path.name}\n" for path in files).encode())
