"""The models that ship, and the files of one family."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

from edgerecon.core.errors import UsageError
from edgerecon.core.shipped import resource_dir
from edgerecon.modelfile.file import ModelFile, read_model
from edgerecon.modelfile.variants import VARIANTS, Variant, sibling, variant


def shipped_models() -> list[str]:
    """Names of the models in export/."""
    return sorted(path.stem for path in resource_dir("export").glob("*.onnx"))


def model_path(model: str | Path) -> Path:
    """File of a shipped name or of a path.

    Raises:
        UsageError: a name that does not ship.
    """
    if _is_path(model):
        return Path(model)
    if model not in shipped_models():
        known = ", ".join(shipped_models()) or "none"
        raise UsageError(f"no model '{model}' ships with edgerecon (there is: {known}): give a name or an .onnx file")
    return resource_dir("export") / f"{model}.onnx"


def _is_path(model: str | Path) -> bool:
    """What is spelt as a path; a bare word is one only where no shipped model has that name."""
    if isinstance(model, Path) or model.endswith(".onnx") or os.sep in model:
        return True
    return model not in shipped_models() and os.path.exists(model)


def find_file(model: str | Path, runs: Sequence[str] | None = None, precision: str | None = None) -> ModelFile:
    """The file of the model that has the precision, or the only one that a runtime takes; a path stands for itself.

    Args:
        runs: keys of the variants that the runtime takes, the preferred first; None: any runtime's.
        precision: None: that of the file. "bf16" is the bf16 file where there is one, else the fp32 file.

    Raises:
        UsageError, ModelError: see ``edgerecon.engines.open_engine``.
    """
    file = read_model(model_path(model))
    wanted = _wanted(file, tuple(runs or (one.key for one in VARIANTS)), precision, named=not _is_path(model))
    if wanted is None or wanted.precision == file.spec.precision:
        return file
    other = sibling(file.path, wanted)
    if not other.is_file():
        advice = f"there is no {other.name} beside it, make it with  edgerecon export RECIPE"
    elif _is_path(model):
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
