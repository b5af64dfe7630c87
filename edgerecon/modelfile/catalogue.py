"""The models that ship, and the files of one family."""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import cast

from edgerecon.core.errors import UsageError
from edgerecon.core.shipped import resource_dir
from edgerecon.modelfile.file import ModelFile, read_model

PRECISIONS = ("fp32", "fp16", "bf16", "int8")
"""All but bf16 live in the file; bf16 is how a runtime computes an fp32 file."""


_SIGNED = ("tensorrt", "cuda")


_PO2 = ("hls",)


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


def find_file(model: str | Path, backend: str = "auto", precision: str | None = None) -> ModelFile:
    """The file of the model that has the precision, or the only one that a backend runs; a path stands for itself.

    Raises:
        UsageError, ModelError: see ``open_engine``.
    """
    file = read_model(model_path(model))
    wanted = "fp32" if precision == "bf16" else precision
    if backend in _PO2:  # what it can run of a family is one file alone
        if wanted not in (None, "int8"):
            raise UsageError(f"backend {backend} computes in int8 alone, not in {precision}: leave the precision out")
        wanted = wanted if _is_path(model) else "int8"
    if wanted in (None, file.spec.precision):
        return file
    sibling = _sibling(file.path, cast(str, wanted), backend)
    if not sibling.is_file():
        advice = f"there is no {sibling.name} beside it, make it with  edgerecon export RECIPE"
    elif _is_path(model):
        advice = f"give {sibling}"
    else:
        file = read_model(sibling)
        advice = "make both again with  edgerecon export RECIPE"
    if file.spec.precision != wanted:
        raise UsageError(f"{file.path.name} is {file.spec.precision}, not {wanted}: {advice}")
    return file


def _sibling(path: Path, precision: str, backend: str) -> Path:
    """Name that the file of another precision has by convention; int8 has one each for TensorRT, FPGAs and CPUs."""
    stem = re.sub(r"-(fp16|int8|int8-trt|po2)$", "", path.stem)
    whole = "-int8-trt" if backend in _SIGNED else "-po2" if backend in _PO2 else "-int8"
    endings = {"fp32": "", "fp16": "-fp16", "int8": whole}
    return path.with_name(f"{stem}{endings[precision]}.onnx")
