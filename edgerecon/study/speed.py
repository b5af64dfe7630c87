"""How fast every trained network of the study runs: each on every CPU engine, and whether TensorRT builds it."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from contextlib import ExitStack, closing
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np

from edgerecon.core.errors import DependencyError, EdgereconError
from edgerecon.core.frame import Image
from edgerecon.engines import backends, open_engine
from edgerecon.engines.base import Engine
from edgerecon.engines.tensorrt.build import build
from edgerecon.engines.tensorrt.engine_file import Shapes
from edgerecon.hardware.host import usable_cores
from edgerecon.measure.row import Cost, Quality, Row, Setup, Speed
from edgerecon.measure.timing import interleave, ratio
from edgerecon.study.profile import Profile
from edgerecon.study.results import Result, TrainedModel

GPU = "rtx-4060-laptop"
"""TensorRT-RTX builds for it where there is no GPU; it cannot run there."""
INCLUDED = (
    "One frame at a time, from a float32 frame in memory to the reconstructed one in memory; the engines of a network "
    "are interleaved. Not included: decoding, display, the stream around it. TensorRT-RTX: built, not run."
)
_log = logging.getLogger(__name__)


def time_models(results: Sequence[Result], profile: Profile, on_progress: Callable[[str, int, int], None]) -> list[Row]:
    """One row for each network and engine; an engine that fails says why in its status."""
    models = [model for result in results for model in result.models]
    rows: list[Row] = []
    for done, model in enumerate(models):
        on_progress(f"timing {model.name}", done, len(models))
        rows += _time(model, profile.pick(smoke=0.05, quick=2.0, full=5.0))
        rows += _build(model)
    return rows


def _time(model: TrainedModel, seconds: float) -> list[Row]:
    threads = usable_cores()
    frame = _frame(model.shape)
    failed: list[Row] = []
    with ExitStack() as stack:
        engines: dict[str, Engine] = {}
        for backend in (one.name for one in backends().values() if one.kind == "cpu" and one.available):
            try:
                engine = stack.enter_context(closing(open_engine(Path(model.file), backend, threads=threads)))
                engine.run(frame)
                engines[backend] = engine
            except EdgereconError as error:
                failed.append(Row(Setup(model.name, backend, "fp32", threads, model.shape), status=str(error)))
        if not engines:
            return failed
        outputs = {name: np.array(_first(engine, frame)) for name, engine in engines.items()}
        runs = {name: partial(engine.run, frame, outputs[name].copy()) for name, engine in engines.items()}
        times = interleave(runs, seconds=seconds, at_least=5, at_most=200)
    reference = next(iter(engines))
    return failed + [
        Row(
            Setup(model.name, name, engine.spec.precision, engine.spec.threads, model.shape),
            Speed(times[name].summary(), relative=ratio(times[reference], times[name])),
            Quality(max_abs_error=float(np.abs(outputs[name] - outputs[reference]).max())),
            Cost(size_kb=Path(model.file).stat().st_size / 1000),
        )
        for name, engine in engines.items()
    ]


def _first(engine: Engine, frame: Image) -> Image:
    """The output that a fresh stream would see: recurrent networks forget what came before."""
    engine.reset()
    return engine.run(frame)


def _build(model: TrainedModel) -> list[Row]:
    height, width = model.shape
    shape = (height, width)
    row = Row(Setup(model.name, f"tensorrt-rtx for {GPU}", "fp32", 1, shape))
    try:
        made = build(Path(model.file), GPU, Path(model.file).with_suffix(".engine"), shapes=Shapes(shape, shape, shape))
    except DependencyError:  # not on this machine: the other rows stand without it
        return []
    except EdgereconError as error:
        return [replace(row, status=str(error))]
    made.path.unlink()
    return [replace(row, cost=Cost(size_kb=made.size_kb), note=f"built in {made.seconds:.1f} s")]


def _frame(shape: tuple[int, int]) -> Image:
    return np.random.default_rng(0).random(shape, dtype=np.float32)
