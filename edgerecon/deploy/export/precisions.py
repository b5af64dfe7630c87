"""The files of a recipe in other precisions, made from its fp32 file: gentle means first, stronger ones after."""

from __future__ import annotations

import json
import logging
import math
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import closing
from pathlib import Path
from pkgutil import resolve_name

from edgerecon.core.errors import GateError
from edgerecon.core.files import write
from edgerecon.core.frame import Image
from edgerecon.deploy.export.measure import Material, compare, losses, quality
from edgerecon.deploy.export.steps import Facts
from edgerecon.engines import open_engine
from edgerecon.modelfile.file import read_model
from edgerecon.modelfile.variants import Variant
from edgerecon.quality.measures.restoration import violations
from edgerecon.workshop.compress import graph
from edgerecon.workshop.compress.calibration import calibrate, calibration_frames
from edgerecon.workshop.compress.graph import ModelProto
from edgerecon.workshop.compress.int16 import int16_candidates
from edgerecon.workshop.compress.quantise import Form, quantise
from edgerecon.workshop.compress.sensitivity import most_sensitive_first
from edgerecon.workshop.recipe import Recipe

_log = logging.getLogger(__name__)
Progress = Callable[[str, int, int], None]
Make = Callable[[tuple[str, ...]], ModelProto]
SEARCHED = 24
"""Validation frames on which the dearest convolutions are found."""


def make_converted(kind: Variant, recipe: Recipe, source: Path, out: Path, frames: Material) -> Facts:
    """A file that needs no calibration, made from the fp32 file by the function that its variant names.

    Raises:
        GateError: it misses a gate; a conversion has no gentler form.
    """
    _write(resolve_name(kind.convert)(source.read_bytes()), out, frames)
    if refused := _refusals(recipe, out, source, frames):
        raise GateError(f"{out.name}: {'; '.join(refused)}")
    return {}


INT16_DROP_DB = 0.02
"""PSNR that the exact integers may lose against fp32, whatever the recipe allows int8."""


def make_int16(recipe: Recipe, source: Path, out: Path, frames: Material, progress: Progress) -> Facts:
    """The file in exact integers for our CPU kernels: the fastest one that passes the gates.

    Raises:
        DataError: the calibration data are missing. GateError: it misses a gate. ModelError: a layer has no such form.
        EngineError: the kernels, which alone run it, are not built.
    """
    limit = recipe.gates.max_drop_psnr_db
    gates = {"max_drop_psnr_db": INT16_DROP_DB if limit is None else min(limit, INT16_DROP_DB)}
    recipe = recipe.model_copy(update={"gates": recipe.gates.model_copy(update=gates)})
    seen = _counted(calibration_frames(recipe), recipe.calibration.frames, progress)
    refused: list[str] = []
    for fine, model in enumerate(int16_candidates(read_model(source), seen)):
        _write(model, out, frames, "native")
        refused = _refusals(recipe, out, source, frames, "native")
        if not refused:
            return {"fine_maps": fine}
        _log.info("%s: with %d fine maps it is refused: %s", out.name, fine, "; ".join(refused))
    raise GateError(f"{out.name}: {'; '.join(refused)}")


def make_int8(
    recipe: Recipe, source: Path, outputs: Mapping[Form, Path], frames: Material, progress: Progress
) -> Facts:
    """The int8 files of some forms from one calibration.

    Of each form, in this order until the gates are passed: every convolution in int8; the first and the last in float,
    which our CUDA kernels run, too; the dearest left in float, one more each time (see ``compress.sensitivity``);
    after quantisation-aware fine-tuning, where the recipe allows it, every convolution in int8, and all of the dearest
    in float. Hardware without floats takes the forms without them.

    Returns:
        For each form, what it took.

    Raises:
        DataError: the calibration data are missing. GateError: no way passes; says by how much the best one misses.
    """
    content = source.read_bytes()
    table = recipe.calibration
    seen = calibrate(content, _counted(calibration_frames(recipe), table.frames, progress))
    found = seen.ranges(table.method, table.percentile)
    convolutions = [node.name for node in graph.load(content).graph.node if node.op_type == "Conv"]
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

        def candidates(
            form: Form = form, at_once: Make = at_once, tuned: Make = tuned
        ) -> Iterator[tuple[str, ModelProto]]:
            yield "after training", at_once(())
            if form != "po2" and len(convolutions) > 2:
                yield (
                    "after training, first and last convolution in float",
                    at_once((convolutions[0], convolutions[-1])),
                )
            searched = frames.inputs[:SEARCHED], frames.targets[:SEARCHED]
            dearest = () if form == "po2" else most_sensitive_first(content, found, seen.moments, form, *searched)
            kept = [dearest[:count] for count in range(1, len(dearest) + 1)]
            for keep in kept:
                yield f"after training, in float: {', '.join(keep)}", at_once(keep)
            if recipe.targets.qat_steps:
                yield "fine-tuned", tuned(())
                for keep in kept[-1:]:
                    yield f"fine-tuned, in float: {', '.join(keep)}", tuned(keep)

        facts[form] = _first_that_passes(recipe, source, out, frames, candidates())
    return facts


def _first_that_passes(
    recipe: Recipe, source: Path, out: Path, frames: Material, candidates: Iterable[tuple[str, ModelProto]]
) -> str:
    refused: list[str] = []
    for way, model in candidates:
        _write(model, out, frames)
        refused = _refusals(recipe, out, source, frames)
        if not refused:
            _log.info("%s: int8 %s", out.name, way)
            return way
        _log.info("%s: int8 %s is refused: %s", out.name, way, "; ".join(refused))
    advice = "" if recipe.targets.qat_steps else "; allow fine-tuning with targets.qat_steps"
    raise GateError(f"{out.name}: {'; '.join(refused)}{advice}")


def _write(model: ModelProto, out: Path, frames: Material, backend: str = "onnxruntime") -> None:
    """With a quality record of its own, in place of the fp32 file's, as measured on a runtime."""
    write(out, model.SerializeToString(deterministic=True))
    with closing(open_engine(out, backend)) as engine:
        record = {key: round(value, 4) for key, value in quality(engine.run, frames).items() if math.isfinite(value)}
    graph.describe(model, quality=json.dumps(record, sort_keys=True))
    write(out, model.SerializeToString(deterministic=True))


def _refusals(
    recipe: Recipe, candidate: Path, source: Path, frames: Material, backend: str = "onnxruntime"
) -> list[str]:
    with closing(open_engine(candidate, backend)) as a, closing(open_engine(source, "onnxruntime")) as b:
        lost = losses(a.run, b.run, frames, recipe.gates.max_measure_loss)
        return violations(compare(a, b, frames), recipe.gates) + lost


def _counted(frames: Iterator[Image], total: int, progress: Progress) -> Iterator[Image]:
    for done, frame in enumerate(frames):
        progress("calibrating", done, total)
        yield frame
