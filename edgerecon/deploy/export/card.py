"""The model card: data, training, figures, limits."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from edgerecon.core.config import read_json
from edgerecon.core.errors import DataError
from edgerecon.deploy.export.network_file import NOT_STATED
from edgerecon.measure.row import Row
from edgerecon.quality.measures.measure import measures
from edgerecon.workshop.recipe import Recipe
from edgerecon.workshop.recipe_tables import LossTable, ModelTable

_TASKS = {
    "despeckle": "one B-mode frame → the same frame with its speckle reduced",
    "compound": "one plane-wave B-mode frame → an estimate of the frame compounded from 31 plane waves",
    "beamform": "the parts of the aperture after one plane wave → an estimate of the picture compounded from 31",
}


@dataclass(frozen=True)
class Figure:
    """One measured number. key: its name in the file's quality record. command: what measures it again."""

    key: str
    label: str
    value: float
    command: str


_GAIN_MATCHED = {
    "psnr_db": "PSNR after gain and offset (dB)",
    "ssim": "SSIM, gain-matched",
    "vif": "VIF, gain-matched",
    "snr_ratio": "speckle SNR over the input's, gain-matched",
    "edge": "edge preservation, gain-matched",
    "gcnr": "gCNR, gain-matched",
}
_UNMATCHED = {"psnr_unmatched_db": "PSNR (dB)", "ssim_unmatched": "SSIM"}


def _labels() -> dict[str, str]:
    """Every figure that a card shows: of the picture, against targets, and for one more release the gain-matched."""
    return {key: one.heading for key, one in measures().items()} | _UNMATCHED | _GAIN_MATCHED


def figures_of(path: Path) -> list[Figure]:
    """What the JSON report of ``edgerecon evaluate`` says of the model.

    Raises:
        DataError: missing file, or not such a report.
    """
    report = read_json(path, DataError, f"the report {path}, which  edgerecon evaluate --json  writes,")
    try:
        data = Path(report["data"])
        outside = data.is_absolute() or ".." in data.parts
        place = data.name if outside else str(data)  # a card tells no paths of the machine that made it
        command = f"edgerecon evaluate {report['model']} --data {place} --backend {report['backend']}"
        return [Figure(key, f"{label}, {data.name}", round(value, 4), command) for key, label, value in _found(report)]
    except (ValueError, KeyError, TypeError, AttributeError, StopIteration):
        raise DataError(f"{path} is not a report of  edgerecon evaluate --json") from None


def _found(report: dict[str, Any]) -> Iterator[tuple[str, str, float]]:
    """Key, label and value of each figure; those that could not be computed are null in the report and left out."""
    lines = {line["method"]: line["measures"] for line in report["table"]}
    before = lines.get("input", {})
    for key, label in _labels().items():
        measure = lines["model"].get(key)
        if measure and measure["mean"] is not None:
            given = before.get(key)
            known = key not in measures() and given and given["mean"] is not None
            yield key, f"{label} (input {given['mean']:.3f})" if known else label, measure["mean"]
    for key, gain in report["advantage"].items():
        if gain["mean"] is not None:
            label = f"{_GAIN_MATCHED.get(key, key)} above {gain['over']}, the best classical filter"
            yield f"{key}_advantage", label, gain["mean"]
    gain = (report["tradeoff"] or {}).get("advantage_percent")
    if gain and gain["mean"] is not None:
        label = "speckle SNR above the best classical filter at equal edge preservation (%)"
        yield "advantage_percent", label, gain["mean"]


def _loss(weights: LossTable) -> str:
    terms = [
        (weights.absolute, "L1"),
        (weights.l1, "L1 (relative to the input's)"),
        (weights.ssim, "(1 − SSIM)"),
        (weights.edge, "(1 − edge preservation)"),
    ]
    told = " + ".join(f"{weight:g}·{term}" for weight, term in terms if weight)
    detail = f", L1 up to {1 + weights.detail:g} times as much where the target stands out of its surroundings"
    regions = f", and {weights.regions:g} more where a region as large as a small lesion does"
    return told + (detail if weights.detail else "") + (regions if weights.regions else "")


def _origin(recipe: Recipe) -> str:
    """Where the training data come from; of data that no command simulated nothing else is said."""
    data = recipe.data
    if data.simulate and all(other.simulate for other in data.mixed):
        return f"Simulated only; no recording of a person was trained on. `{data.simulate}`"
    return f"Trained on `{data.file}`" + (f", made by `{data.simulate}`." if data.simulate else ".")


def _mixed(recipe: Recipe) -> str:
    return "".join(
        f" {other.weight:.0%} of the crops come from `{other.simulate or other.file}`, target `{other.target}`."
        for other in recipe.data.mixed
    )


def _start(recipe: Recipe) -> str:
    start = recipe.train.start
    return f" It learnt on from `{start}`." if start else ""


def _pruning(recipe: Recipe) -> str:
    table = recipe.prune
    if not table.ratio:
        return ""
    return (
        f" Then {table.ratio:.0%} of the multiply-accumulates pruned (importance: {table.importance}, in "
        f"{table.iterations} steps) and {table.steps:,} steps of fine-tuning, {table.distill:.0%} of the loss against "
        "the whole network."
    )


def _network(model: ModelTable, state: str) -> str:
    """e.g. "`compact`, width 16, depth 6 before pruning, dilations 1 2 1"; lists, where there are any, come last."""
    values = dict(model.shape)
    numbers = [f"{key} {value}" for key, value in values.items() if not isinstance(value, tuple)]
    lists = [
        f"{key} {' '.join(map(str, value))}" for key, value in values.items() if isinstance(value, tuple) and value
    ]
    return ", ".join([", ".join([f"`{model.family}`", *numbers]) + state, *lists])


def model_card(recipe: Recipe, recipe_name: str, figures: Sequence[Figure], facts: dict[str, float]) -> str:
    """The card as Markdown.

    Args:
        recipe_name: how commands call the recipe. facts: parameters, macs_per_pixel, receptive_field, size_kb,
            max_abs_error, opset, trained_steps.
    """
    model, train = recipe.model, recipe.train
    rows = "\n".join(f"| {figure.label} | {figure.value:g} | `{figure.command}` |" for figure in figures)
    shape = _network(model, " before pruning" if recipe.prune.ratio else "")
    inputs = " or ".join(f"`{name}`" for name in recipe.data.inputs)
    held_out = f" Held-out scenes: `{recipe.data.held_out}`." if recipe.data.held_out else ""
    return f"""# {model.name}

{model.title or f"{_TASKS[model.task][0].upper()}{_TASKS[model.task][1:]}."}

**For research and engineering. Not a medical device; not for clinical use.**

| | |
|---|---|
| Task | {_TASKS[model.task]} |
| Network | {shape}: {facts["parameters"]:,.0f} parameters, {facts["macs_per_pixel"]:,.0f} multiply-accumulates a \
pixel, receptive field {facts["receptive_field"]:.0f} pixels |
| File | `{model.name}.onnx`, {facts["size_kb"]:.1f} kB, float32, ONNX opset {facts["opset"]:.0f}, any frame size |
| Input, output | {_PORTS.get(model.task, _PICTURES)} |
| Recipe | `{recipe_name}`, hash `{recipe.sha256()[:16]}` |
| Licence | {model.licence or NOT_STATED} |

## Data

{_origin(recipe)}

Input {inputs}, target `{recipe.data.target}`.{_mixed(recipe)}{held_out} Validation on one scene in
{max(2, round(1 / recipe.data.validation))} of the training file chooses the checkpoint.

## Training

`edgerecon train {recipe_name}`, then `edgerecon export {recipe_name}`

AdamW, learning rate {train.learning_rate:g} under a half cosine, {train.steps:,} steps (best at \
{facts["trained_steps"]:,.0f}), {train.batch} crops of {train.crop}×{train.crop} a step, seed {train.seed},
loss {_loss(train.loss)}.{_start(recipe)}{_pruning(recipe)}

## Figures

| what | value | command |
|---|---|---|
{rows}
| largest difference ONNX Runtime − torch | {facts["max_abs_error"]:.1e} | `edgerecon export {recipe_name}` |

## Limits

{_LIMITS.get(model.task, _PICTURE_LIMITS)}"""


_PICTURES = "`frame`, `reconstruction`: float32 N×1×H×W in [0, 1], log-compressed B-mode"
_PORTS = {
    "beamform": "`frame`: float32 N×2K×H×W, real and then imaginary parts of delay-and-sum over each of K parts of the "
    "aperture (`Beamformer.split`), any gain; `reconstruction`: float32 N×1×H×W, amplitude in the same units"
}
_PICTURE_LIMITS = """\
- It learnt from simulated images alone, made by the commands above. What they do not imitate, such as colour Doppler,
  contrast agents and post-processing of a scanner's own, is outside what it has seen.
- It changes texture. Where speckle itself carries the information, use the original frame.
- It works on grey levels after log compression; dynamic range and gain far from usual display settings degrade it.
- It can smooth away or invent detail near its resolution limit, and no reader study has examined it.
"""
_LIMITS = {
    "beamform": """\
- It learnt from simulated linear arrays and plane waves at 0° alone, in two dimensions, with pixels of 0.25 to 0.5
  wavelengths. Other transmits, curved arrays and coarser grids are outside what it has seen.
- Its post-filter darkens what it takes for side lobes and noise; faint echoes beside bright ones may go with them, and
  speckle is not that of delay-and-sum.
- What all parts of the aperture agree on passes, and so do reverberations; no reader study has examined it.
"""
}
"""By task, where they differ from those of pictures."""


def precision_table(rows: Sequence[Row], recipe_name: str, int8: Mapping[str, str] | None = None) -> str:
    """The card's section on the files of all precisions, as Markdown; the figures are those of ONNX Runtime, of
    the int16 file those of our CPU kernels, which alone run it.

    Args:
        int8: file name → what its int8 took, see ``precisions.make_int8``.
    """
    lines = "\n".join(
        f"| `{row.setup.model}.onnx` | {row.setup.precision} | {row.cost.size_kb:.1f} "
        f"| {_number(row.quality.psnr_db, 2)} | {_number(row.quality.ssim, 4)} "
        f"| {_number(row.quality.gcnr, 3)} | {_number(row.quality.max_abs_error, 4)} |"
        for row in rows
        if row.setup.backend == ("native" if row.setup.precision == "int16" else "onnxruntime")
    )
    hardware = any(row.setup.model.endswith("-po2") for row in rows)
    note = "\nOne named `-po2` is in integers alone, for FPGAs: `edgerecon build`." if hardware else ""
    ways = "".join(f"\n`{name}`: int8 {way}." for name, way in (int8 or {}).items())
    return f"""## Precisions

Measured by `edgerecon export {recipe_name}`: PSNR and SSIM on validation scenes, gCNR and the
largest difference from the fp32 file on the built-in cine. A file named `-int8-trt` is for TensorRT.{note}

| file | precision | kB | PSNR, dB | SSIM | gCNR | largest difference |
|---|---|---|---|---|---|---|
{lines}
{ways}
"""


def _number(value: float, digits: int) -> str:
    return f"{value:.{digits}f}" if math.isfinite(value) else "–"
