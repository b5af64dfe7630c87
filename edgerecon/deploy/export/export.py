"""Recipe and checkpoint → one ONNX file with its metadata, behind the parity gate."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from edgerecon.core import checksums
from edgerecon.core.checksums import SUMS, sha256
from edgerecon.core.errors import EdgereconError, GateError
from edgerecon.core.files import write
from edgerecon.deploy.export.card import Figure, model_card
from edgerecon.deploy.export.network_file import NOT_STATED, OPSET, check_graph, network_graph
from edgerecon.deploy.export.parity import max_abs_error
from edgerecon.modelfile.file import PREFIX
from edgerecon.workshop.models.network import Network
from edgerecon.workshop.recipe import Recipe
from edgerecon.workshop.train.checkpoint import load_checkpoint, load_model

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
    return trace(recipe, checkpoint, recipe_name).write(out_path, figures)


@dataclass(frozen=True)
class Traced:
    """A checkpoint's network as ONNX, behind the parity gate; only its figures are still to come.

    Attributes:
        graph: an ``onnx.ModelProto``. recipe_name: how the card's commands call the recipe.
        state: of the checkpoint, with the figures of its training run.
        max_abs_error: ONNX Runtime against torch, grey levels in [0, 1].
    """

    recipe: Recipe
    recipe_name: str
    model: Network
    graph: Any
    state: dict[str, Any]
    max_abs_error: float

    def write(self, out_path: Path, figures: Sequence[Figure] = ()) -> ExportResult:
        """Write the file with the figures in its quality record, its card beside it, and the folder's SHA256SUMS.

        Raises:
            EdgereconError: the folder cannot be written.
        """
        trained = _figures_of_training(self.state, self.recipe_name)
        measured = {figure.key for figure in figures}  # what was measured on the file stands for what training said
        figures = (*(figure for figure in trained if figure.key not in measured), *figures)
        _set_quality(self.graph, {figure.key: figure.value for figure in figures})
        content = self.graph.SerializeToString(deterministic=True)
        card = model_card(
            self.recipe,
            self.recipe_name,
            figures,
            {
                "parameters": self.model.count_parameters(),
                "macs_per_pixel": self.model.macs_per_pixel(),
                "receptive_field": self.model.receptive_field,
                "size_kb": len(content) / 1000,
                "max_abs_error": self.max_abs_error,
                "opset": OPSET,
                "trained_steps": self.state.get("step", 0),
            },
        )
        card_path = out_path.with_suffix(".md")
        try:
            out_path.parent.mkdir(parents=True, exist_ok=True)
        except OSError as fault:
            raise EdgereconError(f"cannot write {out_path}: {fault.strerror or fault}") from None
        write(out_path, content)
        write(card_path, card.encode())
        write_sums(out_path.parent)
        return ExportResult(out_path, card_path, len(content) / 1000, sha256(content), self.max_abs_error)


def trace(recipe: Recipe, checkpoint: Path, recipe_name: str | None = None) -> Traced:
    """The network of a checkpoint as ONNX, compared with torch; nothing is written.

    Raises:
        DataError: see ``load_model``. GateError: the file differs from torch by more than the recipe allows, or is
        not valid ONNX.
    """
    model = load_model(recipe, checkpoint)
    graph = to_onnx(model, recipe, {})
    check_graph(graph)
    error = max_abs_error(graph.SerializeToString(deterministic=True), model)
    limit = recipe.gates.max_abs_error
    if not error <= limit:
        raise GateError(f"{recipe.model.name}: ONNX Runtime and torch differ by {error:.2g}, allowed is {limit:.2g}")
    name = recipe_name or f"export/{recipe.model.name}.toml"
    return Traced(recipe, name, model, graph, load_checkpoint(checkpoint), error)


def to_onnx(model: Network, recipe: Recipe, quality: dict[str, float]) -> Any:
    """The model's core as an ``onnx.ModelProto`` with dynamic batch, height and width, and our metadata."""
    return network_graph(
        model,
        {
            "name": recipe.model.name,
            "task": recipe.model.task,
            "recipe_hash": recipe.sha256(),
            "quality": _quality(quality),
            "licence": recipe.model.licence or NOT_STATED,
        },
    )


def _set_quality(graph: Any, quality: dict[str, float]) -> None:
    next(entry for entry in graph.metadata_props if entry.key == f"{PREFIX}quality").value = _quality(quality)


def _quality(quality: dict[str, float]) -> str:
    return json.dumps(quality, sort_keys=True)


def _figures_of_training(state: dict[str, Any], recipe_name: str) -> tuple[Figure, ...]:
    command = f"edgerecon train {recipe_name}"
    labels = {"psnr_db": "PSNR, validation scenes (dB)", "ssim": "SSIM, validation scenes"}
    return tuple(
        Figure(f"validation_{key}", label, round(float(state[key]), 4), command)
        for key, label in labels.items()
        if key in state
    )


def write_sums(folder: Path) -> None:
    """Every model, checkpoint and set of scenes of the folder, in the format that ``sha256sum --check`` reads."""
    files = {path.name: path.read_bytes() for path in folder.iterdir() if path.suffix in SUMMED}
    write(folder / SUMS, checksums.write_sums(files))
