"""What there is to bench: every file of the models × runtime × precision × threads, and why some cannot run here."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from edgerecon.core.errors import UsageError
from edgerecon.engines import BACKENDS, available_backends
from edgerecon.hardware.host import host_profile
from edgerecon.modelfile.catalogue import model_path, shipped_models
from edgerecon.modelfile.file import read_model
from edgerecon.modelfile.variants import CPU, SIGNED, SIMULATED


@dataclass(frozen=True)
class Way:
    """One row to be: a file, and how it runs."""

    path: Path
    backend: str
    precision: str
    threads: int

    @property
    def label(self) -> str:
        return f"{self.path.stem}, {self.precision} on {self.backend}, {self.threads} thread{'s' * (self.threads > 1)}"


def find_ways(
    models: Sequence[str], backends: Sequence[str] = (), precisions: Sequence[str] = (), threads: Sequence[int] = ()
) -> list[Way]:
    """Every way to run the models here.

    Args:
        models: shipped names or paths; a name stands for its files of every precision; none: all that ship.
        backends: default: the CPU runtimes that are installed, and those of a GPU where there is one. precisions:
            default: all. threads: default: the cores that this process may use.

    Raises:
        UsageError: an unknown name, or a choice that leaves nothing. ModelError: a path is no model of ours.
    """
    if unknown := [name for name in backends if name not in BACKENDS]:
        raise UsageError(f"unknown backend '{unknown[0]}': choose from {', '.join(BACKENDS)}")
    usual = (*CPU, SIMULATED)
    here = [name for name in available_backends() if name in usual or (name in SIGNED and _has_gpu())]
    wanted = list(backends) or here
    counts = list(threads) or [len(os.sched_getaffinity(0))]
    found = [
        Way(path, backend, precision, count)
        for path in _files(models)
        for backend, precision in _pairs(path, wanted)
        for count in counts
        if not precisions or precision in precisions
    ]
    if not found:
        raise UsageError("nothing is left to bench: ask for fewer conditions, or see  edgerecon doctor")
    return found


def _has_gpu() -> bool:
    return bool(host_profile()["gpus"]) or Path("/dev/nvhost-gpu").exists()  # the latter is a Jetson's


def _files(models: Sequence[str]) -> list[Path]:
    names = shipped_models()
    found: dict[Path, None] = {}
    for model in models or names:
        path = model_path(model)
        family = [f"{path.stem}{end}" for end in ("", "-fp16", "-int8", "-int8-trt", "-po2")] if model in names else []
        for file in [model_path(name) for name in family if name in names] or [path]:
            found[file] = None
    return list(found)


def _pairs(path: Path, backends: Sequence[str]) -> Iterator[tuple[str, str]]:
    spec = read_model(path).spec
    for backend in backends:
        if spec.precision == "int8" and (spec.form == "signed") != (backend in SIGNED):
            continue
        if backend == SIMULATED and spec.form != "po2":
            continue
        yield backend, spec.precision
        if backend == "openvino" and spec.precision == "fp32":
            yield backend, "bf16"
