"""The models that ship, the networks of the study that do, and the files of one family."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from edgerecon.core.config import read_toml
from edgerecon.core.errors import RecipeError, UsageError
from edgerecon.core.shipped import resource_dir
from edgerecon.modelfile.file import ModelFile, read_model
from edgerecon.modelfile.variants import VARIANTS, Variant, family, sibling, variant, variant_of

STUDY = "study"
"""Folder of export/ whose networks have no recipe and only the one file."""


def shipped_models() -> list[str]:
    """Names of the models in export/, one a file, sorted.

    Examples:
        >>> "compact-despeckle-int8" in shipped_models()
        True
    """
    return sorted(path.stem for path in resource_dir("export").glob("*.onnx"))


def studied_models() -> list[str]:
    """Names of the networks in export/study/: of the published systems, as ``edgerecon study`` trained them."""
    return sorted(path.stem for path in (resource_dir("export") / STUDY).glob("*.onnx"))


def model_table() -> list[dict[str, Any]]:
    """What ships, one row a file, ready for JSON.

    Returns:
        {name, family, variant, task, precision, size_kb, macs_per_pixel, psnr_db, ssim}; the quality is that of the
        file's own record on validation scenes, None where it records none.
    """
    rows = []
    for name in shipped_models():
        file = read_model(model_path(name))
        spec, kind = file.spec, variant_of(file.spec)
        rows.append(
            {
                "name": name,
                "family": family(name),
                "variant": kind.key if kind else spec.precision,
                "task": spec.task,
                "precision": spec.precision,
                "size_kb": len(file.content) / 1000,
                "macs_per_pixel": spec.macs_per_pixel,
                "psnr_db": spec.quality.get("validation_psnr_db"),
                "ssim": spec.quality.get("validation_ssim"),
            }
        )
    return rows


def model_path(model: str | Path) -> Path:
    """File of a shipped name, of a path, or of the model that a recipe (.toml) makes beside itself.

    Raises:
        UsageError: a name that does not ship. RecipeError: the recipe cannot be read, or names no model.
    """
    if str(model).endswith(".toml"):
        return _made_by(Path(model))
    if _is_path(model):
        return Path(model)
    if model in studied_models():
        return resource_dir("export") / STUDY / f"{model}.onnx"
    if model not in shipped_models():
        known = ", ".join((*shipped_models(), *studied_models())) or "none"
        raise UsageError(f"no model '{model}' ships with edgerecon (there is: {known}): give a name or an .onnx file")
    return resource_dir("export") / f"{model}.onnx"


def _made_by(recipe: Path) -> Path:
    _, tables = read_toml(recipe, RecipeError, str(recipe))
    name = tables.get("model", {}).get("name")
    if not isinstance(name, str):
        raise RecipeError(f"{recipe}: [model] has no name")
    return recipe.with_name(f"{name}.onnx")


def _is_path(model: str | Path) -> bool:
    """What is spelt as a path; a bare word is one only where no shipped model has that name."""
    if isinstance(model, Path) or model.endswith(".onnx") or os.sep in model or (os.altsep or os.sep) in model:
        return True
    return model not in (*shipped_models(), *studied_models()) and os.path.exists(model)


def open_file(model: str | Path | ModelFile) -> ModelFile:
    """The file of a shipped name, a path or a recipe, read and checked; one that has been read stands for itself.

    Raises:
        UsageError, RecipeError: see ``model_path``. ModelError: see ``read_model``.
    """
    return model if isinstance(model, ModelFile) else read_model(model_path(model))


def find_file(
    model: str | Path | ModelFile, runs: Sequence[str] | None = None, precision: str | None = None
) -> ModelFile:
    """The file of the model that has the precision, or the only one that a runtime takes. A file that has been read
    stands for itself; a path without a precision does, too.

    Args:
        runs: keys of the variants that the runtime takes, the preferred first; None: any runtime's.
        precision: None: that of the file. "bf16" is the bf16 file where there is one, else the fp32 file.

    Raises:
        UsageError, ModelError: see ``edgerecon.engines.open_engine``.
    """
    file, is_path = open_file(model), isinstance(model, ModelFile) or _is_path(model)
    wanted = _wanted(file, tuple(runs or (one.key for one in VARIANTS)), precision, named=not is_path)
    if wanted is None or wanted.precision == file.spec.precision:
        return file
    other = sibling(file.path, wanted)
    if not other.is_file():
        advice = f"there is no {other.name} beside it, make it with  edgerecon export RECIPE"
    elif isinstance(model, ModelFile):
        advice = f"give {other}"
    else:
        file = read_model(other)
        advice = "make both again with  edgerecon export RECIPE"
    if file.spec.precision != wanted.precision:
        raise UsageError(f"{file.path.name} is {file.spec.precision}, not {wanted.precision}: {advice}")
    return file


def _wanted(file: ModelFile, runs: tuple[str, ...], precision: str | None, named: bool) -> Variant | None:
    """The variant to open; None for the file as it is."""
    if precision is None:
        return variant(runs[0]) if named and len(runs) == 1 else None  # what it takes of a family is one file alone
    fitting = [variant(key) for key in runs if variant(key).precision == precision]
    if precision == "bf16" and not (fitting and _has(file, fitting[0])):
        fitting = [variant("fp32")]
    if not fitting:
        taken = " or ".join(dict.fromkeys(variant(key).precision for key in runs))
        raise UsageError(f"this runtime computes in {taken} alone, not in {precision}: leave the precision out")
    return fitting[0]


def _has(file: ModelFile, wanted: Variant) -> bool:
    return file.spec.precision == wanted.precision or sibling(file.path, wanted).is_file()
