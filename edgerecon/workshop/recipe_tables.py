"""The tables of a recipe: every key with its range, its default and what it means."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, field_validator, model_validator
from pydantic_core import to_json

from edgerecon.core.config import accepted_by
from edgerecon.modelfile.variants import check_derived

if TYPE_CHECKING:
    from edgerecon.workshop.models.family import Params

Precision = Literal["32-true", "bf16-mixed", "16-mixed"]
_SHAPE_KEYS = ("width", "depth", "dilations")
Side = Annotated[int, Field(ge=1, le=16384)]
Shape = tuple[Side, Side]


class _Table(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


class ModelTable(_Table):
    """[model]: the network and what it is for.

    Attributes:
        name: lower-case file stem of what ships, e.g. "compact-despeckle".
        family: a name in ``edgerecon.workshop.models.family.families``.
        params: of the family, e.g. ``{"width": 16}``; what is left out stands at the family's own default. ``width``,
            ``depth`` and ``dilations`` may stand in [model] itself.
        title: one line for the model card. licence: of the weights, an SPDX expression; "": not stated. A recipe that
            extends another one does not inherit it.
    """

    name: str = Field(pattern=r"^[a-z0-9][a-z0-9._-]{0,63}$")
    task: Literal["despeckle", "compound", "beamform"]
    family: str = "compact"
    params: dict[str, Any] = {}
    title: str = ""
    licence: str = ""

    @model_validator(mode="before")
    @classmethod
    def _gathered(cls, table: Any) -> Any:
        return with_params(table) if isinstance(table, dict) else table

    @property
    def shape(self) -> Params:
        """The parameters as the family's own model, defaults filled in.

        Raises:
            UsageError: unknown family. pydantic.ValidationError: parameters that it does not take.
        """
        from edgerecon.workshop.models.family import find_family

        return find_family(self.family).params.model_validate(self.params)


class MixedTable(_Table):
    """[[data.mixed]]: another file of pairs, from which a part of the crops comes.

    Attributes:
        weight: the part. The others: see ``DataTable``.
    """

    simulate: str = ""
    file: Path
    inputs: tuple[str, ...] = Field(min_length=1)
    target: str
    weight: float = Field(gt=0, lt=1)


class DataTable(_Table):
    """[data]: where training pairs come from.

    Attributes:
        simulate: the command, seed included, that makes ``file``; empty: data of your own.
        file: the HDF5 pairs, relative to the working directory.
        inputs: fields that serve as input, drawn with equal probability. target: the field to reach.
        validation: fraction of the scenes held out to choose the checkpoint; a scene is never split.
        held_out: the command that makes the scenes on which the figures are measured.
        mixed: further files that are learned from; validation is on ``file`` alone.
    """

    simulate: str = ""
    file: Path
    inputs: tuple[str, ...] = Field(min_length=1)
    target: str
    validation: float = Field(default=0.08, gt=0, lt=1)
    held_out: str = ""
    mixed: tuple[MixedTable, ...] = ()

    @field_validator("mixed")
    @classmethod
    def _leaves_room(cls, mixed: tuple[MixedTable, ...]) -> tuple[MixedTable, ...]:
        if sum(each.weight for each in mixed) >= 1:
            raise ValueError("the weights must add up to less than 1, or nothing is left for data.file")
        return mixed


class AugmentTable(_Table):
    """[augment]: random changes of a training pair, drawn anew for every crop.

    Attributes:
        share: part of each batch that is changed; the rest is only flipped, and so stays as it was simulated.
        zoom: range of the isotropic resampling factor, log-uniform; 2 doubles the size of a speckle grain.
        stretch: greatest ratio of lateral to axial zoom, either way; 1 is none.
        flip_lateral, flip_axial: whether to mirror left–right and top–bottom with probability 1/2.
        gain: range of the factor on grey levels, log-uniform. offset: half range of what is added (full scale 1).
        gamma: greatest exponent, log-uniform between 1/gamma and gamma.
        blur: greatest σ in pixels of a Gaussian on the input alone, applied with probability ``blur_chance``.
        jpeg: range of JPEG quality on the input alone, applied with probability ``jpeg_chance``.
        graphics: probability of a scanner's text, lines or sector border over input and target alike.

    Gain, offset and gamma act alike on input and target, since they stand for the scanner's display settings.
    """

    share: float = Field(default=1.0, ge=0, le=1)
    zoom: tuple[float, float] = (1.0, 1.0)
    stretch: float = Field(default=1.0, ge=1, le=4)
    flip_lateral: bool = True
    flip_axial: bool = False
    gain: tuple[float, float] = (1.0, 1.0)
    offset: float = Field(default=0.0, ge=0, lt=1)
    gamma: float = Field(default=1.0, ge=1, le=4)
    blur: float = Field(default=0.0, ge=0, le=5)
    blur_chance: float = Field(default=0.0, ge=0, le=1)
    jpeg: tuple[int, int] = (60, 95)
    jpeg_chance: float = Field(default=0.0, ge=0, le=1)
    graphics: float = Field(default=0.0, ge=0, le=1)


class LossTable(_Table):
    """[train.loss]: weights of the mean absolute error, of 1 − SSIM and of 1 − edge preservation.

    The error counts relative to that of the input, crop by crop (``l1``), or in grey levels (``absolute``), and up to
    1 + ``detail`` times as much where the target stands out of its surroundings, and up to ``regions`` times more where
    a region of it as large as a small lesion does. Edges are against the input, over the
    crops that [augment] changed: they stand for a scanner's display, where grain is as coarse as structure. On crops as
    simulated the target alone decides.
    """

    l1: float = Field(default=1.0, ge=0)
    absolute: float = Field(default=0.0, ge=0)
    detail: float = Field(default=0.0, ge=0)
    regions: float = Field(default=0.0, ge=0)
    ssim: float = Field(default=0.2, ge=0)
    edge: float = Field(default=0.0, ge=0)


class TrainTable(_Table):
    """[train]: AdamW under a cosine schedule with linear warm-up.

    Attributes:
        steps: optimiser steps. batch: crops a step. crop: side of a square crop in pixels.
        learning_rate: after warm-up; falls to ``final_fraction`` of itself along a half cosine.
        warmup: steps of linear rise. ema: decay of the averaged weights that are validated and kept; 0 is off.
        clip: greatest gradient norm. validate_every: steps between validations.
        precision: as lightning-fabric spells it. seed: fixes weights, crops and augmentation.
        start: checkpoint of this shape, or of a narrower compact network of this depth, to learn on from; default:
            random weights.
    """

    steps: int = Field(ge=1)
    batch: int = Field(default=16, ge=1)
    crop: int = Field(default=128, ge=16)
    learning_rate: float = Field(default=2e-3, gt=0)
    weight_decay: float = Field(default=0.0, ge=0)
    warmup: int = Field(default=200, ge=0)
    final_fraction: float = Field(default=0.01, ge=0, le=1)
    ema: float = Field(default=0.998, ge=0, lt=1)
    clip: float = Field(default=1.0, gt=0)
    validate_every: int = Field(default=500, ge=1)
    precision: Precision = "32-true"
    seed: int = Field(default=1, ge=0, lt=1 << 32)
    start: Path | None = None
    loss: LossTable = LossTable()


class PruneTable(_Table):
    """[prune]: structured pruning with fine-tuning and distillation, before the first export.

    Attributes:
        ratio: part of the multiply-accumulates to remove; 0 leaves the step out.
        importance: how channels are ranked. iterations: removals, each followed by an equal part of the fine-tuning.
        steps: optimiser steps of fine-tuning in all. distill: weight of the unpruned network's output in the loss.
    """

    ratio: float = Field(default=0.0, ge=0, le=0.9)
    importance: Literal["taylor", "magnitude"] = "taylor"
    iterations: int = Field(default=4, ge=1, le=32)
    steps: int = Field(default=4000, ge=1)
    distill: float = Field(default=0.5, ge=0, le=1)


class CalibrationTable(_Table):
    """[calibration]: the frames over which the ranges of int8 are found.

    Attributes:
        file: HDF5 pairs; default: the training file. frames: how many, drawn with the recipe's augmentation.
        method: range of a tensor from what was seen. percentile: of the magnitudes, for that method.
    """

    file: Path | None = None
    frames: int = Field(default=500, ge=1, le=100_000)
    method: Literal["minmax", "entropy", "percentile"] = "percentile"
    percentile: float = Field(default=99.99, gt=50, le=100)


class ShapesTable(_Table):
    """[shapes]: (height, width) of the frames that engines are built and timed for.

    Attributes:
        fixed: the only size, or None. min, opt, max: the profile of an engine with dynamic shapes.
    """

    fixed: Shape | None = None
    min: Shape = (64, 64)
    opt: Shape = (512, 512)
    max: Shape = (1088, 1920)

    @model_validator(mode="after")
    def _in_order(self) -> ShapesTable:
        for low, middle, high in zip(self.min, self.opt, self.max, strict=True):
            if not low <= middle <= high:
                raise ValueError("give min, opt and max in ascending order, height and width each")
        return self

    @property
    def timed(self) -> Shape:
        """The size at which latency is measured."""
        return self.fixed or self.opt


class TargetTable(_Table):
    """[targets]: what is made besides the fp32 file.

    Attributes:
        precisions: files to derive, by the keys of ``edgerecon.modelfile.variants``; int8 makes both its forms, and
            int16 needs the CPU kernels, which run it.
        devices: names under devices/ whose engines are built, "host" among them.
        backends: CPU runtimes to measure here; empty: all that are installed.
        qat_steps: fine-tuning when quantisation after training misses a gate; 0: give up instead.
    """

    precisions: tuple[Annotated[str, AfterValidator(accepted_by(check_derived))], ...] = ()
    devices: tuple[str, ...] = ()
    backends: tuple[str, ...] = ()
    qat_steps: int = Field(default=0, ge=0)


PICTURE_GATES = ("structure", "brightness_moved", "spill", "lesion_contrast")
"""Measures of the picture that may gate an export."""
TRAINED_MEASURES = {"edge": "structure"}
"""Term of [train.loss] → the measure that it teaches: one that is trained on is no measure."""


class GateTable(_Table):
    """[gates]: what stops an export. A gate that is not given does not gate, but for the first.

    Attributes:
        max_abs_error: fp32 file on ONNX Runtime against torch, grey levels in [0, 1].
        max_drop_psnr_db, max_drop_ssim: of another precision below the fp32 file, on validation scenes.
        max_drop_gcnr, max_mean_shift: of another precision against the fp32 file, on real frames: contrast lost, and
            change of the mean grey level either way. max_difference: its largest difference on real frames.
        max_measure_loss: of another precision against the fp32 file, on real frames: share by which any main measure of
            the picture may be worse (see ``Measure.loss``).
        min_structure, max_brightness_moved, max_spill: of every file, means over real frames; see
            ``edgerecon.quality.measures``, whose keys they name. min_lesion_contrast: mean over simulated lesions.
        max_latency_ms: p99 of the fastest engine that passes, on this host at the size of [shapes].
    """

    max_abs_error: float = Field(default=1e-5, gt=0)
    max_drop_psnr_db: float | None = Field(default=None, ge=0)
    max_drop_ssim: float | None = Field(default=None, ge=0)
    max_drop_gcnr: float | None = Field(default=None, ge=0)
    max_mean_shift: float | None = Field(default=None, ge=0)
    max_difference: float | None = Field(default=None, gt=0)
    max_measure_loss: float | None = Field(default=None, gt=0)
    min_structure: float | None = Field(default=None, gt=0)
    max_brightness_moved: float | None = Field(default=None, gt=0)
    max_spill: float | None = Field(default=None, ge=0)
    min_lesion_contrast: float | None = Field(default=None, gt=0)
    max_latency_ms: float | None = Field(default=None, gt=0)

    @property
    def picture(self) -> dict[str, tuple[float | None, float | None]]:
        """Key of a measure of the picture → (least, greatest) that passes, of the gates that are given."""
        return {
            key: (getattr(self, f"min_{key}", None), getattr(self, f"max_{key}", None))
            for key in PICTURE_GATES
            if (getattr(self, f"min_{key}", None), getattr(self, f"max_{key}", None)) != (None, None)
        }


class Recipe(_Table):
    """A whole recipe; see the tables for its keys."""

    model: ModelTable
    data: DataTable
    augment: AugmentTable = AugmentTable()
    train: TrainTable
    prune: PruneTable = PruneTable()
    calibration: CalibrationTable = CalibrationTable()
    shapes: ShapesTable = ShapesTable()
    targets: TargetTable = TargetTable()
    gates: GateTable = GateTable()

    @model_validator(mode="after")
    def _no_loss_is_a_gate(self) -> Recipe:
        for term in LossTable.model_fields:
            measure = TRAINED_MEASURES.get(term, term)
            if getattr(self.train.loss, term) and measure in self.gates.picture:
                raise ValueError(
                    f"train.loss.{term} teaches what the gate on {measure} measures, and a measure that is trained on "
                    "is none: leave out one of them"
                )
        return self

    def sha256(self) -> str:
        """Hash of the meaning: comments, order, spelled-out defaults and keys that came later do not change it.

        Parameters of the network count among the keys of [model], before its title, and only where they are not the
        family's defaults. An int16 file follows from what the others follow from, and came later than they.
        So did the gates of the picture, which judge what is made. Apache-2.0 was the default licence.
        """
        tables = self.model_dump(exclude_defaults=True)
        if "int16" in self.targets.precisions:
            tables["targets"]["precisions"] = tuple(key for key in self.targets.precisions if key != "int16")
        gates = tables.pop("gates", {})
        later = {f"{side}_{key}" for key in PICTURE_GATES for side in ("min", "max")}
        if gates := {key: limit for key, limit in gates.items() if key not in later}:
            tables["gates"] = gates
        model = tables["model"]
        model.pop("params", None)
        if model.get("licence") == "Apache-2.0":
            del model["licence"]
        last = {key: model.pop(key) for key in ("title", "licence") if key in model}
        tables["model"] = {**model, **self.model.shape.model_dump(exclude_defaults=True), **last}
        return hashlib.sha256(to_json(tables)).hexdigest()


def with_params(table: dict[str, Any]) -> dict[str, Any]:
    """[model] with its ``width``, ``depth`` and ``dilations`` among the family's parameters."""
    params = table.get("params", {})
    if not isinstance(params, dict):
        return table
    flat = {key: table[key] for key in _SHAPE_KEYS if key in table and key not in params}
    rest = {key: value for key, value in table.items() if key not in flat}
    return {**rest, "params": {**params, **flat}} if flat else rest
