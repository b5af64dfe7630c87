"""Engines: a model compiled for one device and precision, ready to run a frame. One file per runtime."""

from __future__ import annotations

import importlib
import os
from pathlib import Path
from types import ModuleType
from typing import cast

from edgerecon.core.errors import DependencyError, EdgereconError, EngineError, UsageError
from edgerecon.engines.base import Engine, EngineSpec
from edgerecon.modelfile.catalogue import (
    PRECISIONS,
    find_file,
    model_path,
    shipped_models,
)
from edgerecon.modelfile.spec import ModelSpec

__all__ = [
    "BACKENDS", "PRECISIONS", "Engine", "EngineSpec", "ModelSpec", "available_backends", "find_file", "model_path",
    "open_engine", "shipped_models",
]  # fmt: skip

BACKENDS = ("openvino", "onnxruntime", "tensorrt", "cuda", "pytorch", "hls")
"""Files of this folder. Each has ``available()`` and ``open_model(file, device, threads, precision)``."""


# OpenVINO is an extra, ONNX Runtime always there. On x86 OpenVINO is the faster one, in fp32 and, by far, in int8 and
# bf16. TensorRT takes minutes to build an engine, PyTorch is the reference and hls simulates an FPGA, neither a way to
# ship: ask for them by name.
_AUTO = ("openvino", "onnxruntime")
_BF16 = ("openvino",)
_EXTRAS = {"openvino": "openvino", "tensorrt": "nvidia", "cuda": "nvidia", "pytorch": "train"}


def available_backends() -> tuple[str, ...]:
    """Names in ``BACKENDS`` whose runtime is installed, found out without importing it."""
    return tuple(name for name in BACKENDS if _backend(name).available())


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


def _backend(name: str) -> ModuleType:
    return importlib.import_module(f"{__name__}.{name}")


def _not_installed(backend: str) -> EdgereconError:
    if backend in _EXTRAS:
        return DependencyError("torch or onnx" if backend == "pytorch" else backend, _EXTRAS[backend])
    if backend == "hls":
        return EngineError("backend hls compiles C++ and finds no g++: install it, on Debian  apt install g++")
    return EngineError(f"{backend} is not installed: run  pip install {backend}")
