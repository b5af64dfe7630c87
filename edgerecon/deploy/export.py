"""Recipe and checkpoint → one ONNX file with its metadata, behind the parity gate."""

from __future__ import annotations

import json
import logging
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from edgerecon import __version__
from edgerecon.deploy.card import Figure, model_card
from edgerecon.deploy.parity import max_abs_error
from edgerecon.deploy.steps import digest, write
from edgerecon.engines.model_file import FORMAT_VERSION, PREFIX
from edgerecon.errors import DependencyError, EdgereconError, GateError
from edgerecon.models.network import Network
from edgerecon.recipe import Recipe
from edgerecon.train.checkpoint import load_checkpoint, load_model

OPSET = 18
"""The lowest that the dynamo exporter writes, for the older parsers of Jetson's TensorRT; with it goes IR version 8."""
IR_VERSION = 8
NOTICE = "For research and engineering. Not a medical device; not for clinical use."
SUMS = "SHA256SUMS"


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
    _check(graph)
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
    try:
        import onnx
        import onnxscript
    except ImportError as error:
        raise DependencyError(str(error.name), "train") from None

    def space_to_depth(x: Any, factor: int) -> Any:
        # For one channel this is pixel-unshuffle exactly; the exporter's own way takes fifteen shape operators.
        return onnxscript.opset18.SpaceToDepth(x, blocksize=factor)

    multiple = model.size_multiple
    size = {2: multiple * torch.export.Dim("h", min=1), 3: multiple * torch.export.Dim("w", min=1)}
    example = torch.zeros(2, 1, 16 * multiple, 24 * multiple)
    with _quiet():
        program = torch.onnx.export(
            _Core(model).eval(),
            (example,),
            dynamo=True,
            opset_version=OPSET,
            input_names=["frame"],
            output_names=["reconstruction"],
            dynamic_shapes={"frame": {0: torch.export.Dim("n", min=1), **size}},
            custom_translation_table={torch.ops.aten.pixel_unshuffle.default: space_to_depth},
            verbose=False,
        )
    assert program is not None
    graph = onnx.ModelProto()
    graph.CopyFrom(program.model_proto)
    _strip(graph, recipe.model.name)
    metadata = _metadata(model, recipe, quality)
    onnx.helper.set_model_props(graph, {PREFIX + key: value for key, value in metadata.items()})
    return graph


class _Core(nn.Module):
    def __init__(self, model: Network) -> None:
        super().__init__()
        self.model = model

    def forward(self, frame: Tensor) -> Tensor:
        return self.model.core(frame)


def _metadata(model: Network, recipe: Recipe, quality: dict[str, float]) -> dict[str, str]:
    return {
        "format": str(FORMAT_VERSION),
        "name": recipe.model.name,
        "task": recipe.model.task,
        "input_range": "[0, 1]",
        "scale": str(model.scale),
        "size_multiple": str(model.size_multiple),
        "state": "[]",
        "precision": "fp32",
        "recipe_hash": recipe.sha256(),
        "receptive_field": str(model.receptive_field),
        "macs_per_pixel": f"{model.macs_per_pixel():g}",
        "quality": json.dumps(quality, sort_keys=True),
        "licence": recipe.model.licence,
        "notice": NOTICE,
    }


def _strip(graph: Any, name: str) -> None:
    """Drop source paths, stack traces and inferred shapes: bytes that no runtime reads and that vary by machine."""
    graph.ir_version = IR_VERSION
    graph.producer_name, graph.producer_version = "edgerecon", __version__
    graph.doc_string = ""
    del graph.metadata_props[:]
    body = graph.graph
    body.name, body.doc_string = name, ""
    del body.metadata_props[:], body.value_info[:], body.quantization_annotation[:]
    for part in (*body.node, *body.initializer, *body.input, *body.output):
        part.doc_string = ""
        del part.metadata_props[:]
    for value in (*body.input, *body.output):
        for axis, label in ((0, "N"), (2, "H"), (3, "W")):
            value.type.tensor_type.shape.dim[axis].dim_param = label


def _check(graph: Any) -> None:
    import onnx

    try:
        onnx.checker.check_model(graph, full_check=True)
    except (onnx.checker.ValidationError, onnx.shape_inference.InferenceError) as error:
        raise GateError(f"the exported graph is not valid ONNX: {str(error).splitlines()[0]}") from None
    if any(node.op_type == "Pad" for node in graph.graph.node):
        raise GateError("the exported graph holds a Pad: padding is the engine's work, move it out of core()")


def _figures_of_training(state: dict[str, Any], recipe_name: str) -> tuple[Figure, ...]:
    command = f"edgerecon train {recipe_name}"
    labels = {"psnr_db": "PSNR after gain and offset, validation scenes (dB)", "ssim": "SSIM, validation scenes"}
    return tuple(
        Figure(f"validation_{key}", label, round(float(state[key]), 4), command)
        for key, label in labels.items()
        if key in state
    )


def write_sums(folder: Path) -> None:
    """Every model and checkpoint of the folder, in the format that ``sha256sum --check`` reads."""
    files = sorted(path for path in folder.iterdir() if path.suffix in (".onnx", ".pt"))
    write(folder / SUMS, "".join(f"{digest(path.read_bytes())}  {path.name}\n" for path in files).encode())


@contextmanager
def _quiet() -> Iterator[None]:
    """Keep the exporter's notes about itself from the user."""
    loggers = [logging.getLogger(name) for name in ("torch.onnx", "onnxscript", "onnx_ir")]
    levels = [logger.level for logger in loggers]
    for logger in loggers:
        logger.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        for logger, level in zip(loggers, levels, strict=True):
            logger.setLevel(level)
