"""The fp16, bf16 and int8 files of a recipe, from its fp32 file: gentle means first, stronger where a gate asks."""

from __future__ import annotations

import json
import logging
import math
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing
from functools import partial
from pathlib import Path

from edgerecon.core.errors import GateError
from edgerecon.core.files import write
from edgerecon.core.frame import Image
from edgerecon.deploy.export.measure import Material, compare, quality
from edgerecon.deploy.export.steps import Facts
from edgerecon.engines import open_engine
from edgerecon.quality.measures.restoration import violations
from edgerecon.workshop.compress import graph
from edgerecon.workshop.compress.brain_float import to_brain_float
from edgerecon.workshop.compress.calibration import calibrate, calibration_frames
from edgerecon.workshop.compress.graph import ModelProto
from edgerecon.workshop.compress.half import to_half
from edgerecon.workshop.compress.quantise import Form, first_and_last, quantise
from edgerecon.workshop.recipe import Recipe

_log = logging.getLogger(__name__)
Progress = Callable[[str, int, int], None]


CONVERTED: Mapping[str, Callable[[bytes], ModelProto]] = {"fp16": to_half, "bf16": to_brain_float}
"""Variants that need no calibration: key → what makes the file from the fp32 file."""


def make_converted(
    convert: Callable[[bytes], ModelProto], recipe: Recipe, source: Path, out: Path, frames: Material
) -> Facts:
    """A file of 16 bits.

    Raises:
        GateError: it misses a gate; there is nothing gentler than 16 bits.
    """
    _write(convert(source.read_bytes()), out, frames)
    if refused := _refusals(recipe, out, source, frames):
        raise GateError(f"{out.name}: {'; '.join(refused)}")
    return {}


def make_int8(
    recipe: Recipe, source: Path, outputs: Mapping[Form, Path], frames: Material, progress: Progress
) -> Facts:
    """The int8 files of some forms from one calibration.

    Of each form, in this order until the gates are passed: every convolution in int8; the first and the last left in
    float, which hardware without floats cannot; both ways again after quantisation-aware fine-tuning, where the recipe
    allows it.

    Returns:
        For each form, what it took.

    Raises:
        DataError: the calibration data are missing. GateError: no way passes; says by how much the best one misses.
    """
    content = source.read_bytes()
    table = recipe.calibration
    seen = calibrate(content, _counted(calibration_frames(recipe), table.frames, progress))
    found = seen.ranges(table.method, table.percentile)
    ends = first_and_last(content)
    facts: Facts = {"calibration_frames": table.frames}
    for form, out in outputs.items():

        def tuned(keep: tuple[str, ...], form: Form = form) -> ModelProto:
            from edgerecon.workshop.compress.qat import fine_tune

            steps = recipe.targets.qat_steps
            model, learnt = fine_tune(
                content,
                seen,
                found,
                recipe,
                form=form,
                keep=keep,
                on_step=lambda done, loss: progress("fine-tuning int8", done, steps),
            )
            return quantise(model, learnt, form=form, keep=keep)

        def at_once(keep: tuple[str, ...], form: Form = form) -> ModelProto:
            return quantise(content, found, form=form, keep=keep, moments=seen.moments)

        makers = {"after training": at_once} | ({"fine-tuned": tuned} if recipe.targets.qat_steps else {})
        kept = {"": ()} | ({} if form == "po2" else {", first and last convolution in float": ends})
        ways: dict[str, Callable[[], ModelProto]] = {
            how + what: partial(make, keep) for how, make in makers.items() for what, keep in kept.items()
        }
        facts[form] = _first_that_passes(recipe, source, out, frames, ways)
    return facts


def _first_that_passes(
    recipe: Recipe, source: Path, out: Path, frames: Material, ways: Mapping[str, Callable[[], ModelProto]]
) -> str:
    refused: list[str] = []
    for way, make in ways.items():
        _write(make(), out, frames)
        refused = _refusals(recipe, out, source, frames)
        if not refused:
            _log.info("%s: int8 %s", out.name, way)
            return way
        _log.info("%s: int8 %s is refused: %s", out.name, way, "; ".join(refused))
    advice = "" if recipe.targets.qat_steps else "; allow fine-tuning with targets.qat_steps"
    raise GateError(f"{out.name}: {'; '.join(refused)}{advice}")


def _write(model: ModelProto, out: Path, frames: Material) -> None:
    """With a quality record of its own, in place of the fp32 file's."""
    write(out, model.SerializeToString(deterministic=True))
    with closing(open_engine(out, "onnxruntime")) as engine:
        record = {key: round(value, 4) for key, value in quality(engine.run, frames).items() if math.isfinite(value)}
    graph.describe(model, quality=json.dumps(record, sort_keys=True))
    write(out, model.SerializeToString(deterministic=True))


def _refusals(recipe: Recipe, candidate: Path, source: Path, frames: Material) -> list[str]:
    with closing(open_engine(candidate, "onnxruntime")) as a, closing(open_engine(source, "onnxruntime")) as b:
        return violations(compare(a, b, frames), recipe.gates)


def _counted(frames: Iterator[Image], total: int, progress: Progress) -> Iterator[Image]:
    for done, frame in enumerate(frames):
        progress("calibrating", done, total)
        yield frame
