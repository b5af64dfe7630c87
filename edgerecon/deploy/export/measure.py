"""The quality of each engine, on validation scenes and on real frames, and the speed of all of them side by side."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import ExitStack, closing
from dataclasses import dataclass, field
from pathlib import Path
from statistics import fmean
from typing import Any

import cv2
import numpy as np

from edgerecon.beamform.detection import grey_levels
from edgerecon.core.errors import EdgereconError
from edgerecon.core.frame import Image, to_unit
from edgerecon.engines import backends as every_backend
from edgerecon.engines import open_engine
from edgerecon.engines.base import Engine
from edgerecon.measure.row import Cost, Quality, Row, Setup, Speed
from edgerecon.measure.timing import interleave, ratio
from edgerecon.modelfile.file import ModelFile, read_model
from edgerecon.modelfile.variants import variant_of
from edgerecon.quality.measures.before_after import BeforeAfter, Lesion
from edgerecon.quality.measures.full_reference import psnr, ssim
from edgerecon.quality.measures.measure import loss_violations, main_measures, measure_frame, measures
from edgerecon.quality.measures.no_reference import measure
from edgerecon.quality.measures.restoration import Restoration, check
from edgerecon.quality.regions import find_regions
from edgerecon.stream.sources.still_frames import read_frames, spread
from edgerecon.workshop.data.datasets import load_pairs, split_by_scene
from edgerecon.workshop.data.lesions import CLASSES, labelled_sample
from edgerecon.workshop.recipe import Recipe

REAL = 6
Run = Callable[[Image], Image]


@dataclass(frozen=True)
class Material:
    """Frames to measure on, float32 (H, W) in [0, 1]: simulated ones with their targets (maybe none), and real ones.

    Of a model that beamforms, parts of apertures (2K, H, W), the ``real`` ones simulated too; ``shown`` makes its
    amplitudes a picture.
    """

    inputs: list[Image]
    targets: list[Image]
    real: list[Image]
    shown: Run = lambda image: image

    def seen(self, run: Run) -> Run:
        """An engine's ``run`` with the picture that is looked at."""
        return lambda frame: self.shown(run(frame))


def material(recipe: Recipe) -> Material:
    """Validation scenes of the recipe's data and frames of the built-in cine; without a data file the latter alone.

    Raises:
        DataError: the data file is corrupt, or absent and of channel data.
    """
    beamforms = recipe.model.task == "beamform"
    if not recipe.data.file.exists() and not beamforms:
        return Material([], [], real_frames())
    source = recipe.data.inputs[0]
    _, held_out = split_by_scene(load_pairs(recipe.data.file, (source, recipe.data.target)), recipe.data.validation)
    if beamforms:
        parts = list(held_out.fields[source].astype(np.float32))
        return Material(parts, list(map(to_unit, held_out.fields[recipe.data.target])), parts[:REAL], grey_levels)
    inputs, targets = (list(map(to_unit, held_out.fields[name])) for name in (source, recipe.data.target))
    return Material(inputs, targets, real_frames())


def real_frames() -> list[Image]:
    """Evenly spread frames of the echocardiography cine that ships inside pydicom."""
    return [to_unit(image) for image in spread(read_frames(), REAL)]


def quality(run: Run, frames: Material) -> dict[str, float]:
    """validation_psnr_db, validation_ssim, and sample_gcnr on the real frames; brightness is not matched first."""
    outputs = [frames.shown(np.array(run(image))) for image in frames.inputs]
    pairs = list(zip(outputs, frames.targets, strict=True))
    pictures = [image for image in frames.real if image.ndim == 2]
    contrast = [measure(image, np.array(run(image)), find_regions(image)).gcnr for image in pictures]
    return {
        "validation_psnr_db": _mean([psnr(a, b) for a, b in pairs]),
        "validation_ssim": _mean([ssim(a, b) for a, b in pairs]),
        "sample_gcnr": _mean([value for value in contrast if math.isfinite(value)]),
    }


def _mean(values: list[float]) -> float:
    return fmean(values) if values else math.nan


def compare(candidate: Engine | Run, reference: Engine | Run, frames: Material) -> Restoration:
    """Drops of PSNR and SSIM on the scenes with targets, everything else on the real frames.

    Raises:
        GateError: the output is not finite, or of another shape. EngineError: a frame failed.
    """
    one, other = (frames.seen(each if callable(each) else each.run) for each in (candidate, reference))
    real = check(one, other, frames.real)
    if not frames.inputs:
        return real
    simulated = check(one, other, frames.inputs, frames.targets)
    return dataclasses.replace(real, psnr_drop_db=simulated.psnr_drop_db, ssim_drop=simulated.ssim_drop)


LESIONS = 24
"""Simulated scenes on which lesion contrast is gated, cysts and solid ones in turn."""


def picture(run: Run, frames: Sequence[Image], keys: Iterable[str]) -> dict[str, float]:
    """Key → mean of a measure of the picture over real frames, lesion contrast over simulated scenes; nan for none."""
    wanted = list(keys)
    if not wanted:
        return {}
    pairs = [BeforeAfter(frame, np.array(run(frame))) for frame in frames]
    if "lesion_contrast" in wanted:
        pairs += [BeforeAfter(frame, np.array(run(frame)), lesion=lesion) for frame, lesion in lesion_scenes(LESIONS)]
    rows = [
        measure_frame(pair, [key for key in wanted if ("lesion" in measures()[key].needs) == bool(pair.lesion)])
        for pair in pairs
    ]
    return {key: _mean([row[key] for row in rows if math.isfinite(row.get(key, math.nan))]) for key in wanted}


def losses(candidate: Run, reference: Run, frames: Material, limit: float | None) -> list[str]:
    """What the gate on the measures' loss refuses; see ``loss_violations``."""
    if limit is None:
        return []
    keys = main_measures()
    return loss_violations(picture(candidate, frames.real, keys), picture(reference, frames.real, keys), limit)


def lesion_scenes(count: int) -> Iterator[tuple[Image, Lesion]]:
    """Simulated scenes with a cyst or a solid lesion in turn, the same ones at each call."""
    for index in range(count):
        kind = ("cyst", "solid")[index % 2]
        made = labelled_sample(np.random.default_rng([17, index]), CLASSES.index(kind), 128)
        yield to_unit(made.speckled[0]), Lesion(kind, made.radius)  # type: ignore[arg-type]


@dataclass
class Measured:
    """One engine's row, and what its gates look at: the comparison with the fp32 file, None for that file itself or
    where nothing ran, and the measures of the picture."""

    row: Row
    restoration: Restoration | None = None
    picture: dict[str, float] = field(default_factory=dict)


def measure_all(
    files: Sequence[Path],
    frames: Material,
    shape: tuple[int, int],
    backends: Sequence[str] = (),
    seconds: float = 15.0,
    on_progress: Callable[[str, int, int], None] | None = None,
    keys: Iterable[str] = (),
) -> list[Measured]:
    """Every file on every runtime of this host: quality by each engine itself, then all of them timed side by side.

    Args:
        files: ONNX files, the fp32 one first: on ONNX Runtime it is what all others are compared with.
        shape: (height, width) to time, for about so many seconds. backends: default: all CPU runtimes there are.
        keys: measures of the picture to take of every engine.

    Raises:
        ModelError, EngineError: the first file does not run on ONNX Runtime.
    """
    progress = on_progress or (lambda what, done, total: None)
    wanted = [one.name for one in every_backend().values() if one.kind == "cpu" and one.available]
    wanted = sorted([name for name in wanted if not backends or name in backends], key=lambda n: n != "onnxruntime")
    opened = [read_model(path) for path in files]
    cells = [(file, backend, each) for file in opened for backend in wanted for each in _precisions(file, backend)]
    with ExitStack() as stack:
        reference = stack.enter_context(closing(open_engine(opened[0], "onnxruntime")))
        best = quality(reference.run, frames)
        measured: list[Measured] = []
        running: dict[str, tuple[int, Engine]] = {}
        for done, (file, backend, precision) in enumerate(cells):
            name = file.path.stem
            progress(f"quality of {name} on {backend}", done, len(cells))
            blank = Row(Setup(name, backend, precision, 0, shape), cost=Cost(len(file.content) / 1000))
            try:
                engine = stack.enter_context(closing(open_engine(file, backend, precision)))
                judged = _judge(blank, engine, reference, best, frames, first=not measured)
                measured.append(dataclasses.replace(judged, picture=picture(engine.run, frames.real, keys)))
            except EdgereconError as error:
                measured.append(Measured(dataclasses.replace(blank, status=str(error))))
                continue
            running[str(len(running))] = (len(measured) - 1, engine)
        _time(running, measured, frames.real[0], shape, seconds, progress)
    return measured


def _precisions(file: ModelFile, backend: str) -> list[str]:
    """In which a runtime computes a file; none for a file that it does not take."""
    spec, runtime = file.spec, every_backend()[backend]
    kind = variant_of(spec)
    if kind is None or kind.key not in runtime.runs:
        return []
    return [spec.precision, *runtime.computes.get(spec.precision, ())]


def _judge(
    blank: Row, engine: Engine, reference: Engine, best: dict[str, float], frames: Material, first: bool
) -> Measured:
    setup = dataclasses.replace(blank.setup, threads=engine.spec.threads)
    found = None if first else compare(engine, reference, frames)
    drops = (0.0, 0.0, 0.0) if found is None else (found.psnr_drop_db, found.ssim_drop, -found.gcnr_change)
    psnr_db, ssim_, gcnr = (value - drop for value, drop in zip(best.values(), drops, strict=True))
    shift, largest = (0.0, 0.0) if found is None else (found.mean_shift, found.max_abs_error)
    figures = Quality(psnr_db, ssim_, gcnr=gcnr, mean_shift=shift, max_abs_error=largest)
    return Measured(dataclasses.replace(blank, setup=setup, quality=figures), found)


def _time(
    running: dict[str, tuple[int, Engine]],
    measured: list[Measured],
    frame: Image,
    shape: tuple[int, int],
    seconds: float,
    progress: Callable[[str, int, int], None],
) -> None:
    """Fill in the latencies; a real frame is resized to the shape."""
    planes = frame.reshape(-1, *frame.shape[-2:])
    resized = [cv2.resize(plane, shape[::-1], interpolation=cv2.INTER_AREA) for plane in planes]
    image = np.asarray(resized if frame.ndim == 3 else resized[0], np.float32)
    runs: dict[str, Callable[[], Any]] = {}
    for key, (_, engine) in running.items():
        out = np.array(engine.run(image))
        runs[key] = lambda engine=engine, out=out: engine.run(image, out)  # type: ignore[misc]
    times = interleave(runs, seconds=seconds, at_most=300, on_round=lambda done, total: progress("timing", done, total))
    for key, (index, _) in running.items():
        speed = Speed(times[key].summary(), relative=ratio(times["0"], times[key]))
        measured[index].row = dataclasses.replace(measured[index].row, speed=speed)
