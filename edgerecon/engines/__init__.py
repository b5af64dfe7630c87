"""Engines: a model compiled for one device and precision, ready to run a frame. One file per runtime."""

from __future__ import annotations

import importlib
import os
from pathlib import Path
from typing import cast

from edgerecon.engines.base import Engine, EngineSpec, ModelSpec
from edgerecon.engines.model_file import read_model
from edgerecon.errors import EngineError, UsageError
from edgerecon.resources import resource_dir

__all__ = ["BACKENDS", "Engine", "EngineSpec", "ModelSpec", "model_path", "open_engine", "shipped_models"]

BACKENDS = ("onnxruntime",)
"""Files of this folder, in the order in which "auto" tries them. Each has ``available()`` and ``open_model(…)``."""


def shipped_models() -> list[str]:
    """Names of the models in export/."""
    return sorted(path.stem for path in resource_dir("export").glob("*.onnx"))


def model_path(model: str | Path) -> Path:
    """File of a shipped name or of a path.

    Raises:
        UsageError: a name that does not ship.
    """
    if isinstance(model, Path) or model.endswith(".onnx") or os.sep in model or Path(model).exists():
        return Path(model)
    if model not in shipped_models():
        known = ", ".join(shipped_models()) or "none"
        raise UsageError(f"no model '{model}' ships with edgerecon (there is: {known}): give a name or an .onnx file")
    return resource_dir("export") / f"{model}.onnx"


def open_engine(
    model: str | Path,
    backend: str = "auto",
    precision: str | None = None,
    device: str | None = None,
    threads: int | None = None,
) -> Engine:
    """Open a model on a runtime.

    Args:
        model: a shipped name, e.g. "compact-despeckle", or a path to an ONNX file of ours.
        backend: a name in ``BACKENDS``, or "auto" for the first that is installed.
        precision: refuse the model unless it has this precision, which lives in its file.
        device: where to run, as the backend spells it; default: its own choice.
        threads: default: the cores that this process may use.

    Raises:
        UsageError: unknown model, backend or device; a precision that the file does not have; threads below 1.
        ModelError: see ``read_model``. EngineError: the runtime is absent or refuses the model.
    """
    if backend not in ("auto", *BACKENDS):
        raise UsageError(f"unknown backend '{backend}': choose auto or one of {', '.join(BACKENDS)}")
    if threads is not None and threads < 1:
        raise UsageError("threads must be at least 1")
    file = read_model(model_path(model))
    if precision not in (None, file.spec.precision):
        raise UsageError(f"{file.path.name} is {file.spec.precision}, not {precision}: choose another model file")
    for name in BACKENDS if backend == "auto" else (backend,):
        module = importlib.import_module(f"{__name__}.{name}")
        if module.available():
            return cast(Engine, module.open_model(file, device, threads or len(os.sched_getaffinity(0))))
    wanted = "any runtime" if backend == "auto" else backend
    raise EngineError(f"{wanted} is not installed: run  pip install {backend if backend != 'auto' else BACKENDS[-1]}")
