"""The grid of a bench: every file of the models × runtime × precision × threads."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from edgerecon.core.errors import UsageError
from edgerecon.engines import backends as every_backend
from edgerecon.engines import check_backend
from edgerecon.engines.backend import Backend
from edgerecon.hardware.host import host_profile, usable_cores
from edgerecon.modelfile.catalogue import model_path, shipped_models
from edgerecon.modelfile.file import ModelFile, read_model
from edgerecon.modelfile.variants import VARIANTS, variant_of


@dataclass(frozen=True)
class Cell:
    """One cell of the grid, and one row of the table: a file, read once for all its cells, and how it runs."""

    file: ModelFile
    backend: str
    precision: str
    threads: int

    @property
    def label(self) -> str:
        """The cell in one phrase, e.g. ``compact-despeckle, fp32 on openvino, 2 threads``."""
        threads = f"{self.threads} thread{'s' * (self.threads > 1)}"
        return f"{self.file.path.stem}, {self.precision} on {self.backend}, {threads}"


def list_cells(
    models: Sequence[str], backends: Sequence[str] = (), precisions: Sequence[str] = (), threads: Sequence[int] = ()
) -> list[Cell]:
    """Every way to run the models here.

    Args:
        models: shipped names or paths; a name stands for its files of every precision; none: all that ship
            and take pictures.
        backends: default: the CPU runtimes that are installed, and those of a GPU where there is one. precisions:
            default: all. threads: default: the cores that this process may use.

    Raises:
        UsageError: an unknown name, or a choice that leaves nothing. ModelError: a path is no model of ours.
    """
    for name in backends:
        check_backend(name)
    wanted = [every_backend()[name] for name in backends] or [one for one in every_backend().values() if _usual(one)]
    counts = list(threads) or [usable_cores()]
    found = [
        Cell(file, backend, precision, count)
        for file in map(read_model, _files(models))
        for backend, precision in _pairs(file, wanted)
        for count in counts
        if not precisions or precision in precisions
    ]
    if not found:
        raise UsageError("nothing is left to bench: ask for fewer conditions, or see  edgerecon doctor")
    return found


def _usual(backend: Backend) -> bool:
    """Whether a runtime is benched when none is named: it can be used here, and its device is here."""
    here = backend.kind in ("cpu", "simulation") or (backend.kind == "gpu" and _has_gpu())
    return here and backend.available


def _has_gpu() -> bool:
    return bool(host_profile()["gpus"]) or Path("/dev/nvhost-gpu").exists()  # the latter is a Jetson's


def _files(models: Sequence[str]) -> list[Path]:
    names = shipped_models()
    found: dict[Path, None] = {}
    for model in models or [name for name in names if read_model(model_path(name)).spec.channels == 1]:
        path = model_path(model)
        family = [f"{path.stem}{one.suffix}" for one in VARIANTS] if model in names else []
        for file in [model_path(name) for name in family if name in names] or [path]:
            found[file] = None
    return list(found)


def _pairs(file: ModelFile, backends: Sequence[Backend]) -> Iterator[tuple[str, str]]:
    kind = variant_of(file.spec)
    for backend in backends:
        if kind is not None and kind.key not in backend.runs:
            continue
        for precision in (file.spec.precision, *backend.computes.get(file.spec.precision, ())):
            yield backend.name, precision
