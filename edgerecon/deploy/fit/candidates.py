"""What could run a task here: every trained file of it, on every runtime that takes it, with 1 … n threads."""

from __future__ import annotations

import logging
import math
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

from edgerecon.core.errors import DataError, EdgereconError, ModelError
from edgerecon.engines import backends, open_engine
from edgerecon.engines.base import Engine
from edgerecon.hardware.host import usable_cores
from edgerecon.modelfile.file import ModelFile, read_model
from edgerecon.stream.picture.overlay import AnnotatingEngine

QUALITY = ("validation_psnr_db", "validation_ssim", "sample_gcnr")
"""Figures of a file that were measured alike for all of them, at export."""

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Candidate:
    """One way to run a task.

    Attributes:
        path: the ONNX file; its shape (width, depth, pruning) and its quality are in it. precision: of the engine.
        psnr_db, ssim, gcnr: as the file's record states them, nan when it does not. macs: multiply-accumulates a pixel.
        train: the command that trains it; empty for what is trained already.
    """

    path: Path
    precision: str
    backend: str
    threads: int
    psnr_db: float
    ssim: float
    gcnr: float
    macs: float
    train: str = ""

    @property
    def name(self) -> str:
        """Shown in tables and plots."""
        return f"{self.path.stem}, {self.precision} on {self.backend}, {self.threads} thread{'s' * (self.threads > 1)}"

    def open(self) -> Engine:
        """The engine as a stream uses it. Raises as ``open_engine``."""
        engine = open_engine(read_model(self.path), self.backend, self.precision, threads=self.threads)
        return engine if engine.spec.model.makes_images else AnnotatingEngine(engine)


def find_candidates(folder: Path, task: str) -> list[Candidate]:
    """Every way to run a task with the models of a folder. Files with the same network and record count once.

    Args:
        folder: or one ONNX file.

    Raises:
        DataError: it does not exist, or holds no model of the task.
    """
    if not folder.exists():
        raise DataError(f"{folder} does not exist: give an ONNX file of ours, or a folder of them")
    files = [folder] if folder.is_file() else sorted(folder.glob("*.onnx"))
    every = [one for path in files for one in _candidates_of(path, task)]
    found = list({(replace(one, path=Path()) if math.isfinite(one.ssim) else one): one for one in every[::-1]}.values())
    found.reverse()
    if not found:
        raise DataError(f"{folder} holds no model for the task '{task}': make one with  edgerecon export RECIPE")
    return found


def _candidates_of(path: Path, task: str) -> Iterator[Candidate]:
    try:
        file = read_model(path)
    except ModelError as error:
        _log.warning("left out: %s", error)
        return
    spec = file.spec
    if spec.task != task or spec.form in ("signed", "po2"):  # forms for TensorRT and FPGAs, which fit on their device
        return
    psnr, ssim, gcnr = (spec.quality.get(key, float("nan")) for key in QUALITY)
    cores = usable_cores()
    threads = sorted({1, *(2**n for n in range(cores.bit_length()) if 2**n <= cores), cores})
    precisions = [spec.precision, *(["bf16"] if spec.precision == "fp32" else [])]
    for backend in (one.name for one in backends().values() if one.ships and one.available):
        for precision in precisions:
            if _runs(file, backend, precision):
                for count in threads:
                    yield Candidate(path, precision, backend, count, psnr, ssim, gcnr, spec.macs_per_pixel)


def _runs(file: ModelFile, backend: str, precision: str) -> bool:
    try:
        open_engine(file, backend, precision, threads=1).close()
    except EdgereconError as error:
        _log.info("%s, %s on %s is left out: %s", file.path.stem, precision, backend, error)
        return False
    return True
