"""Engines: a model compiled for one device and precision, ready to run a frame. One file per runtime."""

from __future__ import annotations

import importlib
import os
import re
from pathlib import Path
from types import ModuleType
from typing import cast

from edgerecon.engines.base import Engine, EngineSpec, ModelSpec
from edgerecon.engines.model_file import ModelFile, read_model
from edgerecon.errors import DependencyError, EdgereconError, EngineError, UsageError
from edgerecon.resources import resource_dir

__all__ = [
    "BACKENDS", "PRECISIONS", "Engine", "EngineSpec", "ModelSpec", "available_backends", "find_file", "model_path",
    "open_engine", "shipped_models",
]  # fmt: skip

BACKENDS = ("openvino", "onnxruntime", "tensorrt", "cuda", "pytorch", "hls")
"""Files of this folder. Each has ``available()`` and ``open_model(file, device, threads, precision)``."""

PRECISIONS = ("fp32", "fp16", "bf16", "int8")
"""All but bf16 live in the file; bf16 is how a runtime computes an fp32 file."""

# OpenVINO is an extra, ONNX Runtime always there. On x86 OpenVINO is the faster one, in fp32 and, by far, in int8 and
# bf16. TensorRT takes minutes to build an engine, PyTorch is the reference and hls simulates an FPGA, neither a way to
# ship: ask for them by name.
_AUTO = ("openvino", "onnxruntime")
_BF16 = ("openvino",)
_SIGNED = ("tensorrt", "cuda")
_PO2 = ("hls",)
_EXTRAS = {"openvino": "openvino", "tensorrt": "nvidia", "cuda": "nvidia", "pytorch": "train"}


def available_backends() -> tuple[str, ...]:
    """Names in ``BACKENDS`` whose runtime is installed, found out without importing it."""
    return tuple(name for name in BACKENDS if _backend(name).available())


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
        backend: a name in ``BACKENDS``, or "auto" for the fastest on a CPU that is installed.
        precision: of ``PRECISIONS``; default: that of the file. A shipped name opens the file of its family that has
            it, e.g. compact-despeckle-int8; a path is refused unless the file has it. "bf16" runs an fp32 file.
        device: where to run, as the backend spells it; default: its own choice.
        threads: default: the cores that this process may use.

    Raises:
        UsageError: unknown model, backend, precision or device; a precision that neither file nor backend has;
            threads below 1. ModelError: see ``read_model``; also when the runtime refuses the model. DependencyError:
            the runtime is not installed. EngineError: it does not work here, e.g. bf16 on a CPU without it.
    """
    if backend not in ("auto", *BACKENDS):
        raise UsageError(f"unknown backend '{backend}': choose auto or one of {', '.join(BACKENDS)}")
    if precision not in (None, *PRECISIONS):
        raise UsageError(f"unknown precision '{precision}': choose one of {', '.join(PRECISIONS)}")
    if threads is not None and threads < 1:
        raise UsageError("threads must be at least 1")
    file = find_file(model, backend, precision)
    names: tuple[str, ...] = _AUTO if backend == "auto" else (backend,)
    if backend == "auto" and file.spec.form == "po2":
        names = ("onnxruntime",)  # bit for bit what hardware computes, on every CPU
    if precision == "bf16":
        names = tuple(name for name in names if name in _BF16)
        if not names:
            raise UsageError(f"backend {backend} does not compute in bf16: choose {' or '.join(_BF16)}")
    computed = "bf16" if precision == "bf16" else file.spec.precision
    for name in names:
        runtime = _backend(name)
        if runtime.available():
            cores = threads or len(os.sched_getaffinity(0))
            return cast(Engine, runtime.open_model(file, device, cores, computed))
    raise _not_installed(names[-1])


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


def _backend(name: str) -> ModuleType:
    return importlib.import_module(f"{__name__}.{name}")


def _not_installed(backend: str) -> EdgereconError:
    if backend in _EXTRAS:
        return DependencyError("torch or onnx" if backend == "pytorch" else backend, _EXTRAS[backend])
    if backend == "hls":
        return EngineError("backend hls compiles C++ and finds no g++: install it, on Debian  apt install g++")
    return EngineError(f"{backend} is not installed: run  pip install {backend}")
