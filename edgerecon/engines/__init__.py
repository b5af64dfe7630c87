"""Engines: a model compiled for one device and precision, ready to run a frame. One file or folder per runtime."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from edgerecon.core.errors import DependencyError, EdgereconError, EngineError, UsageError
from edgerecon.engines.backend import Backend, backends
from edgerecon.engines.base import Engine, EngineSpec
from edgerecon.engines.device_parity import check_device
from edgerecon.engines.fastest import open_fastest
from edgerecon.engines.tiled import TiledEngine
from edgerecon.hardware.host import usable_cores
from edgerecon.modelfile.catalogue import find_file, model_path, shipped_models
from edgerecon.modelfile.file import ModelFile
from edgerecon.modelfile.spec import ModelSpec
from edgerecon.modelfile.variants import PRECISIONS, check_precision, variant_of

__all__ = [
    "PRECISIONS",
    "Backend",
    "Engine",
    "EngineSpec",
    "ModelSpec",
    "available_backends",
    "backends",
    "check_backend",
    "find_file",
    "model_path",
    "open_engine",
    "shipped_models",
]


def available_backends() -> tuple[str, ...]:
    """Names of the runtimes that can be used here, found out without importing them."""
    return tuple(name for name, backend in backends().items() if backend.available)


def check_backend(name: str) -> None:
    """Refuse a name that is neither a runtime nor "auto".

    Raises:
        UsageError: with the names that there are.
    """
    if name != "auto" and name not in backends():
        raise UsageError(f"unknown backend '{name}': choose auto or one of {', '.join(backends())}")


def open_engine(
    model: str | Path | ModelFile,
    backend: str = "auto",
    precision: str | None = None,
    device: str | None = None,
    threads: int | None = None,
    tile: tuple[int, int] | None = None,
) -> Engine:
    """Open a model on a runtime.

    Args:
        model: a shipped name, e.g. "compact-despeckle", a path to an ONNX file of ours, or such a file once it is read.
        backend: a name in ``backends()``, or "auto" for the fastest on a CPU that is installed. Our own kernels, where
            they are built, are measured against the next one at first use (``edgerecon.engines.fastest``).
        precision: of ``PRECISIONS``; default: that of the file. A shipped name and a path open the file of the family
            that has it, e.g. compact-despeckle-int8, or NAME-int8.onnx beside NAME.onnx; a file that has been read is
            refused unless it has it. Where a family has no bf16 file, "bf16" computes its fp32 file in bfloat16.
        device: where to run, as the backend spells it, e.g. "cuda"; default: its own choice. On any other than "cpu" a
            parity run is made first; "auto" takes the first backend that has the device.
        threads: default: the cores that this process may use.
        tile: rows and columns of pieces in which every frame is run, for want of memory; default: frames are run
            whole, unless the model takes one size alone (its own ``tile``).

    Raises:
        UsageError: unknown model, backend, precision or device; a precision that neither file nor backend has;
            threads below 1. ModelError: see ``read_model``; also when the runtime refuses the model. DependencyError:
            the runtime is not installed. EngineError: it does not work here, e.g. bf16 on a CPU without it.

    Examples:
        >>> engine = open_engine("compact-despeckle", precision="int8")
        >>> engine.spec.precision
        'int8'
    """
    check_backend(backend)
    if precision is not None:
        check_precision(precision)
    if threads is not None and threads < 1:
        raise UsageError("threads must be at least 1")
    chosen = None if backend == "auto" else backends()[backend]
    file = find_file(model, chosen.runs if chosen else None, precision)
    wanted = [chosen] if chosen else _auto(file)
    kind = variant_of(file.spec)
    if chosen and kind and not kind.standard and kind.key not in chosen.runs:
        takers = " or ".join(one.name for one in backends().values() if kind.key in one.runs)
        raise UsageError(f"{file.path.name} runs on backend {takers} alone, not on {backend}")
    computed = file.spec.precision
    if precision not in (None, computed):  # bf16 arithmetic on an fp32 file
        computed = str(precision)
        able = [one.name for one in backends().values() if computed in one.computes.get(file.spec.precision, ())]
        wanted = [one for one in wanted if one.name in able]
        if not wanted:
            raise UsageError(f"backend {backend} does not compute in {computed}: choose {' or '.join(able)}")
    usable = [one for one in wanted if one.available]
    if not usable:
        raise _not_usable(next((one for one in wanted if not (one.extra or one.proves)), wanted[-1]))
    engine = _first_with(usable, file, device, threads or usable_cores(), computed)
    if device not in (None, "cpu"):
        check_device(engine, file)
    return _tiled(engine, tile)


def _first_with(usable: Sequence[Backend], file: ModelFile, device: str | None, threads: int, precision: str) -> Engine:
    """The engine of the first backend, or of the first that has the device."""
    if usable[0].proves and len(usable) > 1 and device in (None, "cpu"):
        return open_fastest(usable[0], usable[1], file, threads, lambda one: one.open(file, device, threads, precision))
    for one in usable:
        try:
            return one.open(file, device, threads, precision)
        except UsageError:
            if device is None or len(usable) == 1:
                raise
    names = ", ".join(one.name for one in usable)
    raise UsageError(f"none of {names} has a device '{device}' here: see  edgerecon doctor")


def _tiled(engine: Engine, tile: tuple[int, int] | None) -> Engine:
    model = engine.spec.model
    if model.tile is None and tile is None:
        return engine
    try:
        if model.tile and tile not in (None, model.tile):
            raise UsageError(f"{model.name} takes tiles of {model.tile[0]}×{model.tile[1]} alone: leave the tile out")
        halo = model.halo if model.tile else -(-model.receptive_field // 2)
        return TiledEngine(engine, model.tile or tile or (0, 0), halo)
    except UsageError:
        engine.close()
        raise


def _auto(file: ModelFile) -> list[Backend]:
    """Runtimes that ``auto`` may take for a file, the preferred first.

    A po2 file goes to what computes it bit for bit as hardware does, on every CPU.
    """
    kind = variant_of(file.spec)
    ranked = [one for one in backends().values() if one.rank]
    fitting = [one for one in ranked if kind is None or kind.key in one.runs]
    return fitting or ranked


def _not_usable(backend: Backend) -> EdgereconError:
    if backend.extra:
        return DependencyError(backend.probe().removesuffix(" not installed"), backend.extra)
    return EngineError(f"backend {backend.name} cannot be used here: {backend.probe()}; {backend.remedy}")
